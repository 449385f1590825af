"""Views of a sweep in MLflow's UI: which columns, in which order, and which charts.

MLflow keeps a shared view as an experiment's tag: JSON whose `state` is deflated. The UI opens it by its key. A metric
or picture that no card names gets a card of its own, so that each unwanted one is named by a deleted card.
"""

import base64
import json
import math
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cogx_runs.dashboard.overview import KEYS
from cogx_runs.dashboard.pictures import CLIP, STILLS
from cogx_runs.definitions.ranges import Direction
from cogx_runs.metrics.registry import EXACT, SHOWN, SHOWN_WHERE_MEASURED, cards
from cogx_runs.tracking.columns import CELLS, axis_column, axis_metric, metric_column, param_column, quoted, tag_column
from cogx_runs.tracking.tags import (
    COMPARISON_KIND,
    DEGENERATE,
    DEVICE_ID,
    DEVICE_NAME,
    HOST,
    IMPORTED_FROM,
    KIND,
    MLFLOW_VIEW,
    PAGES,
    PROMOTED_BY,
    PROMOTED_RANK,
    REPORT_KIND,
    TRIAL,
    WORKER,
)

CHARTS, CLIPS, TABLE, PROGRESS = "cogx", "cogx-clips", "cogx-table", "cogx-progress"
"""The keys of the views of all runs of a sweep: overview and charts, the clips, the table, and who is at which cell."""
WITH_OVERVIEW = " and ".join(f"{quoted(tag_column(KIND))} != '{kind}'" for kind in (REPORT_KIND, COMPARISON_KIND))
"""MLflow's filter for cells and the run of their overview."""
CLIPS_A_CARD = 10
"""Most pictures that MLflow shows in a card: those of the first runs in the table."""
OVERVIEW_PX = 1120
"""Height of the card of a page of the overview."""
CLIPS_A_ROW = 3
"""Pictures side by side in a window of usual width."""
_LINES = ("by_frame.clip_score", "by_frame.change", "by_step.latent_std")
MARKS = (TRIAL, DEGENERATE, PROMOTED_BY, PROMOTED_RANK, IMPORTED_FROM)
"""Tags that get a column where a run has them."""
_ALWAYS = {quoted("attributes.Run Name"): 360, "runDateAndNestInfo": 155}
"""Columns of all of MLflow's tables, with the widths in pixels at which the progress has them: a name is whole."""
_WHO = {
    quoted(metric_column("current_step")): 110,
    quoted(param_column("num_inference_steps")): 165,
    quoted(tag_column(WORKER)): 110,
    quoted(tag_column(HOST)): 125,
    quoted(tag_column(DEVICE_NAME)): 200,
    quoted(tag_column(DEVICE_ID)): 190,
}
"""What the progress shows of a run, with widths."""
MOST_NAMED = 100
"""Most runs that a view names one by one."""


@dataclass(frozen=True)
class ViewContent:
    """The runs, axes and metrics that a sweep's views show."""

    axes: tuple[str, ...]
    numbers: frozenset[str]
    """Axes with numbers as values: sorted by `metrics.axis.*`, since the UI sorts params as text."""
    metrics: frozenset[str]
    """All metrics that the runs have."""
    models: tuple[str, ...]
    """Models, the last one first; only its runs are shown unless another is asked for."""
    model_of: Mapping[str, str]
    """The last model of each prompt."""
    runs: int
    """Number of runs that there are or will be."""
    objectives: Mapping[str, Direction]
    """A search's objectives with their directions; empty for any other sweep."""
    marks: tuple[str, ...]
    """The tags of MARKS that a run has."""
    chosen: Mapping[str, Sequence[str]]
    """Ids of runs that have a view of their own, by its title, such as `promoted`."""
    pages: int
    """Number of the overview's pages."""


@dataclass(frozen=True)
class RunFilter:
    """A choice of runs by model, prompt, or both; None stands for the last model, and for all prompts."""

    model: str | None = None
    prompt: str | None = None

    @property
    def key(self) -> str:
        """The key of the view with clips and charts."""
        if self == RunFilter():
            return CLIPS
        return f"{CHARTS}-{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([self.model, self.prompt])).hex[:8]}"

    @property
    def title(self) -> str:
        """Title of the view in MLflow's list."""
        return " ".join(name for name in (self.model, self.prompt) if name is not None) or "clips"


