"""Whether a loss over prompts is shown to stay within a margin.

It takes two things. The mean lies on the good side of the margin, by one-sided sign flips at 5%; and so few prompts
lose more than the margin that at most a given share of all prompts does, at 95%. A loss is inferior where the interval
lies wholly beyond the margin; else it is inconclusive.

At repeated looks the mean is held to its part of the 5%, or to an e-value (`sequential.py`); the share is that of the
present look alone.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cogx_runs.analysis.intervals import ALPHA, Floats
from cogx_runs.analysis.sequential import ONE_LOOK, Looks, e_interval
from cogx_runs.analysis.shares import MAY_CHANGE, prompts_for, upper_share
from cogx_runs.analysis.signflips import SignFlips
from cogx_runs.metrics.card import Direction

LossVerdict = Literal["not inferior", "inferior", "inconclusive"]
FEWEST = 5
"""Fewest prompts of which a one-sided p can be below 5%."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Differences over prompts, held against a margin."""

    mean: float
    """Mean difference over prompts, in the metric's unit."""
    low: float
    """Lower end of the sign-flip interval, each of whose ends is a one-sided bound at 5%, or at what is left of it at
    this look; minus infinity where the prompts are too few for one."""
    high: float
    losing: int
    """Prompts that lose more than the margin."""
    may_lose: float
    """95% upper bound of the share of prompts that lose more than the margin."""
    mean_margin: float
    """The smallest margin at which the mean alone would pass; 0 where any would."""
    margin: float | None
    """The smallest margin at which the loss would be shown not inferior; None where the prompts are too few for any."""
    prompts: int
    """Prompts: the sampling units."""
    verdict: LossVerdict


def judge_loss(
    differences: npt.ArrayLike,
    margin: float,
    better: Direction,
    may_lose: float = MAY_CHANGE,
    looks: Looks = ONE_LOOK,
) -> Loss:
    """Judges differences, one value a prompt, of which at most the share `may_lose` of all may lose more than `margin`,
    in the metric's unit."""
    values = np.asarray(differences, dtype=float)
    gains = values if better == "higher" else -values
    prompts, losing = len(values), int((-gains > margin).sum())
    low, high = interval_of(gains, looks)
    bound = float(upper_share(losing, prompts))
    verdict: LossVerdict = "inconclusive"
    if low > -margin and bound <= may_lose:
        verdict = "not inferior"
    elif high < -margin:
        verdict = "inferior"
    mean_margin = max(-low, 0.0)
    ends = (low, high) if better == "higher" else (-high, -low)
    return Loss(
        mean=float(values.mean()),
        low=ends[0],
        high=ends[1],
        losing=losing,
        may_lose=bound,
        mean_margin=mean_margin,
        margin=_smallest_margin(gains, mean_margin, may_lose),
        prompts=prompts,
        verdict=verdict,
    )


def prompts_needed(may_lose: float, losing: int = 0) -> int:
    """Computes how few prompts, of which `losing` lose more, can show a loss not inferior."""
    return max(FEWEST, prompts_for(losing, may_lose))


def interval_of(gains: Floats, looks: Looks) -> tuple[float, float]:
    """Computes the interval of the mean whose ends are one-sided bounds; infinite where there is none."""
    if looks.rule == "e-value":
        return e_interval(gains, ALPHA)
    low, high = SignFlips(len(gains)).interval(gains, 1 - looks.level(2 * ALPHA))
    return (-np.inf, np.inf) if np.isnan(low) else (float(low), float(high))


def _smallest_margin(gains: Floats, mean_margin: float, may_lose: float) -> float | None:
    """Finds the smallest margin at which the mean passes and few enough prompts lose more."""
    bounds = upper_share(np.arange(len(gains)), len(gains))
    allowed = int((bounds <= may_lose).sum())
    if not allowed or not np.isfinite(mean_margin):
        return None
    losses = np.sort(-gains)[::-1]
    return max(mean_margin, float(losses[allowed - 1]))
