"""Whether the effect of one axis depends on another: differences of differences, from a grid."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from cogx_runs.analysis.effects import Margin, baseline_of, margin_of
from cogx_runs.analysis.kinds import check_not_mixed, kinds_of
from cogx_runs.analysis.pairs import check_axis, finished_cells, largest_machine, values_of
from cogx_runs.analysis.verdict import Judgement, judge, more_prompts
from cogx_runs.tracking.columns import metric_column, param_column


@dataclass(frozen=True, kw_only=True)
class Interaction(Judgement):
    """How much more a metric changes with one axis at a value of another than at that one's baseline.

    The mean is of (a, b) - (a0, b) - (a, b0) + (a0, b0), and the verdict is without better or worse.
    """

    axis_a: str
    value_a: Any
    baseline_a: Any
    axis_b: str
    value_b: Any
    baseline_b: Any
    metric: str
    kind: str
    """As of an Effect."""
    squares: int
    """Of four cells, over which a prompt's differences are averaged."""
    degenerate: int
    """Of the squares' videos: those that are degenerate. They count."""
    more_prompts: int | None
    """As of an Effect."""


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
    """The interaction at every two values that are not the baselines, corrected as one family; none where no prompt has
    the four cells. `apart` and `among` are as for `effects`, and CogxError is raised as there."""
    axes = (axis_a, axis_b)
    for axis in axes:
        check_axis(axis)
    chosen = {axis: baseline_of(frame, axis, baselines or {}) for axis in axes}
    squares = {
        (kind, *values): whole
        for kind, runs in (kinds_of(frame, (metric,), axes, among) if apart else [("", frame)])
        for values, whole in _squares(runs, chosen, metric).items()
    }
    differences = {
        key: (whole[0] - whole[1] - whole[2] + whole[3]).astype(float).groupby(whole["prompt"]).mean().to_numpy()
        for key, whole in squares.items()
    }
    bounds = [margin_of(metric, float(whole[3].mean()), margins or {}) for whole in squares.values()]
    judgements = judge(list(differences.values()), bounds)
    return [
        Interaction(
            **asdict(judgement),
            axis_a=axis_a,
            value_a=value_a,
            baseline_a=chosen[axis_a],
            axis_b=axis_b,
            value_b=value_b,
            baseline_b=chosen[axis_b],
            metric=metric,
            kind=kind,
            squares=len(squares[kind, value_a, value_b]),
            degenerate=int(squares[kind, value_a, value_b]["degenerate"].sum()),
            more_prompts=more_prompts(judgement, np.asarray(differences[kind, value_a, value_b])),
        )
        for (kind, value_a, value_b), judgement in zip(squares, judgements, strict=True)
    ]


def _squares(frame: pd.DataFrame, baselines: Mapping[str, Any], metric: str) -> dict[tuple[Any, Any], pd.DataFrame]:
    """By the two axes' values: each prompt's squares of cells, those of the values first and of the baselines last,
    and how many of the four are degenerate."""
    (axis_a, base_a), (axis_b, base_b) = baselines.items()
    axes = (axis_a, axis_b)
    cells = finished_cells(frame, (metric,), axes)
    index, columns = ["prompt", "context", "machine"], [param_column(axis) for axis in axes]
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