def view_tags(shown: ViewContent, choices: Iterable[RunFilter], created_ms: int) -> dict[str, str]:
    """Returns the tags of a sweep's views: clips and charts of each choice of runs, and the table of all.

    The clips stand in the reverse of the table's order, so that the views with clips sort their runs downwards. A
    search's views have the best run in front.
    """
    layout = _cards(shown, 0)
    ascending = "minimize" in [*shown.objectives.values()][:1]
    views = {
        TABLE: (
            "table",
            _state(shown, _filter(shown, RunFilter()), _order(shown), ascending or not shown.objectives, layout),
        )
    }
    first = _state(shown, WITH_OVERVIEW, quoted(tag_column(PAGES)), False, _cards(shown, shown.pages))
    views[CHARTS] = ("overview and charts", first)
    # The overview's run, whose name says how far the sweep is, alone has the tag; after it those begun last come first.
    widths = {**_ALWAYS, **_WHO}
    columns = {"selectedColumns": [*_WHO], "columnOrder": [*widths], "columnWidths": widths}
    views[PROGRESS] = ("progress", _view(WITH_OVERVIEW, quoted(tag_column(PAGES)), False, layout) | columns)
    for only in choices:
        state = _state(shown, _filter(shown, only), _order(shown, only.prompt), ascending, layout)
        views[only.key] = (only.title, state)
    for title, run_ids in shown.chosen.items():
        named = ", ".join(f"'{run_id}'" for run_id in run_ids[:MOST_NAMED])
        chosen = f"{CELLS} and attributes.run_id IN ({named})"
        views[chosen_key(title)] = (title, _state(shown, chosen, quoted(param_column("prompt_name")), False, layout))
    return {MLFLOW_VIEW + key: _tag(title, state, created_ms) for key, (title, state) in views.items()}


