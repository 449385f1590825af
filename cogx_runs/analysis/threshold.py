"""The smallest count of a ladder that is not inferior to its largest, the reference, by a margin.

Whether a count is shown not inferior is judged by its differences from the reference (`noninferiority.py`);
inconclusive counts as not shown.

Counts are tested from the reference downwards until one is not shown, each at the full 5%: a fixed sequence (Maurer,
Hothorn and Lehmacher 1995). An inferior count can only be given where the first inferior one that is met is shown
falsely, which happens in at most 5% of searches, whatever the curve: nothing is taken for granted between the counts of
the ladder, and a dip at one of them is not jumped. A dip between two of them is not seen. The count that is not shown
is the only one that is measured in vain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from cogx_runs.analysis.intervals import ALPHA, Floats
from cogx_runs.analysis.noninferiority import FEWEST, Loss, judge_loss, prompts_needed
from cogx_runs.analysis.sequential import ONE_LOOK, Looks
from cogx_runs.analysis.shares import MAY_CHANGE
from cogx_runs.analysis.wording import looks_sentence
from cogx_runs.errors import CogxError
from cogx_runs.formatting import count, signed
from cogx_runs.metrics.card import Direction

REFERENCE = 50
LADDER = (5, 6, 8, 10, 12, 15, 20, 25, 30, 35, 40, REFERENCE)
"""Default counts. Neighbours differ by a sixth to a third, since the gain of a step depends on the ratio of counts;
every count from 5 on that divides 1000 is among them, so that runs of diffusers' plain schedulers can be searched
too."""


@dataclass(frozen=True, kw_only=True)
class ThresholdPoint(Loss):
    """A measured count, against the reference."""

    count: int
    seeds: int
    """Seeds over which a prompt's differences are averaged."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The state of a search, after the counts measured so far."""

    metric: str
    better: Direction
    margin: float
    """The largest loss that still counts as not inferior, in the metric's unit."""
    may_lose: float
    """The largest share of prompts that may lose more."""
    reference: int
    found: int
    """The smallest count shown not inferior, with all counts of the ladder above it; the reference where none is."""
    not_shown: int | None
    """The count below `found` that is measured and not shown; None where it is not measured, or `found` is the last."""
    next_count: int | None
    """The count to be measured next; None when the search is settled."""
    curve: tuple[ThresholdPoint, ...]
    """Every measured count below the reference, in order."""
    out_of_order: tuple[int, ...]
    """Counts that would be shown below one that is not: beyond a dip, or by chance."""
    answers: tuple[tuple[int, float], ...]
    """Each count of the ladder that was measured with all counts above it, in falling order, with the smallest margin
    at which the answer would be it or a smaller one."""
    looks: Looks = ONE_LOOK
    """The looks at this threshold with more and more prompts, this one among them."""

    @property
    def alpha(self) -> float:
        """One-sided level of each count's test."""
        return ALPHA if self.looks.rule == "e-value" else self.looks.level(2 * ALPHA) / 2

    @property
    def interval_name(self) -> str:
        """The name of the points' intervals: `90% interval`."""
        return "interval by e-values" if self.looks.rule == "e-value" else f"{100 * (1 - 2 * self.alpha):.3g}% interval"

    @property
    def settled(self) -> bool:
        """Whether no count is left that could change the answer."""
        return self.next_count is None

    def point(self, count: int | None) -> ThresholdPoint | None:
        """Returns the point of the curve at a count; None at the reference and where nothing is measured."""
        return next((point for point in self.curve if point.count == count), None)


def check_ladder(ladder: Sequence[int], reference: int, where: str) -> tuple[int, ...]:
    """Sorts the ladder. Raises CogxError, beginning with `where`, for one that cannot be searched."""
    counts = sorted(set(ladder))
    if reference not in counts:
        raise CogxError(
            f"{where}: lacks the reference {reference}; add {reference} to it, or give --reference one of its counts"
        )
    if counts[-1] != reference:
        raise CogxError(
            f"{where}: {counts[-1]} is above the reference {reference}; leave it out, or give --reference {counts[-1]}"
        )
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
    may_lose: float = MAY_CHANGE,
    looks: Looks = ONE_LOOK,
) -> Threshold:
    """Judges the counts measured so far, and chooses the next one.

    `differences` has one value a prompt for each measured count: the metric there less at the reference, averaged over
    `seeds`. `ladder` is as `check_ladder` returns it, its last count the reference. At most `may_lose` of all prompts
    may lose more than the margin; `looks` are those at this threshold. Raises CogxError for fewer prompts than can
    conclude anything.
    """
    falling = ladder[-2::-1]
    points = {
        count: _point(count, np.asarray(differences[count], dtype=float), margin, may_lose, better, seeds, looks)
        for count in falling
        if count in differences
    }
    shown = [count for count, point in points.items() if point.verdict == "not inferior"]
    unbroken = next((place for place, count in enumerate(falling) if count not in shown), len(falling))
    stop = falling[unbroken] if unbroken < len(falling) else None
    return Threshold(
        metric=metric,
        better=better,
        margin=margin,
        may_lose=may_lose,
        reference=ladder[-1],
        found=falling[unbroken - 1] if unbroken else ladder[-1],
        not_shown=stop if stop in points else None,
        next_count=None if stop in points else stop,
        curve=tuple(points[count] for count in sorted(points)),
        out_of_order=tuple(sorted(count for count in shown if stop is not None and count < stop)),
        answers=_answers(falling, points),
        looks=looks,
    )


