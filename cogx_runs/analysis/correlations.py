"""Rank correlation of one metric, the file's size, with the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from cogx_runs.analysis.intervals import Sample
from cogx_runs.analysis.kinds import check_not_mixed
from cogx_runs.analysis.pairs import finished_cells, largest_machine
from cogx_runs.tracking.columns import metric_column

FEWEST = 4
"""Values that a rank correlation is taken of; of three it can have four values only."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho between two metrics."""

    metric: str
    other: str
    kind: Literal["within prompts", "across prompts"]
    """The mean of each prompt's own rho over its cells; or, where no prompt has enough cells, of the prompts' means."""
    rho: float
    low: float | None
    """Of its 95% interval; None where there is none."""
    high: float | None
    prompts: int
    cells: int


def rank_correlations(
    frame: pd.DataFrame, metrics: Sequence[str], other: str = "file_size_bytes"
) -> list[RankCorrelation]:
    """The correlation of `other` with each metric; none where there are too few cells, or where one never varies.

    Within prompts, so that prompts that are large and score well make no correlation of their own; its interval is a t
    interval over the prompts' rhos, cut at -1 and 1, and there is none for one prompt. Across prompts it is by Fisher's
    z with the variance (1 + rho^2 / 2) / (n - 3) of Bonett and Wright (2000). Either says that two metrics go together
    over what was swept, not that one makes the other. Raises CogxError for runs of several models, CLIPs or sizes.
    """
    found = []
    for metric in metrics:
        if metric == other:
            continue
        cells = finished_cells(frame, (metric, other))
        check_not_mixed(cells, (metric, other), f"{metric} with {other}")
        cells = largest_machine(cells)
        values = pd.DataFrame({
            "prompt": cells["prompt"],
            "metric": cells[metric_column(metric)].astype(float),
            "other": cells[metric_column(other)].astype(float),
        })  # fmt: skip
        correlation = _within(metric, other, values) or _across(metric, other, values)
        if correlation is not None:
            found.append(correlation)
    return found


def _within(metric: str, other: str, values: pd.DataFrame) -> RankCorrelation | None:
    groups = [group for _, group in values.groupby("prompt") if (group.nunique() > 1)[["metric", "other"]].all()]
    groups = [group for group in groups if len(group) >= FEWEST]
    if not groups:
        return None
    rhos = Sample.of([stats.spearmanr(group["metric"], group["other"]).statistic for group in groups])
    low, high = np.clip(rhos.interval(0.95), -1, 1).tolist() if rhos.count > 1 else (None, None)
    return RankCorrelation(
        metric, other, "within prompts", rhos.mean, low, high, rhos.count, sum(len(group) for group in groups)
    )


def _across(metric: str, other: str, values: pd.DataFrame) -> RankCorrelation | None:
    means = values.groupby("prompt").mean()
    count = len(means)
    if count < FEWEST or (means.nunique() < 2).any():
        return None
    rho = float(stats.spearmanr(means["metric"], means["other"]).statistic)
    low, high = None, None
    if abs(rho) < 1:
        half = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (count - 3))
        low, high = np.tanh([np.arctanh(rho) - half, np.arctanh(rho) + half]).tolist()
    return RankCorrelation(metric, other, "across prompts", rho, low, high, count, len(values))