def compared_tags(
    key: str, run_id: str, names: Sequence[str], image_keys: Sequence[str], created_ms: int
) -> dict[str, str]:
    """Returns the tags of the view that has the overviews of several experiments, pictures of one run, side by side."""
    shown = [_card("IMAGE", imageKeys=[image], step=0, showRunParams=False) for image in image_keys]
    columns = 1 if len(shown) < 2 else 2
    layout = _laid_out([("Side by side", columns, OVERVIEW_PX // columns, shown)])
    state = _view(f"attributes.run_id IN ('{run_id}')", "attributes.start_time", False, layout)
    return {MLFLOW_VIEW + key: _tag(" | ".join(names), state, created_ms)}


def compared_key(names: Sequence[str]) -> str:
    """Returns the key of the view of several experiments."""
    return f"{CHARTS}-beside-{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(list(names))).hex[:8]}"


def page(experiment_id: str, key: str = CHARTS) -> str:
    """Returns the place of a view's page, relative to the server's address, which may have a path of its own."""
    mode = "" if key in {TABLE, PROGRESS} else "&compareRunsMode=CHART"
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning{mode}&viewStateShareKey={key}"


def chosen_key(title: str) -> str:
    """Returns the key of a view of chosen runs."""
    return f"{CHARTS}-{title.replace(' ', '-')}"


def _tag(title: str, state: dict[str, Any], created_ms: int) -> str:
    deflated = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    content = {"name": title, "createdAt": created_ms, "updatedAt": created_ms, "state": f"deflate;{deflated}"}
    return json.dumps(content)


def _filter(shown: ViewContent, only: RunFilter) -> str:
    """Writes the view's filter in MLflow's language: the runs of one model, unless models are compared."""
    model = only.model
    if model is None and len(shown.models) > 1 and "model" not in shown.axes:
        model = shown.models[0] if only.prompt is None else shown.model_of[only.prompt]
    wanted = {quoted(param_column("model")): model, quoted(param_column("prompt_name")): only.prompt}
    chosen = [f"{column} = {_quoted(value)}" for column, value in wanted.items() if value is not None]
    return " and ".join([CELLS, *chosen])


def _state(
    shown: ViewContent,
    chosen: str,
    order: str,
    ascending: bool,
    layout: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> dict[str, Any]:
    return _view(chosen, order, ascending, layout) | {"selectedColumns": list(_columns(shown))}


def _view(
    chosen: str, order: str, ascending: bool, layout: tuple[list[dict[str, Any]], list[dict[str, Any]]]
) -> dict[str, Any]:
    sections, charts = layout
    return {
        "searchFilter": chosen,
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [],
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsPinned": [],
        "runsExpanded": {},
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "viewMaximized": True,
        "runListHidden": True,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _order(shown: ViewContent, prompt: str | None = None) -> str:
    """Returns the column by which runs are sorted: a search's objective, else the first axis, else the prompt, or the
    seed within one prompt."""
    for objective in shown.objectives:
        return quoted(metric_column(objective))
    for axis in shown.axes:
        return _swept(axis, shown)
    return quoted(param_column("seed")) if prompt is not None else quoted(param_column("prompt_name"))


def _columns(shown: ViewContent) -> Iterator[str]:
    yield from (_swept(axis, shown) for axis in shown.axes)
    for name, several in (("prompt_name", shown.model_of), ("model", shown.models)):
        if len(several) > 1 and name not in shown.axes:
            yield quoted(param_column(name))
    measured = [name for name in SHOWN if name not in SHOWN_WHERE_MEASURED or name in shown.metrics]
    yield from (quoted(metric_column(name)) for name in dict.fromkeys([*shown.objectives, *measured]))
    yield quoted(metric_column("current_step"))
    yield from (quoted(tag_column(mark)) for mark in shown.marks)


def _swept(axis: str, shown: ViewContent) -> str:
    return quoted(axis_column(axis)) if axis in shown.numbers else quoted(param_column(axis))


def _cards(shown: ViewContent, pages: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lays out sections and the cards in them, with so many pages of the overview first."""
    measures = tuple(shown.objectives) or ("clip_score", "wall_time_s")
    effects = [
        _card("SCATTER", xaxis=_axis(axis, shown), yaxis=_metric(metric)) for metric in measures for axis in shown.axes
    ] or [_card("BAR", metricKey=metric) for metric in measures]
    quality, *cost = measures
    effects.append(_card("SCATTER", xaxis=_metric([*cost, "wall_time_s"][0]), yaxis=_metric(quality)))
    effects += [
        _card("SCATTER", xaxis=_metric("wall_time_s"), yaxis=_metric(metric))
        for metric in SHOWN_WHERE_MEASURED
        if metric in shown.metrics and metric.endswith(f".{EXACT}")
    ]
    if shown.objectives:
        effects.append(
            _card("PARALLEL", selectedParams=list(shown.axes), selectedMetrics=list(measures), showAllRuns=True)
        )
    lines = [_line(metric) for metric in _LINES]
    axes = {axis_metric(axis) for axis in shown.numbers}
    named = {*_LINES, *(card["metricKey"] for card in effects if "metricKey" in card)}
    # Also for metrics of runs that have not begun: the UI keeps a view as it was when it was opened.
    unwanted = [
        _card("BAR", metricKey=metric, deleted=True)
        for metric in sorted((shown.metrics | cards().keys() | {"current_step"} | axes) - named)
    ]
    unwanted += [
        _card("IMAGE", imageKeys=[key], step=0, deleted=True)
        for key in (*STILLS, *KEYS[pages:], *([CLIP] if pages else []))
    ]
    overview = [_card("IMAGE", imageKeys=[key], step=0, showRunParams=False) for key in KEYS[:pages]]
    clips_px = 120 + 306 * math.ceil(min(max(shown.runs, 1), CLIPS_A_CARD) / CLIPS_A_ROW)
    clips = _card("IMAGE", imageKeys=[CLIP], step=0, showRunParams=False)
    layout = [
        ("Overview", 1, OVERVIEW_PX, overview) if pages else ("Clips", 1, clips_px, [clips]),
        ("Effects and trade-off", 3, 320, [*effects, *unwanted]),
        ("By frame and by step", 3, 320, lines),
        ("Stills of the same frames", 1, 900, [_card("IMAGE", imageKeys=list(STILLS), step=0, showRunParams=False)]),
    ]
    return _laid_out(layout)


_Section = tuple[str, int, int, list[dict[str, Any]]]
"""Name, columns, height of its cards in pixels, and cards."""


def _laid_out(layout: Sequence[_Section]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    sections = [
        {
            "uuid": _uuid(name),
            "name": name,
            "display": True,
            "isReordered": True,
            "deleted": False,
            "isGenerated": False,
            "columns": columns,
            "cardHeight": height,
        }
        for name, columns, height, _ in layout
    ]
    charts = [card | {"metricSectionId": _uuid(name)} for name, _, _, held in layout for card in held]
    return sections, [card | {"uuid": _uuid(json.dumps(card, sort_keys=True))} for card in charts]


def _card(kind: str, **content: Any) -> dict[str, Any]:
    return {"type": kind, "runsCountToCompare": CLIPS_A_CARD, "deleted": False, "isGenerated": False} | content


def _line(metric: str) -> dict[str, Any]:
    return _card(
        "LINE",
        metricKey=metric,
        selectedMetricKeys=[metric],
        xAxisKey="step",
        selectedXAxisMetricKey="",
        lineSmoothness=0,
        useGlobalLineSmoothing=True,
        useGlobalXaxisKey=True,
        scaleType="linear",
        xAxisScaleType="linear",
        yAxisKey="metric",
        yAxisExpressions=[],
        range={},
    )


def _axis(axis: str, shown: ViewContent) -> dict[str, str]:
    return _metric(axis_metric(axis)) if axis in shown.numbers else {"key": axis, "type": "PARAM"}


def _metric(name: str) -> dict[str, str]:
    return {"key": name, "type": "METRIC"}


def _uuid(text: str) -> str:
    """Derives an id from the text alone, so that a view that is written again stays the same view."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))


def _quoted(text: str) -> str:
    """Quotes a string for MLflow's filter language, which has no escapes; a text with both quotes is cut at the first
    double one."""
    return f'"{text.partition(chr(34))[0]}"' if "'" in text else f"'{text}'"
