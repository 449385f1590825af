"""The mean of differences over prompts: Student's interval and test, its size, and how many prompts are needed.

Verdicts rest on the sign-flip test (`signflips.py`); Student's t is given beside it. In simulation both cover 95% where
differences are symmetric, less where few prompts carry the loss (docs/results/verdict-errors.md).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

ALPHA = 0.05
"""Level of verdicts, and of what an interval leaves out."""
POWER = 0.8
MAX_PROMPTS = 1000
"""Upper limit of the estimated number of prompts."""
_ROUNDING = 1e-9
"""A spread below this share of the values counts as rounding."""
_LARGEST_SIZE = 10.0
"""Largest effect size for the power's noncentral t, which has no figures far beyond it."""


@dataclass(frozen=True)
class Sample:
    """Sample statistics of differences, for a t interval."""

    count: int
    mean: float
    spread: float
    """Standard deviation of the sample; 0 where all are the same, or where there is only one."""

    @classmethod
    def of(cls, values: npt.ArrayLike) -> "Sample":
        """Computes the statistics of values."""
        array = np.asarray(values, dtype=float)
        spread = float(array.std(ddof=1)) if array.size > 1 else 0.0
        same = spread <= _ROUNDING * float(np.abs(array).max())
        return cls(array.size, float(array.mean()), 0.0 if same else spread)

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return float(self.spread / np.sqrt(self.count))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Computes the t interval of the mean of two values or more; without spread both ends are the mean."""
        half = self.error * float(special.stdtrit(self.count - 1, (1 + confidence) / 2))
        return self.mean - half, self.mean + half

    def p_differs(self) -> float:
        """Computes the two-sided p of the one-sample t test against 0."""
        if self.spread == 0:
            return float(self.mean == 0)
        return 2 * float(special.stdtr(self.count - 1, -abs(self.mean) / self.error))

    def p_within(self, margin: float) -> float:
        """Computes the p of two one-sided tests (Schuirmann 1987) that the mean lies in -margin to margin."""
        inside = margin - abs(self.mean)
        if self.spread == 0:
            return float(inside <= 0)
        return float(special.stdtr(self.count - 1, -inside / self.error))

    def hedges_g(self) -> float | None:
        """Computes the mean by the standard deviation, with the exact factor for small samples of Hedges (1981); g_z of
        paired differences. None without spread, and below three values, where the factor is 0."""
        if self.spread == 0 or self.count < 3:
            return None
        df = self.count - 1
        factor = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
        return float(self.mean / self.spread * factor)


def mean_intervals(values: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Computes both ends of the t interval of the mean along the last axis."""
    count = values.shape[-1]
    mean = values.mean(axis=-1)
    half = special.stdtrit(count - 1, (1 + confidence) / 2) * values.std(axis=-1, ddof=1) / np.sqrt(count)
    return mean - half, mean + half


def prompts_to_differ(sample: Sample, alpha: float, fewest: int = 2) -> int | None:
    """Estimates how many prompts in all, `fewest` or more, give the two-sided t test at `alpha` a power of 80%, if mean
    and spread are as seen; None beyond MAX_PROMPTS."""
    if sample.spread == 0:
        return None
    size = min(abs(sample.mean) / sample.spread, _LARGEST_SIZE)
    return _first(max(sample.count + 1, fewest), lambda count: _power(size, count, alpha, "two-sided"))


def prompts_to_lie_within(sample: Sample, margin: float, alpha: float, share: float) -> int | None:
    """Estimates how many prompts in all give a power of 80% to both one-sided tests at `alpha` and to the bound of
    `share` on the prompts beyond the margin, if mean and spread are as seen and differences are normal; None beyond
    MAX_PROMPTS, and where the mean seen is outside.

    The power is bounded from below by the sum of the three less 2.
    """
    if sample.spread == 0 or abs(sample.mean) >= margin:
        return None
    sides = [(margin + sign * abs(sample.mean)) / sample.spread for sign in (-1, 1)]
    near, far = (min(side, _LARGEST_SIZE) for side in sides)
    beyond = float(sum(special.ndtr(-side) for side in sides))

    def power(count: int) -> float:
        means = _power(near, count, alpha, "larger") + _power(far, count, alpha, "larger") - 1
        few = special.bdtrc(np.arange(count), count, share)  # the bound is kept with k beyond where P(> k) >= 95%
        kept = int((few >= 1 - ALPHA).sum())
        return means + (float(special.bdtr(kept - 1, count, beyond)) if kept else 0.0) - 1

    return _first(sample.count + 1, power)


def _power(size: float, count: int, alpha: float, alternative: str) -> float:
    from statsmodels.stats.power import TTestPower  # half a second, which only this needs

    return float(TTestPower().power(size, count, alpha, alternative=alternative))


def _first(start: int, power: Callable[[int], float]) -> int | None:
    """Finds the smallest count from `start` on whose power, which grows with the count, reaches POWER."""
    low, high = start - 1, start
    while power(high) < POWER:
        if high >= MAX_PROMPTS:
            return None
        low, high = high, min(2 * high, MAX_PROMPTS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high
