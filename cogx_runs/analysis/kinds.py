"""Kinds of runs whose figures are never averaged together: models, sizes, precisions, and CLIPs that gave a score."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from cogx_runs.errors import CogxError

NEVER_MIXED = ("model_revision", "height", "width", "dtype", "clip_model")


def kinds_of(
    frame: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str] = (), among: pd.DataFrame | None = None
) -> list[tuple[str, pd.DataFrame]]:
    """The finished runs of each kind, with what tells it from the others: `model 5b`, or nothing where all are alike.

    Kinds differ in NEVER_MIXED, `axes` aside, and in the CLIP where one of the metrics is a score. They are told from
    the others of `among`, which holds these runs and more. What follows from what is named already, as the precision
    often does from the model, is not named.
    """
    finished = frame[frame["status"] == "FINISHED"]
    whole = finished if among is None else among[among["status"] == "FINISHED"]
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
            raise CogxError(
                f"{what}: runs of {len(found)} kinds of {name} ({', '.join(found)}) are not averaged; load those "
                f"of one, as with where=['{name}={found[0]}']"
            )


def _columns(cells: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str]) -> list[str]:
    has_score = any(metric.startswith("clip_score") for metric in metrics)
    names: Iterable[str] = (name for name in NEVER_MIXED if name not in axes and (has_score or name != "clip_model"))
    return [f"params.{name}" for name in names if f"params.{name}" in cells.columns]


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
