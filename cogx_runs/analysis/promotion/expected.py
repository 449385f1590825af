"""The finals to be expected of the best previews, shrunk by what finished prompts teach.

The expected final of a candidate is its prompt's mean and the slope times the lead of its preview: Kelley's shrinkage
(1947, Fundamentals of Statistics), where the slope is the reliability. The mean of a prompt without all finals is that
of its previews and the mean change of the finished prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cogx_runs.analysis.promotion.calibration import Candidates, change_of, jackknife, slope_of


@dataclass(frozen=True, kw_only=True)
class ExpectedFinal:
    """One prompt's best preview, and the final that is to be expected of it."""

    prompt: str
    candidates: int
    preview: float
    """The best preview."""
    lead: float
    """By how much it is better than the mean of the prompt's previews."""
    expected: float
    """The final to be expected, in the metric's unit."""
    final: float | None
    """The final that it has."""


@dataclass(frozen=True, kw_only=True)
class ExpectedFinals:
    """The finals to be expected of the best previews, on average over prompts; gains are positive where they are
    improvements."""

    from_steps: int
    prompts: int
    expected: float
    """Mean of the expected finals, in the metric's unit."""
    low: float
    """Lower end of the 95% interval over prompts."""
    high: float
    naive: float
    """The same, if the leads of the previews were all left at the final."""
    gain: float
    """Expected gain over a candidate at random of the same prompt."""
    gain_low: float
    gain_high: float
    by_prompt: tuple[ExpectedFinal, ...]


def expected_finals(count: int, groups: Sequence[Candidates]) -> ExpectedFinals:
    sign = groups[0].sign

    def finals(some: Sequence[Candidates], slope: float | None = None) -> list[float]:
        taught = [group for group in some if group.is_finished]
        change, used = change_of(taught), slope_of(taught) if slope is None else slope
        means = [group.finals.mean() if group.is_finished else group.previews.mean() + change for group in some]
        return [float(mean + used * group.lead) for mean, group in zip(means, some, strict=True)]

    def gain(some: Sequence[Candidates]) -> float:
        slope = slope_of([group for group in some if group.is_finished])
        return slope * float(np.mean([group.lead for group in some]))

    expected = finals(groups)
    low, high = sorted(sign * end for end in jackknife(groups, lambda some: float(np.mean(finals(some)))))
    gain_low, gain_high = jackknife(groups, gain)
    return ExpectedFinals(
        from_steps=count,
        prompts=len(groups),
        expected=sign * float(np.mean(expected)),
        low=low,
        high=high,
        naive=sign * float(np.mean(finals(groups, slope=1.0))),
        gain=gain(groups),
        gain_low=gain_low,
        gain_high=gain_high,
        by_prompt=tuple(
            ExpectedFinal(
                prompt=group.prompt,
                candidates=len(group.previews),
                preview=sign * float(group.previews[0]),
                lead=group.lead,
                expected=sign * value,
                final=None if np.isnan(group.finals[0]) else sign * float(group.finals[0]),
            )
            for group, value in zip(groups, expected, strict=True)
        ),
    )
