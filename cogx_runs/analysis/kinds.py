"""Kinds of runs whose figures are never averaged together: models, sizes, precisions, CLIPs that gave a score, and
definitions of a metric."""

import json
from collections.abc import Iterable, Sequence

import pandas as pd

from cogx_runs.errors import CogxError
from cogx_runs.metrics.registry import cards

NEVER_MIXED = ("model_revision", "height", "width", "dtype", "clip_model")


def kinds_of(frame: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str] = ()) -> list[tuple[str, pd.DataFrame]]:
    """The finished runs of each kind, with what tells it from the others: `model 5b`, or nothing where all are alike.

    Kinds differ in NEVER_MIXED, `axes` aside, in the CLIP only where one of the metrics depends on it, and in the
    metrics' definitions. What follows from what is named already, as the precision often does from the model, is not
    named.
    """
    finished = with_cards(frame[frame["status"] == "FINISHED"], metrics)
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


def _name(finished: pd.DataFrame, part: pd.DataFrame, column: str) -> str:
    """`height 480`; of a model's revision the model's name, and its beginning where the name has several."""
    value = str(part[column].iloc[0])
    name = column.removeprefix("params.")
    if name != "model_revision" or "params.model" not in finished.columns:
        return f"{name} {value}"
    model = str(part["params.model"].iloc[0])
    revisions = finished.loc[finished["params.model"] == model, column].nunique()
    return f"model {model}" + (f"@{value[:8]}" if revisions > 1 else "")
