"""The values of an axis that may be the best one.

A value is left out where another one is shown better than it: by one-sided sign flips of the prompts, with the smallest
p over the other values held against its own distribution (a comparison with the best, Hsu 1984, by permutation). So the
best value is left out of at most 5% of such sets.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cogx_runs.analysis.effects import direction_of
from cogx_runs.analysis.intervals import ALPHA, Floats
from cogx_runs.analysis.pairs import check_axis, finished_cells, largest_machine, with_followers
from cogx_runs.analysis.signflips import FEWEST, SignFlips, shares_reaching
from cogx_runs.analysis.strata import check_not_mixed, strata_of
from cogx_runs.errors import CogxError
from cogx_runs.tracking.columns import metric_column, param_column


@dataclass(frozen=True, kw_only=True)
class BestValues:
    """The values of an axis that are not shown worse than the best."""

    axis: str
    metric: str
    kind: str
    """The stratum of the runs, as in an Effect."""
    values: tuple[Any, ...]
    """All values, in order."""
    means: tuple[float, ...]
    """Mean over prompts at each value."""
    p: tuple[float, ...]
    """p that each value is the best."""
    best: Any
    """The value with the best mean."""
    prompts: int
    """Prompts that have every value; below six nothing is left out."""

    @property
    def candidates(self) -> tuple[Any, ...]:
        """The values that may be the best one."""
        return tuple(value for value, p in zip(self.values, self.p, strict=True) if p > ALPHA)


def best_values(
    frame: pd.DataFrame,
    axis: str,
    metric: str = "clip_score",
    *,
    apart: bool = False,
    among: pd.DataFrame | None = None,
) -> list[BestValues]:
    """Finds the values of an axis that may be the best by a metric, over the prompts, seeds and settings that have
    every value; one result, or with `apart` one a stratum. None where fewer than two values have runs.

    `frame` is as `load_runs` returns it; `among` is as for `effects`. Raises CogxError for an axis along which runs
    cannot be compared, a metric without a better direction, and runs of several models, CLIPs or sizes.
    """
    check_axis(axis, frame)
    direction = direction_of(metric)
    if direction is None:
        raise CogxError(f"{metric}: nobody knows which direction is better, so that there is no best")
    found = []
    along = with_followers(frame, (axis,))
    for kind, runs in strata_of(frame, (metric,), along, among) if apart else [("", frame)]:
        cells = finished_cells(runs, (metric,), along)
        check_not_mixed(cells, (metric,), f"{metric} over {axis}", along)
        cells = largest_machine(cells)
        table = cells.pivot_table(
            index=["prompt", "context"], columns=param_column(axis), values=metric_column(metric), aggfunc="first"
        )
        whole = table.dropna().astype(float).groupby(level="prompt").mean()
        if len(whole) and whole.shape[1] > 1:
            found.append(_best(axis, metric, kind, whole, 1 if direction == "higher" else -1))
    return found


def p_of_best(values: Floats) -> Floats:
    """Computes the p that each column (prompts by values) has the highest mean."""
    prompts, count = values.shape
    flips = SignFlips(prompts)
    found = np.ones(count)
    for place in range(count):
        others = np.delete(np.arange(count), place)
        ahead = values[:, others].T - values[:, place]  # positive where another value is better
        shares = np.stack([_one_sided(row, flips) for row in ahead])
        smallest = shares.min(axis=0)
        found[place] = (smallest <= smallest[0]).mean()
    return found


def _one_sided(row: Floats, flips: SignFlips) -> Floats:
    """Computes the one-sided p that each choice of signs, and each opposite, would have given."""
    sums = row.sum() - 2 * flips.parts(row)
    sums = np.concatenate([sums, -sums])
    unit = np.abs(row).sum() * 1e-9 or 1.0
    return shares_reaching(np.round(sums / unit))


def _best(axis: str, metric: str, kind: str, whole: pd.DataFrame, sign: int) -> BestValues:
    values: Floats = whole.to_numpy()
    means = values.mean(axis=0)
    p = p_of_best(sign * values) if len(values) >= FEWEST else np.ones(len(means))
    names = whole.columns.tolist()
    return BestValues(
        axis=axis,
        metric=metric,
        kind=kind,
        values=tuple(names),
        means=tuple(means.tolist()),
        p=tuple(p.tolist()),
        best=names[int((sign * means).argmax())],
        prompts=len(whole),
    )
