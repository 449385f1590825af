"""Strata of runs, whose figures are never averaged together: by model, size, precision, the CLIP of a score, and the
definition of a metric."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from cogx_runs.definitions.role import names_where
from cogx_runs.definitions.spec import ROLES, SCORE_FIELDS
from cogx_runs.errors import CogxError
from cogx_runs.metrics.registry import cards
from cogx_runs.tracking.columns import PARAMS, metric_column, param_column, tag_column
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import DEFINITIONS, texts_tag

NEVER_MIXED = names_where(ROLES, lambda role: not role.mixes)
_DEFINITION = "definition."


def strata_of(
    frame: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str] = (), among: pd.DataFrame | None = None
) -> list[tuple[str, pd.DataFrame]]:
    """Splits the finished runs that have the metrics into strata, each with its label: `model 5b`, or nothing where
    there is one stratum.

    Strata differ in NEVER_MIXED, `axes` aside, in the CLIP only where one of the metrics depends on it, and in the
    metrics' definitions. A label names the differences within `among`, which holds these runs and more. A value that
    follows from those named, as the precision often does from the model, is not named.
    """
    measured = [name for name in (metric_column(metric) for metric in metrics) if name in frame.columns]
    finished = with_cards(_finished(frame, measured), metrics)
    whole = finished if among is None else with_cards(_finished(among, measured), metrics)
    columns = _columns(finished, metrics, axes)
    labels = _labels(whole, columns)
    keys = _keys(finished, columns)
    return [(labels[key], finished[[one == key for one in keys]]) for key in sorted(set(keys))]


def check_not_mixed(cells: pd.DataFrame, metrics: Sequence[str], what: str, axes: Sequence[str] = ()) -> None:
    """Raises CogxError, beginning with `what`, where the cells are of several strata."""
    for column in _columns(cells, metrics, axes):
        found = sorted(cells[column].dropna().astype(str).unique())
        if len(found) > 1:
            name = column.removeprefix(PARAMS)
            if not column.startswith(PARAMS):
                raise CogxError(
                    f"{what}: values of {len(found)} definitions ({'; '.join(found)}) are not averaged; "
                    "`cogx-runs rescore SWEEP` measures all runs by the current one"
                )
            raise CogxError(
                f"{what}: runs of {len(found)} values of {name} ({', '.join(found)}) are not averaged; load those of "
                f"one, as with where=['{name}={found[0]}']"
            )


def _finished(frame: pd.DataFrame, measured: Sequence[str]) -> pd.DataFrame:
    """Selects the finished runs with a value in each of the columns: a run without a metric has no definition of it and
    no stratum."""
    return frame[(frame["status"] == RunState.FINISHED) & frame[list(measured)].notna().all(axis=1)]


def _columns(cells: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str]) -> list[str]:
    has_score = any(map(is_of_the_clip, metrics))
    names: Iterable[str] = (
        name for name in NEVER_MIXED if name not in axes and (has_score or name not in SCORE_FIELDS)
    )
    columns = [*(param_column(name) for name in names), *map(card_column, metrics)]
    return [column for column in columns if column in cells.columns]


def is_of_the_clip(metric: str) -> bool:
    """Checks whether a metric's value depends on the CLIP in a run's parameters."""
    return metric in cards() and cards()[metric].uses_clip


def card_column(metric: str) -> str:
    """Names the column of the definition by which a run's value of a metric was measured."""
    return f"{_DEFINITION}{metric}"


def with_cards(cells: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Adds the column of each metric's definition."""
    tags = cells[tag_column(DEFINITIONS)] if tag_column(DEFINITIONS) in cells.columns else [None] * len(cells)
    definitions = [texts_tag({DEFINITIONS: text}, DEFINITIONS) if isinstance(text, str) else {} for text in tags]
    named: dict[str, Any] = {card_column(name): [found.get(name) for found in definitions] for name in metrics}
    return cells.assign(**named)


def _labels(finished: pd.DataFrame, columns: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Writes the label of each stratum, by its values of the columns."""
    named = [name for name in (param_column("model"), param_column("model_revision")) if name in finished.columns]
    distinct = finished[list(dict.fromkeys([*columns, *named]))].drop_duplicates()
    keys = _keys(distinct, columns)
    models = dict(zip(keys, _model_names(_keys(distinct, named)), strict=True))
    keys = list(models)
    labels: list[tuple[str, ...]] = [()] * len(keys)
    for place, column in enumerate(columns):
        parts = [models[key] if column == param_column("model_revision") else _part(column, key[place]) for key in keys]
        longer = [(*names, part) for names, part in zip(labels, parts, strict=True)]
        if len(set(longer)) > len(set(labels)):
            labels = longer
    return {key: ", ".join(names) for key, names in zip(keys, labels, strict=True)}


def _part(column: str, value: str) -> str:
    """Writes one part of a label: `height 480`, `definition 2` or `psnr 1 against num_inference_steps=50`."""
    if column.startswith(_DEFINITION) and " " in value:
        return f"{column.removeprefix(_DEFINITION)} {value}"
    return f"{'definition' if column.startswith(_DEFINITION) else column.removeprefix(PARAMS)} {value}"


def _model_names(models: Sequence[tuple[str, ...]]) -> list[str]:
    """Names each model, with the beginning of its revision where the name has several."""
    revisions = Counter(model[0] for model in set(models) if model)
    return [
        "model " + (f"{model[0]}@{model[-1][:8]}" if revisions[model[0]] > 1 else model[0]) if model else ""
        for model in models
    ]


def _keys(runs: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    rows = runs[list(columns)].itertuples(index=False, name=None) if columns else [()] * len(runs)
    return [tuple("unknown" if pd.isna(value) else str(value) for value in row) for row in rows]
