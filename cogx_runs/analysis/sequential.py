"""Levels for verdicts that are looked at more than once, as prompts are added.

Whoever adds prompts until a verdict appears finds one by chance far more often than in 5% of studies. Where the most
prompts are fixed beforehand, each look may use a part of the 5% (Lan and DeMets 1983, with Pocock's spending function
alpha ln(1 + (e - 1) t) of the share t of the prompts). Where they are not, an e-value may be looked at at any time: the
Bayes factor of a t test whose effect has a normal prior of variance G, at least 1/alpha in at most alpha of all studies
without an effect, however often it is looked at (Grunwald, de Heide and Koolen 2024).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from cogx_runs.analysis.intervals import ALPHA, Floats

G = 4.0
"""Variance of the prior of the effect, in squared standard deviations of the differences."""
_PATHS = 400_000
_SEED = 20240613

Rule = Literal["one look", "spending", "e-value"]


@dataclass(frozen=True, kw_only=True)
class Looks:
    """The looks at a comparison, and what they leave for the present one."""

    prompts: tuple[int, ...] = ()
    """Prompts at each look, growing."""
    max_prompts: int | None = None
    """The most prompts, as they were fixed before the first look; None where they were not."""
    place: int = -1
    """Which of the looks the present one is, counted from the last one, -1."""

    @property
    def rule(self) -> Rule:
        """How verdicts are kept right over the looks."""
        if self.max_prompts is not None:
            return "spending"
        return "e-value" if len(self.prompts) > 1 else "one look"

    @property
    def alpha(self) -> float:
        """Level of the present look; 0 where nothing is left of the 5%."""
        return self.level(ALPHA)

    def level(self, alpha: float) -> float:
        """Computes the two-sided level of the present look where `alpha` is that of all looks together."""
        if self.max_prompts is None or not self.prompts:
            return alpha
        return levels(self.prompts, self.max_prompts, alpha)[self.place]

    def at(self, prompts: int) -> "Looks":
        """Adds the present look at so many prompts. At no more prompts than before it is no further look, and has the
        level of the first one that saw as many."""
        if not self.prompts or prompts > self.prompts[-1]:
            return Looks(prompts=(*self.prompts, prompts), max_prompts=self.max_prompts)
        place = next(place for place, count in enumerate(self.prompts) if count >= prompts) - len(self.prompts)
        return Looks(prompts=self.prompts, max_prompts=self.max_prompts, place=place)


ONE_LOOK = Looks()


def strictest(found: Sequence[Looks]) -> Looks:
    """Selects the looks by which comparisons of several experiments are judged together."""
    order = {"e-value": 0, "spending": 1, "one look": 2}
    return min(found, key=lambda looks: (order[looks.rule], looks.alpha), default=ONE_LOOK)


@cache
def levels(prompts: tuple[int, ...], max_prompts: int, alpha: float = ALPHA) -> list[float]:
    """Computes the two-sided level of each look at a growing number of prompts, such that all of them together are
    wrong in at most `alpha`; by the simulation of 400,000 studies without an effect, with a fixed seed.

    A look beyond `max_prompts` has level 0.
    """
    shares = np.minimum(np.array(prompts, dtype=float) / max_prompts, 1.0)
    spent = alpha * np.log1p((np.e - 1) * shares)
    rng = np.random.default_rng(_SEED)
    path, alive = np.zeros(_PATHS), np.ones(_PATHS, dtype=bool)
    found, before, earlier = [], 0.0, 0.0
    for share, total in zip(shares, spent, strict=True):
        if share <= earlier:
            found.append(0.0)
            continue
        path += np.sqrt(share - earlier) * rng.standard_normal(_PATHS)
        distance = np.where(alive, np.abs(path) / np.sqrt(share), 0.0)
        bound = float(np.quantile(distance, 1 - (total - before)))
        # The first look's level is known without simulation.
        found.append(float(total) if earlier == 0 else float(2 * special.ndtr(-bound)))
        alive &= distance < bound
        before, earlier = float(total), float(share)
    return found


def e_values(values: npt.ArrayLike, g: float = G) -> Floats:
    """Computes the e-value against no difference along the last axis, prompts; 1 below two prompts."""
    values = np.asarray(values, dtype=float)
    n = values.shape[-1]
    if n < 2:
        return np.ones(values.shape[:-1])
    squares = (values**2).mean(axis=-1)
    mean_share = np.divide(values.mean(axis=-1) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    # With r = mean^2 / mean square, 1 + t^2/(n-1) = 1 / (1 - r).
    shrunk = 1 - mean_share * n * g / (1 + n * g)
    with np.errstate(divide="ignore"):
        found = (1 + n * g) ** -0.5 * (1 / shrunk) ** (n / 2)
    return np.asarray(found)


def e_interval(values: npt.ArrayLike, alpha: float, g: float = G) -> tuple[float, float]:
    """Computes both ends of the means whose e-value is below 1/alpha; infinite where all are."""
    values = np.asarray(values, dtype=float)
    n = values.size
    # E >= 1/alpha where r = mean^2 / mean square is at least this.
    least = (1 - (alpha * (1 + n * g) ** -0.5) ** (2 / n)) * (1 + n * g) / (n * g)
    if n < 2 or least >= 1:
        return -np.inf, np.inf
    half = float(values.std() * np.sqrt(least / (1 - least)))
    return float(values.mean()) - half, float(values.mean()) + half
