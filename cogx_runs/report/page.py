"""Renders a report's content as one HTML page that loads nothing."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cogx_runs.analysis.cells import config_names, distinguishing
from cogx_runs.analysis.grids import Grid, values_of
from cogx_runs.analysis.preferences import MetricAgreement, Preference
from cogx_runs.analysis.wording import degenerate_counts, yardstick
from cogx_runs.definitions.spec import short_name
from cogx_runs.formatting import signed, write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.compression import write_with_change
from cogx_runs.metrics.registry import shown_cards
from cogx_runs.report.cells import duration_s
from cogx_runs.report.clips import Clip
from cogx_runs.report.comparisons import QUANTITIES
from cogx_runs.report.content import Content, GridContent
from cogx_runs.report.sentences import about_fit
from cogx_runs.report.votes import Ballot
from cogx_runs.tracking import tags
from cogx_runs.tracking.run import TrackedRun

PARTS = Path(__file__).parent / "parts"
MOST_FIGURES = 3
"""Most metrics that stand under a video; the others are behind a click."""
PROMPT = "prompt"
"""Name of the prompt among the axes by which a reader may arrange the videos."""


@dataclass(frozen=True)
class Media:
    """The videos, pictures and errors that the cells show."""

    clips: Mapping[str, Clip]
    """Clips by output hash."""
    limit_mb: float
    embedded: bool
    """Whether the page holds the videos; else they are files next to it."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Reasons why finished cells have no clip, by output hash."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Errors of failed cells, by run id."""
    posters: Mapping[str, str] = field(default_factory=dict)
    """Middle frames as JPEG in base64 by output hash: what is seen before a video loads, and in print."""
    stills: Mapping[str, str] | None = None
    """Contact sheets as JPEG in base64 by output hash, which the page shows instead of videos; else None."""


def render_page(content: Content, media: Media) -> str:
    """Renders the page; the template engine escapes all data."""
    templates = Environment(
        loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["value"] = write_value
    templates.filters["p"] = _p
    templates.filters["with_change"] = write_with_change
    templates.filters["degenerate"] = degenerate_counts
    templates.filters["signed"] = partial(signed, digits=".2f")
    templates.filters["figure"] = signed
    templates.filters["interval"] = _interval
    templates.filters["breakable"] = _breakable
    templates.filters["preferred"] = _preferred
    templates.filters["agreed"] = _agreed
    templates.filters["places"] = _places
    templates.filters["figures"] = _figures
    templates.filters["pivots"] = _pivots
    templates.filters["column"] = _column
    script = (PARTS / "page.js").read_text(encoding="utf-8")
    embeds = media.embedded and media.stills is None
    return templates.get_template("page.html.j2").render(
        content=content,
        tags=tags,
        duration_s=duration_s,
        media=media,
        quantities=shown_cards(),
        MOST_FIGURES=MOST_FIGURES,
        compared=QUANTITIES,
        about_fit=about_fit,
        yardstick=yardstick,
        written_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        ballot=Ballot(report=content.identity, votes=list(content.votes)).model_dump(),
        data=_data(content, media),
        promoted={cell.tags[tags.PROMOTED_FROM] for cell in content.cells if tags.PROMOTED_FROM in cell.tags},
        embeds=embeds,
        plays=media.stills is None,
        media_source="blob:" if embeds else "'self' file:",
        style=Markup((PARTS / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _breakable(name: str) -> Markup:
    """Marks the places at which a narrow column may break a name."""
    return Markup("_<wbr>").join(name.split("_"))


def _interval(quantity: MetricCard, low: float, high: float) -> str:
    """Writes an interval: `−0.10 to +0.31 s`."""
    return (
        f"{quantity.write(low, signed=True).removesuffix(f' {quantity.unit}')} to {quantity.write(high, signed=True)}"
    )


def _preferred(preference: Preference) -> str:
    """Writes how often a value is preferred to the baseline: `63% (41% to 84%), p 0.031`; empty where nobody voted."""
    if preference.share is None:
        return ""
    p = "" if preference.p is None else f", p {_p(preference.p)}"
    return f"{preference.share:.0%}{_range(preference.low, preference.high)}{p}"


def _agreed(agreement: MetricAgreement) -> str:
    """Writes how often a metric agrees with the votes: `78% (64% to 92%)`."""
    return f"{agreement.share:.0%}{_range(agreement.low, agreement.high)}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.0%} to {high:.0%})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _column(grid: Grid, value: Any) -> str:
    """Writes the head of a column: `guidance 6`; a setting of several axes names them itself."""
    return str(value) if len(grid.axes) > 1 or grid.axis is None else f"{short_name(grid.axis)} {write_value(value)}"


def _pivots(grid: Grid) -> dict[str, Any]:
    """Returns what the videos of a grid can be arranged by, with the values in order, and the metrics to sort by."""
    named = distinguishing([cell.config for cell in grid.cells], config_names(grid.cells))
    names = dict.fromkeys((*grid.axes, *named))
    by: dict[str, list[str]] = {PROMPT: list(dict.fromkeys(row.prompt_name for row in grid.rows))}
    for name in names:  # a cell of an earlier release may lack a parameter
        found = (*values_of(grid.cells, name), *(cell.config.get(name) for cell in grid.cells))
        by[name] = list(dict.fromkeys(map(write_value, found)))
    metrics = [card for card in shown_cards() if any(card.name in cell.metrics for cell in grid.cells)]
    wide = len(grid.axes) > 1 and len(grid.values) > len(by[PROMPT])
    return {
        "by": by,
        "axes": list(grid.axes),
        "short": {name: short_name(name) for name in by},
        "metrics": {card.name: card.title for card in metrics},
        "turned": wide,
    }


def _places(cell: TrackedRun, pivots: Mapping[str, Any]) -> dict[str, str]:
    """Returns the value that a video has in each name of `_pivots`."""
    return {name: cell.prompt_name if name == PROMPT else write_value(cell.config.get(name)) for name in pivots["by"]}


def _figures(cell: TrackedRun) -> dict[str, Any]:
    """Returns a video's metrics, each as it sorts and as it is written."""
    return {
        card.name: [cell.metrics[card.name], write_with_change(card, cell.metrics)]
        for card in shown_cards()
        if card.name in cell.metrics
    }


def _data(content: Content, media: Media) -> dict[str, Any]:
    """Returns the data of the page's script."""
    shown = [cell for cell in content.cells if cell.output_hash in media.clips]
    return {
        "report": content.identity,
        "duration_s": max((duration_s(cell) for cell in shown), default=1.0),
        "fps": max((int(cell.config.get("fps", 8)) for cell in shown), default=8),
        "files": {} if media.embedded else {clip.key: clip.target for clip in media.clips.values()},
        "metrics": {card.name: card.title for card in shown_cards()},
        "grids": [_grid(found, media) for section in content.sections for found in section.grids],
    }


def _grid(found: GridContent, media: Media) -> dict[str, Any]:
    """Returns a grid's rows in which two videos can be compared."""
    rows: list[dict[str, Any]] = []
    for row in found.grid.rows:
        sides: Sequence[dict[str, Any]] = [
            {"signature": cell.signature, "clip": cell.output_hash, "column": column}
            for column, cell in enumerate(row.cells)
            if cell is not None and cell.state.is_finished and cell.output_hash in media.clips
        ]
        if len(sides) > 1:
            rows.append({"prompt": row.prompt, "sides": sides})
    return {
        "key": found.key,
        "experiment": found.grid.experiment,
        "axis": found.grid.axis,
        "values": [_column(found.grid, value) for value in found.grid.values],
        "rows": rows,
    }
