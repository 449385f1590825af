"""Interactions of two axes, as differences of differences over a grid."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from cogx_runs.analysis.effects import Margin, baseline_of, family_of, margin_of
from cogx_runs.analysis.pairs import check_axis, finished_cells, largest_machine, values_of, with_followers
from cogx_runs.analysis.strata import check_not_mixed, strata_of
from cogx_runs.analysis.verdict import Differences, Family, Judgement, judge_families, more_prompts
from cogx_runs.tracking.columns import metric_column, param_column


@dataclass(frozen=True, kw_only=True)
class Interaction(Judgement):
    """The change of a metric along one axis at a value of another axis, less the same change at that axis' baseline.

    The mean is of (a, b) - (a0, b) - (a, b0) + (a0, b0); the verdict is never better or worse.
    """

    axis_a: str
    value_a: Any
    baseline_a: Any
    axis_b: str
    value_b: Any
    baseline_b: Any
    metric: str
    kind: str
    """As in an Effect."""
    squares: int
    """Squares of four cells, over which a prompt's differences are averaged."""
    degenerate: int
    """Degenerate videos of the squares. They count."""
    more_prompts: int | None
    """As in an Effect."""


@dataclass(frozen=True, kw_only=True)
class Square:
    """Two values of two axes against both baselines, before they are judged."""

    axes: tuple[str, str]
    values: tuple[Any, Any]
    baselines: tuple[Any, Any]
    metric: str
    kind: str
    """As in a Contrast."""
    cells: pd.DataFrame
    """A row a square of four cells, with its prompt."""

    @property
    def family(self) -> Family:
        """An interaction is never primary."""
        return family_of(self.metric, None)

    @property
    def by_prompt(self) -> "pd.Series[float]":
        """The difference of differences of each prompt."""
        cells = self.cells
        return (cells[0] - cells[1] - cells[2] + cells[3]).astype(float).groupby(cells["prompt"]).mean()


def interactions(
    frame: pd.DataFrame,
    axis_a: str,
    axis_b: str,
    metric: str,
    baselines: Mapping[str, Any] | None = None,
    margins: Mapping[str, Margin | None] | None = None,
    *,
    apart: bool = False,
    among: pd.DataFrame | None = None,
) -> list[Interaction]:
    """Estimates the interaction at every two values that are not the baselines; they are exploratory, as one family.

    Two values have no interaction where no prompt has the four cells. `apart` and `among` are as for `effects`, and
    CogxError is raised as there.
    """
    found = squares(frame, axis_a, axis_b, metric, baselines, apart=apart, among=among)
    judgements = judge_families([(square_differences(one, margins or {}), one.family) for one in found])
    return [interaction_of(one, judgement) for one, judgement in zip(found, judgements, strict=True)]


def squares(
    frame: pd.DataFrame,
    axis_a: str,
    axis_b: str,
    metric: str,
    baselines: Mapping[str, Any] | None = None,
    *,
    apart: bool = False,
    among: pd.DataFrame | None = None,
) -> list[Square]:
    """Collects the cells of each interaction, as `interactions` does, and judges nothing."""
    axes = (axis_a, axis_b)
    for axis in axes:
        check_axis(axis, frame)
    chosen = {axis: baseline_of(frame, axis, baselines or {}) for axis in axes}
    return [
        Square(
            axes=axes,
            values=values,
            baselines=(chosen[axis_a], chosen[axis_b]),
            metric=metric,
            kind=kind,
            cells=cells,
        )
        for kind, runs in (strata_of(frame, (metric,), with_followers(frame, axes), among) if apart else [("", frame)])
        for values, cells in _squares(runs, chosen, metric).items()
    ]


def square_differences(found: Square, margins: Mapping[str, Margin | None]) -> Differences:
    """Returns a square's differences, to be judged."""
    by_prompt = found.by_prompt
    return Differences(
        values=np.asarray(by_prompt, dtype=float),
        prompts=tuple(map(str, by_prompt.index)),
        margin=margin_of(found.metric, float(found.cells[3].mean()), margins),
    )


def interaction_of(found: Square, judgement: Judgement) -> Interaction:
    """Makes a square's interaction of its judgement."""
    return Interaction(
        **asdict(judgement),
        axis_a=found.axes[0],
        value_a=found.values[0],
        baseline_a=found.baselines[0],
        axis_b=found.axes[1],
        value_b=found.values[1],
        baseline_b=found.baselines[1],
        metric=found.metric,
        kind=found.kind,
        squares=len(found.cells),
        degenerate=int(found.cells["degenerate"].sum()),
        more_prompts=more_prompts(judgement, found.by_prompt.to_numpy()),
    )


def _squares(frame: pd.DataFrame, baselines: Mapping[str, Any], metric: str) -> dict[tuple[Any, Any], pd.DataFrame]:
    """Collects the squares of cells by the two axes' values, with the degenerate videos of each. A square begins with
    the cell of both values and ends with that of both baselines."""
    (axis_a, base_a), (axis_b, base_b) = baselines.items()
    axes = with_followers(frame, (axis_a, axis_b))
    cells = finished_cells(frame, (metric,), axes)
    index, columns = ["prompt", "context", "machine"], [param_column(axis) for axis in (axis_a, axis_b)]
    table = cells.pivot_table(index=index, columns=columns, values=metric_column(metric), aggfunc="first")
    degenerate = cells.astype({"is_degenerate": int}).pivot_table(index=index, columns=columns, values="is_degenerate")
    squares = {}
    for value_a in values_of(frame, axis_a):
        for value_b in values_of(frame, axis_b):
            corners = [(value_a, value_b), (base_a, value_b), (value_a, base_b), (base_a, base_b)]
            if value_a == base_a or value_b == base_b or not set(corners) <= set(table.columns):
                continue
            whole = table[corners].dropna()
            found = degenerate.loc[whole.index, corners].sum(axis=1)
            whole = whole.set_axis(range(4), axis=1).assign(degenerate=found).reset_index()
            members = cells[cells["context"].isin(whole["context"])]
            check_not_mixed(members, (metric,), f"{metric} over {axis_a} and {axis_b}", axes)
            whole = largest_machine(whole)
            if len(whole):
                squares[value_a, value_b] = whole
    return squares
