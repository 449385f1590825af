"""Kinds of runs whose figures are never averaged together: models, sizes, precisions, CLIPs that gave a score, and
definitions of a metric."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from cogx_runs.errors import CogxError
from cogx_runs.metrics.registry import cards

NEVER_MIXED = ("model_revision", "height", "width", "dtype", "clip_model")


def kinds_of(
    frame: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str] = (), among: pd.DataFrame | None = None
) -> list[tuple[str, pd.DataFrame]]:
    """The finished runs of each kind, with what tells it from the others: `model 5b`, or nothing where all are alike.

    Kinds differ in NEVER_MIXED, `axes` aside, in the CLIP only where one of the metrics depends on it, and in the
    metrics' definitions. They are told from the others of `among`, which holds these runs and more. What follows from
    what is named already, as the precision often does from the model, is not named.
    """
    finished = with_cards(frame[frame["status"] == "FINISHED"], metrics)
    whole = finished if among is None else with_cards(among[among["status"] == "FINISHED"], metrics)
    columns = _columns(finished, metrics, axes)
    told = _told_apart(whole, columns)
    keys = _keys(finished, columns)
    return [(told[key], finished[[one == key for one in keys]]) for key in sorted(set(keys))]


def check_not_mixed(cells: pd.DataFrame, metrics: Sequence[str], what: str, axes: Sequence[str] = ()) -> None:
    """Raises CogxError where the cells are of several kinds."""
    for column in _columns(cells, metrics, axes):
        found = sorted(cells[column].dropna().astype(str).unique())
        if len(found) > 1:
            name = column.removeprefix("params.")
            if not column.startswith("params."):
                raise CogxError(
                    f"{what}: values of {len(found)} definitions ({'; '.join(found)}) are not averaged; "
                    "`cogx-runs rescore SWEEP` measures all runs by the present one"
                )
            raise CogxError(
                f"{what}: runs of {len(found)} kinds of {name} ({', '.join(found)}) are not averaged; load those "
                f"of one, as with where=['{name}={found[0]}']"
            )


def _columns(cells: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str]) -> list[str]:
    has_score = any(map(is_of_the_clip, metrics))
    names: Iterable[str] = (name for name in NEVER_MIXED if name not in axes and (has_score or name != "clip_model"))
    columns = [*(f"params.{name}" for name in names), *map(card_column, metrics)]
    return [column for column in columns if column in cells.columns]


def is_of_the_clip(metric: str) -> bool:
    """Whether a metric's value depends on the CLIP that a run names."""
    return metric in cards() and cards()[metric].uses_clip


def card_column(metric: str) -> str:
    """The column that says by which definition a run's value was measured."""
    return f"definition.{metric}"


def with_cards(cells: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """With the column of each metric's definition."""
    tags = cells["tags.cogx.metrics"] if "tags.cogx.metrics" in cells.columns else [None] * len(cells)
    meant = [json.loads(text) if isinstance(text, str) else {} for text in tags]
    return cells.assign(**{card_column(metric): [found.get(metric) for found in meant] for metric in metrics})


def _told_apart(finished: pd.DataFrame, columns: Sequence[str]) -> dict[tuple[str, ...], str]:
    """What each kind is called, by its values of the columns."""
    named = [name for name in ("params.model", "params.model_revision") if name in finished.columns]
    distinct = finished[list(dict.fromkeys([*columns, *named]))].drop_duplicates()
    keys = _keys(distinct, columns)
    models = dict(zip(keys, _model_names(_keys(distinct, named)), strict=True))
    keys = list(models)
    told: list[tuple[str, ...]] = [()] * len(keys)
    for place, column in enumerate(columns):
        name = column.removeprefix("params.")
        parts = [models[key] if name == "model_revision" else f"{name} {key[place]}" for key in keys]
        longer = [(*names, part) for names, part in zip(told, parts, strict=True)]
        if len(set(longer)) > len(set(told)):
            told = longer
    return {key: ", ".join(names) for key, names in zip(keys, told, strict=True)}


def _model_names(models: Sequence[tuple[str, ...]]) -> list[str]:
    """Of each name and revision the name, and the revision's beginning where that name has several."""
    revisions = Counter(model[0] for model in set(models) if model)
    return [
        "model " + (f"{model[0]}@{model[-1][:8]}" if revisions[model[0]] > 1 else model[0]) if model else ""
        for model in models
    ]


def _keys(runs: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(runs[list(columns)].astype(str).itertuples(index=False, name=None)) if columns else [()] * len(runs)
