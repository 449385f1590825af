"""The exact sign-flip test of differences over prompts, its interval, and its correction over a family.

Where a value changes nothing, a prompt's difference is as likely d as -d. All 2^n choices of signs are then equally
likely, and p is the share of them whose sum is at least as far from 0 as the sum seen (Fisher 1935): exact whatever the
spread over prompts, with 2 / 2^n as its smallest value. The means that are not rejected reach from the k-th smallest to
the k-th largest mean of a subset of the differences (Hartigan 1969), k = alpha/2 * 2^n; below six prompts there is no
95% interval. Above EXACT prompts signs are drawn at random, always the same ones, each choice with its opposite.

Over a family the smallest p is compared with the smallest p under the same signs (Westfall and Young 1993, step-down
minP). Comparisons of the same prompts depend on each other, which this uses: it rejects whatever Holm's procedure does,
and more.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from cogx_runs.analysis.intervals import Floats
from cogx_runs.definitions.limits import FEWEST_PROMPTS

EXACT = 20
"""Most prompts of which all signs are tried."""
DRAWS = 2**15
"""Signs that are tried of more prompts, half of all choices that count."""
FEWEST = FEWEST_PROMPTS
"""Fewest prompts of which a p can be below 5%, two-sided."""
_SEED = 20240613
_TIES = 1e-9
"""Sums this near to each other, relative to the largest possible one, count as the same."""


@lru_cache(maxsize=4)
def _turned(draws: int, prompts: int) -> Floats:
    """Draws choices by prompts: 1 where a sign is turned."""
    turned = np.random.default_rng(_SEED).random((draws, prompts)) < 0.5
    turned[0] = False
    return turned.astype(float)


@dataclass(frozen=True)
class SignFlips:
    """Choices of signs for so many prompts. Each stands for its opposite too; the first one changes no sign."""

    prompts: int
    exact: int = EXACT
    draws: int = DRAWS

    @property
    def is_exact(self) -> bool:
        """Whether all choices are tried."""
        return self.prompts <= self.exact

    def parts(self, values: Floats) -> Floats:
        """Sums, for each choice, the values whose sign it turns: the last axis, prompts, becomes choices."""
        if not self.is_exact:
            return np.asarray(values @ _turned(self.draws, self.prompts).T)
        sums = np.zeros((*values.shape[:-1], 1))
        for place in range(1, self.prompts):  # the first prompt's sign is kept: the opposite choice turns it
            sums = np.concatenate([sums, sums + values[..., place, None]], axis=-1)
        return sums

    @cached_property
    def _sizes(self) -> Floats:
        """Number of signs that each choice turns."""
        return self.parts(np.ones(self.prompts))

    def distances(self, values: Floats) -> Floats:
        """Computes for each choice how far from 0 the sum is, ties made equal; the last axis becomes choices."""
        largest = np.abs(values).sum(axis=-1, keepdims=True)
        unit = np.where(largest > 0, largest, 1.0) * _TIES
        return np.asarray(np.round(np.abs(values.sum(axis=-1, keepdims=True) - 2 * self.parts(values)) / unit))

    def p_differs(self, values: Floats) -> Floats:
        """Computes the two-sided p of no difference along the last axis."""
        found = self.distances(values)
        return np.asarray((found >= found[..., :1]).mean(axis=-1))

    def subset_means(self, values: Floats) -> Floats:
        """Computes the mean of each subset of the values that a choice or its opposite turns, the empty one aside."""
        parts = self.parts(values)
        with np.errstate(invalid="ignore", divide="ignore"):
            turned = parts[..., 1:] / self._sizes[1:]
            kept = (values.sum(axis=-1, keepdims=True) - parts) / (self.prompts - self._sizes)
        return np.concatenate([turned, kept], axis=-1)

    def interval(self, values: Floats, confidence: float) -> tuple[Floats, Floats]:
        """Computes both ends of the interval of the mean along the last axis; NaN where the prompts are too few for
        this confidence."""
        means = self.subset_means(values)
        rank = int(np.floor((1 - confidence) / 2 * (means.shape[-1] + 1) * (1 + _TIES)))
        if rank < 1:
            none = np.full(values.shape[:-1], np.nan)
            return none, none
        ordered = np.partition(means, (rank - 1, means.shape[-1] - rank), axis=-1)
        return ordered[..., rank - 1], ordered[..., -rank]

    def p_within(self, values: Floats, margin: npt.ArrayLike) -> Floats:
        """Computes the p of two one-sided tests that the mean lies in -margin to margin, along the last axis."""
        return np.maximum(self.p_above(values, -np.asarray(margin)), self.p_above(-values, -np.asarray(margin)))

    def p_above(self, values: Floats, bound: npt.ArrayLike) -> Floats:
        """Computes the one-sided p that the mean is above `bound`, along the last axis."""
        bound = np.asarray(bound)[..., None]
        means = self.subset_means(values)
        near = _TIES * np.abs(values).max(axis=-1, keepdims=True)
        return np.asarray((1 + (means <= bound + near).sum(axis=-1)) / (means.shape[-1] + 1))


@dataclass(frozen=True)
class Step:
    """A comparison's place in the correction of a family."""

    p: float
    adjusted_p: float
    alpha: float
    """The largest p that is rejected at its step, or at the first step that failed; 0 where none can be."""


def step_down(values: Floats, alpha: float, flips: SignFlips) -> list[Step]:
    """Corrects a family of comparisons by prompts for each other.

    A prompt that a comparison lacks is 0 there, which changes no sum.
    """
    shares = [_shares(row, flips) for row in values]
    raw = np.array([share[0] for share in shares])
    order = np.argsort(-raw, kind="stable")
    smallest = np.ones_like(shares[0])
    steps = np.empty(len(raw))
    levels = np.empty(len(raw))
    for place in order:  # from the least significant one: each step is among those that it leaves
        np.minimum(smallest, shares[place], out=smallest)
        steps[place] = (smallest <= raw[place]).mean()
        levels[place] = _largest_rejected(smallest, alpha)
    found: dict[int, Step] = {}
    adjusted, failed = 0.0, None
    for place in order[::-1]:
        adjusted = max(adjusted, float(steps[place]))
        if adjusted > alpha and failed is None:
            failed = float(levels[place])
        level = float(levels[place]) if failed is None else failed
        found[int(place)] = Step(float(raw[place]), adjusted, level)
    return [found[place] for place in range(len(raw))]


def _shares(row: Floats, flips: SignFlips) -> Floats:
    """Computes the p that each choice of signs would have given."""
    return shares_reaching(flips.distances(row))


def shares_reaching(values: Floats) -> Floats:
    """Computes for each value the share of all values that are at least as large."""
    return np.asarray(1 - np.searchsorted(np.sort(values), values, side="left") / len(values))


def _largest_rejected(smallest: Floats, alpha: float) -> float:
    """Finds the largest value that at most `alpha` of all values reach."""
    ordered = np.sort(smallest)
    most = int(np.floor(alpha * len(ordered) * (1 + _TIES)))
    place = int(np.searchsorted(ordered, ordered[most], side="left")) if most < len(ordered) else len(ordered)
    return float(ordered[place - 1]) if place else 0.0
