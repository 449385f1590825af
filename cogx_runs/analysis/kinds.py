"""Kinds of runs whose figures are never averaged together: models, sizes, precisions, and CLIPs that gave a score."""

from collections.abc import Iterable, Sequence

import pandas as pd

from cogx_runs.errors import CogxError

NEVER_MIXED = ("model_revision", "height", "width", "dtype", "clip_model")


def kinds_of(frame: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str] = ()) -> list[tuple[str, pd.DataFrame]]:
    """The finished runs of each kind, with what tells it from the others: `model 5b`, or nothing where all are alike.

    Kinds differ in NEVER_MIXED, `axes` aside, and in the CLIP where one of the metrics is a score. What follows from
    what is named already, as the precision often does from the model, is not named.
    """
    finished = frame[frame["status"] == "FINISHED"]
    columns = _columns(finished, metrics, axes)
    groups = [part for _, part in finished.groupby(columns, dropna=False)] if columns else [finished]
    told: list[tuple[str, ...]] = [()] * len(groups)
    for column in columns:
        named = [(*names, _name(finished, part, column)) for names, part in zip(told, groups, strict=True)]
        if len(set(named)) > len(set(told)):
            told = named
    return [(", ".join(names), part) for names, part in zip(told, groups, strict=True)]


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


def _name(finished: pd.DataFrame, part: pd.DataFrame, column: str) -> str:
    """`height 480`; of a model's revision the model's name, and its beginning where the name has several."""
    value = str(part[column].iloc[0])
    name = column.removeprefix("params.")
    if name != "model_revision" or "params.model" not in finished.columns:
        return f"{name} {value}"
    model = str(part["params.model"].iloc[0])
    revisions = finished.loc[finished["params.model"] == model, column].nunique()
    return f"model {model}" + (f"@{value[:8]}" if revisions > 1 else "")
