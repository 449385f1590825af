"""Parameters in the order of their changes, as far as the intervals of the changes tell them apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.intervals import ALPHA, Sample
from cogx_runs.analysis.signflips import FEWEST, SignFlips

ASPECTS = {"quality": "clip_score", "time": "wall_time_s", "memory": "peak_vram_gib"}
"""The metric by which the parameters are ranked in each aspect."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A parameter in the ranking of an aspect, by the largest change at any of its values."""

    aspect: str
    """`quality`, `time` or `memory`."""
    axis: str
    values: tuple[Any, ...]
    """The values over which it is ranked, the baseline among them: another range may rank it otherwise."""
    effect: Effect
    """The effect with the largest mean change."""
    low: float
    """Lower end of the 95% interval of the size of its largest change, simultaneous for all values of all axes; 0 where
    no change is shown."""
    high: float
    """Upper end; infinite where the prompts are too few for so many values."""
    rank: int | None
    """Rank among those whose change is shown; None where none is."""
    rank_low: int
    """Best rank that the intervals leave."""
    rank_high: int
    """Worst rank that the intervals leave."""


def rank_parameters(found: Sequence[Effect]) -> list[Ranked]:
    """Ranks the axes in each aspect by the largest absolute change at any of their values, each stratum by itself.

    Changes of one metric share its unit and are ranked as they are, not by effect size, which is small for a noisy
    axis. The largest of many noisy changes is large by chance, so that an axis is ranked only where its change is
    shown, and each rank has an interval: an axis is before another one for sure where the interval of its largest
    change lies above the other's. The ranks hold for the values swept.
    """
    ranked = []
    for aspect, metric in ASPECTS.items():
        of_metric = [effect for effect in found if effect.metric == metric]
        for kind in dict.fromkeys(effect.kind for effect in of_metric):
            ranked += _ranked(aspect, [effect for effect in of_metric if effect.kind == kind])
    return ranked


def _ranked(aspect: str, found: Sequence[Effect]) -> list[Ranked]:
    """Ranks the axes of one aspect and stratum."""
    axes = {effect.axis: [one for one in found if one.axis == effect.axis] for effect in found}
    sizes = {axis: _size(own, len(found)) for axis, own in axes.items()}
    largest = {axis: max(own, key=lambda effect: abs(effect.mean)) for axis, own in axes.items()}
    ordered = sorted(axes, key=lambda axis: (sizes[axis][0] <= 0, -abs(largest[axis].mean), axis))
    ranked = []
    for place, axis in enumerate(ordered, 1):
        low, high = sizes[axis]
        above = sum(other[0] > high for name, other in sizes.items() if name != axis)
        below = sum(other[1] < low for name, other in sizes.items() if name != axis)
        ranked.append(
            Ranked(
                aspect=aspect,
                axis=axis,
                values=tuple(sorted({one.value for one in axes[axis]} | {one.baseline for one in axes[axis]})),
                effect=largest[axis],
                low=low,
                high=high,
                rank=place if low > 0 else None,
                rank_low=1 + above,
                rank_high=len(axes) - below,
            )
        )
    return ranked


def _size(own: Sequence[Effect], comparisons: int) -> tuple[float, float]:
    """Computes the interval of the largest absolute change of an axis, by the simultaneous intervals of its values."""
    lows, highs = [], []
    for effect in own:
        low, high = _simultaneous(effect, comparisons)
        lows.append(max(low, -high, 0.0))
        highs.append(max(high, -low))
    return max(lows), max(highs)


def _simultaneous(effect: Effect, comparisons: int) -> tuple[float, float]:
    """Computes a change's sign-flip interval at the level of so many comparisons (Bonferroni)."""
    values = np.array([one.mean for one in effect.by_prompt])
    if len(values) >= FEWEST and Sample.of(values).spread == 0:  # as memory's: the same in each prompt
        return effect.mean, effect.mean
    low, high = SignFlips(len(values)).interval(values, 1 - ALPHA / comparisons)
    return (-np.inf, np.inf) if np.isnan(low) else (float(low), float(high))