def threshold_sentence(threshold: Threshold) -> str:
    """Describes the answer and its limits in plain English."""
    t = threshold
    compared = f"not inferior to {t.reference} steps in {t.metric}, by a margin of {t.margin:g}"
    point, below = t.point(t.found), t.point(t.not_shown)
    if point is None:
        sentences = [f"No step count below {t.reference} is shown {compared}."]
    else:
        sentences = [
            f"{t.found} is the smallest step count shown {compared}, with all counts above it: {signed(point.mean)} on "
            f"average ({_interval(point, t)}; {count(point.prompts, 'prompt')}, {count(point.seeds, 'seed')}); "
            f"{_losing(point)}."
        ]
    if below is not None and below.verdict == "inferior":
        sentences.append(f"{below.count} is inferior ({signed(below.mean)}, {_interval(below, t)}).")
    elif below is not None:
        sentences.append(
            f"{below.count} is inconclusive ({signed(below.mean)}, {_interval(below, t)}; {_losing(below)}): "
            f"{_lacking(below, t)}."
        )
    elif t.settled:
        sentences.append("The ladder has no smaller count.")
    if t.out_of_order:
        fewer = ", ".join(map(str, t.out_of_order))
        sentences.append(
            f"Out of order: {fewer} would be shown too, below {t.not_shown or t.next_count}, which is not; the answer "
            "does not rest on it."
        )
    if about := looks_sentence(t.looks, "this threshold", "verdicts"):
        sentences.append(about)
    if not t.settled:
        sentences.append(f"Not settled: {t.next_count} would be measured next.")
    return " ".join(sentences)


def answers_sentence(threshold: Threshold) -> str:
    """Describes the answer by margin: `By margin: 40 from 0.31 on, 30 from 0.71 on.`; empty where nothing is known."""
    parts = [f"{count} from {margin:.3g} on" for count, margin in threshold.answers]
    return f"By margin: {', '.join(parts)}." if parts else ""


def _answers(falling: Sequence[int], points: Mapping[int, ThresholdPoint]) -> tuple[tuple[int, float], ...]:
    """Finds the margin from which on each count is shown with all above it; those that a smaller count has too are left
    out."""
    found: list[tuple[int, float]] = []
    largest = 0.0
    for step in falling:
        margin = points[step].margin if step in points else None
        if margin is None:
            break
        largest = max(largest, margin)
        if found and found[-1][1] == largest:
            found.pop()
        found.append((step, largest))
    return tuple(found)


def _point(
    count: int, values: Floats, margin: float, may_lose: float, better: Direction, seeds: int, looks: Looks
) -> ThresholdPoint:
    if len(values) < FEWEST:
        raise CogxError(f"{count} steps: nothing can be concluded from less than {FEWEST} prompts; add prompts")
    return ThresholdPoint(count=count, seeds=seeds, **asdict(judge_loss(values, margin, better, may_lose, looks)))


def _interval(point: ThresholdPoint, threshold: Threshold) -> str:
    if not isfinite(point.low):
        return "no interval"
    return f"{threshold.interval_name} {signed(point.low)} to {signed(point.high)}"


def _losing(point: ThresholdPoint) -> str:
    lose = "loses" if point.losing == 1 else "lose"
    return (
        f"{point.losing} of {count(point.prompts, 'prompt')} {lose} more than the margin, so that up to "
        f"{point.may_lose:.0%} of all may"
    )


def _lacking(point: ThresholdPoint, threshold: Threshold) -> str:
    """Describes what an inconclusive count lacks."""
    enough = prompts_needed(threshold.may_lose, point.losing) - point.prompts
    if point.mean_margin < threshold.margin and enough > 0:
        return (
            f"the mean is within the margin, and {count(enough, 'more prompt')} would show that at most "
            f"{threshold.may_lose:.0%} lose more, if none of them does"
        )
    return "more prompts may show it not inferior"
