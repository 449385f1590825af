"""The smallest count of a ladder that is not inferior to its largest, the reference, by a margin: by bisection.

A count is shown not inferior where the interval of its mean difference from the reference over prompts lies wholly on
the good side of the margin, inferior where it lies wholly beyond it; else it is inconclusive, and goes for not shown.

Quality is taken not to fall as the count grows. The counts that are measured already narrow the bracket first: from
the reference downwards, until one is not shown. Then the middle of the bracket, the upper one of two, is measured,
until nothing lies between the smallest count shown and the largest one not shown below it.

A wrong answer needs a false proof. Until one has happened, a truly inferior count is met only on the path of a search
that is always right: the largest inferior one of those measured before, and one at each upward move after it, at most
`looks(n)` in all for n counts below the reference. Each test is therefore held to 5% / `looks(n)`, one-sided
(Bonferroni): 1.25% for the four looks of the default ladder. So at most 5% of searches give an inferior count, as far
as t intervals are right, whatever was measured before, and however often the search was stopped and gone on with.
benchmarks/threshold_accuracy.py holds it to that in simulation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy.typing as npt

from cogx_runs.analysis.intervals import Sample
from cogx_runs.analysis.verdict import ALPHA
from cogx_runs.errors import CogxError
from cogx_runs.formatting import count, signed
from cogx_runs.metrics.card import Direction

REFERENCE = 50
LADDER = (5, 6, 8, 10, 12, 15, 20, 25, 30, 35, 40, REFERENCE)
"""Neighbours differ by a sixth to a third, since what a step adds goes by the ratio of counts; among them is every
count from 5 on that divides 1000, so that runs of diffusers' plain schedulers can be searched too."""

PointVerdict = Literal["not inferior", "inferior", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class ThresholdPoint:
    """A measured count, against the reference."""

    count: int
    mean: float
    """Of the differences from the reference over prompts, in the metric's unit."""
    low: float
    """Of the interval that the verdict rests on, both ends at the search's `alpha`."""
    high: float
    prompts: int
    """The sampling units."""
    seeds: int
    """Over which a prompt's differences are averaged."""
    verdict: PointVerdict


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """How far a search has come."""

    metric: str
    better: Direction
    margin: float
    """How much worse still counts as not inferior, in the metric's unit."""
    reference: int
    alpha: float
    """One-sided level of each count's test."""
    found: int
    """The smallest count shown not inferior, with all that were measured above it; the reference where none is."""
    not_shown: int | None
    """The largest count below `found` that is measured and not shown; None where none is measured there."""
    next_count: int | None
    """The count to be measured next; None when the search is settled."""
    curve: tuple[ThresholdPoint, ...]
    """Every measured count below the reference, in order."""
    out_of_order: tuple[int, ...]
    """Counts shown not inferior below one that is not: against the assumption, or by chance."""

    @property
    def settled(self) -> bool:
        """Whether no count of the ladder is left whose measure could change the answer."""
        return self.next_count is None

    def point(self, count: int | None) -> ThresholdPoint | None:
        """The curve at a count; None at the reference and where nothing is measured."""
        return next((point for point in self.curve if point.count == count), None)


def looks(candidates: int) -> int:
    """How many of so many counts bisection measures at most."""
    return candidates.bit_length()


def check_ladder(ladder: Sequence[int], reference: int, where: str) -> tuple[int, ...]:
    """The ladder in order. Raises CogxError, beginning with `where`, for one that cannot be searched."""
    counts = sorted(set(ladder))
    if reference not in counts:
        raise CogxError(
            f"{where}: lacks the reference {reference}; add {reference} to it, or give --reference one of its counts"
        )
    if counts[-1] != reference:
        raise CogxError(f"{where}: {counts[-1]} is above the reference {reference}; leave it out, or make it that")
    if counts[0] < 1 or len(counts) < 2:
        raise CogxError(f"{where}: must be whole numbers above 0, at least one below the reference {reference}")
    return tuple(counts)


def judge_threshold(
    differences: Mapping[int, npt.ArrayLike],
    ladder: Sequence[int],
    *,
    margin: float,
    better: Direction,
    metric: str,
    seeds: int,
) -> Threshold:
    """What the counts measured so far say, and which one comes next.

    `differences` has, of each measured count, one value a prompt: the metric there less at the reference, averaged
    over `seeds`. `ladder` is as `check_ladder` gives it, its last count the reference. Raises CogxError for a single
    prompt, of which there is no interval.
    """
    counts = ladder[:-1]
    alpha = ALPHA / looks(len(counts))
    points = {
        count: _point(count, Sample.of(differences[count]), alpha, margin, better, seeds)
        for count in counts
        if count in differences
    }
    shown, not_shown = len(counts), -1
    for place in reversed(range(len(counts))):
        if counts[place] in points:
            if points[counts[place]].verdict != "not inferior":
                not_shown = place
                break
            shown = place
    return Threshold(
        metric=metric,
        better=better,
        margin=margin,
        reference=ladder[-1],
        alpha=alpha,
        found=ladder[shown],
        not_shown=counts[not_shown] if not_shown >= 0 else None,
        next_count=counts[(not_shown + shown + 1) // 2] if shown - not_shown > 1 else None,
        curve=tuple(points.values()),
        out_of_order=tuple(
            count
            for count in counts[: max(not_shown, 0)]
            if count in points and points[count].verdict == "not inferior"
        ),
    )


def threshold_sentence(threshold: Threshold) -> str:
    """The answer and what limits it, in plain English."""
    t = threshold
    compared = f"not inferior to {t.reference} steps in {t.metric}, by a margin of {t.margin:g}"
    point, below = t.point(t.found), t.point(t.not_shown)
    if point is None:
        said = [f"No step count below {t.reference} is shown {compared}."]
    else:
        said = [
            f"{t.found} is the smallest step count shown {compared}: {signed(point.mean)} on average "
            f"({_interval(point, t)}; {count(point.prompts, 'prompt')}, {count(point.seeds, 'seed')})."
        ]
    if below is not None and below.verdict == "inferior":
        said.append(f"{below.count} is inferior ({signed(below.mean)}, {_interval(below, t)}).")
    elif below is not None:
        said.append(
            f"{below.count} is inconclusive ({signed(below.mean)}, {_interval(below, t)}): more prompts may show it "
            "not inferior."
        )
    elif t.settled:
        said.append("The ladder has no smaller count.")
    if t.out_of_order:
        fewer = ", ".join(map(str, t.out_of_order))
        said.append(
            f"Out of order: {fewer} shown not inferior as well, below {t.not_shown}, which is not; the answer takes "
            "quality not to fall as steps are added, and does not rest on it."
        )
    if not t.settled:
        said.append(f"Not settled: {t.next_count} would be measured next.")
    return " ".join(said)


def _point(count: int, sample: Sample, alpha: float, margin: float, better: Direction, seeds: int) -> ThresholdPoint:
    if sample.count < 2:
        raise CogxError(f"{count} steps: one prompt has no interval, and nothing can be concluded; add prompts")
    low, high = sample.interval(1 - 2 * alpha)
    worst, best = (low, high) if better == "higher" else (-high, -low)
    verdict: PointVerdict = "not inferior" if worst > -margin else "inferior" if best < -margin else "inconclusive"
    return ThresholdPoint(
        count=count, mean=sample.mean, low=low, high=high, prompts=sample.count, seeds=seeds, verdict=verdict
    )


def _interval(point: ThresholdPoint, threshold: Threshold) -> str:
    return f"{100 * (1 - 2 * threshold.alpha):.3g}% interval {signed(point.low)} to {signed(point.high)}"
