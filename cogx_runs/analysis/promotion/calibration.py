"""How finals follow previews within prompts, by the prompts all of whose candidates have a final.

The finals of the chosen alone teach nothing of it, since the chosen are no sample. Over the candidates of finished
prompts, as deviations from their prompt's means, a final follows its preview with a slope, by least squares. Intervals
are Student's over prompts, with the standard error of the jackknife that leaves out one prompt at a time (Tukey 1958;
too large rather than too small on average, Efron and Stein 1981).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from cogx_runs.analysis.intervals import ALPHA, Floats
from cogx_runs.analysis.promotion.previews import of_newest_texts, previews, ranked
from cogx_runs.analysis.seeds import unbiased
from cogx_runs.metrics.card import Direction


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How finals follow previews at one step count, within prompts."""

    from_steps: int
    prompts: int
    """Prompts of two candidates or more, each of which has a final."""
    candidates: int
    """Their candidates."""
    change: float
    """Mean of the finals less that of the previews, on average over prompts."""
    preview_deviation: float
    """Standard deviation between the previews of a prompt, on average over prompts, each divided by c4 (as in
    `seed_spreads`); in the metric's unit."""
    final_deviation: float
    """The same of the finals."""
    correlation: float
    """Of preview and final within prompts."""
    slope: float
    """How much of a lead at the preview is left at the final."""
    slope_low: float
    """Lower end of the 95% interval over prompts."""
    slope_high: float


@dataclass(frozen=True)
class Candidates:
    """The candidates of a prompt, the best preview first, with larger values for better ones."""

    prompt: str
    sign: int
    previews: Floats
    finals: Floats
    """NaN where there is none."""

    @property
    def is_finished(self) -> bool:
        """Whether there are several, and each has a final."""
        return len(self.finals) > 1 and not bool(np.isnan(self.finals).any())

    @property
    def lead(self) -> float:
        """By how much the best preview is better than their mean."""
        return float(self.previews[0] - self.previews.mean())

    def without_preview(self) -> "Candidates":
        """Returns the finals in the place of the previews, as where all candidates are finals."""
        ordered = np.sort(self.finals)[::-1]
        return Candidates(self.prompt, self.sign, ordered, ordered)

    def seen(self, count: int) -> float:
        """Computes the mean gain over all choices of `count` candidates: of those of which the i-th is the best there
        are as many as choices of the others from those behind it."""
        whole = len(self.finals)
        behind = special.comb(whole - 1 - np.arange(whole), count - 1)
        return float((behind * self.finals).sum() / behind.sum() - self.finals.mean())


def candidates_of(frame: pd.DataFrame, metric: str, count: int, steps: int, direction: Direction) -> list[Candidates]:
    rows = ranked(previews(of_newest_texts(frame, count), metric, count, steps), direction)
    sign = 1 if direction == "higher" else -1
    return [
        Candidates(
            str(group["prompt"].iloc[0]),
            sign,
            sign * group["preview"].to_numpy(dtype=float),
            sign * group["final"].to_numpy(dtype=float),
        )
        for _, group in rows.groupby("text", sort=False)
    ]


def varies(groups: Sequence[Candidates]) -> bool:
    """Checks whether previews differ within prompts, also without any one of these."""
    return sum(bool(np.ptp(group.previews) > 0) for group in groups) > 1


def calibrate(count: int, groups: Sequence[Candidates]) -> Calibration:
    low, high = jackknife(groups, slope_of)
    return Calibration(
        from_steps=count,
        prompts=len(groups),
        candidates=sum(len(group.finals) for group in groups),
        change=change_of(groups) * groups[0].sign,
        preview_deviation=_deviation([group.previews for group in groups]),
        final_deviation=_deviation([group.finals for group in groups]),
        correlation=_correlation(groups),
        slope=slope_of(groups),
        slope_low=low,
        slope_high=high,
    )


def change_of(groups: Sequence[Candidates]) -> float:
    """Computes by how much finals are better than previews, on average over the finished prompts."""
    return float(np.mean([group.finals.mean() - group.previews.mean() for group in groups if group.is_finished]))


def jackknife(groups: Sequence[Candidates], statistic: Callable[[Sequence[Candidates]], float]) -> tuple[float, float]:
    """Computes Student's 95% interval over prompts, with the degrees of freedom of those that are finished."""
    number = len(groups)
    without = np.array([statistic([*groups[:place], *groups[place + 1 :]]) for place in range(number)])
    error = float(np.sqrt((number - 1) / number * ((without - without.mean()) ** 2).sum()))
    free = sum(group.is_finished for group in groups) - 1
    half = error * float(special.stdtrit(free, 1 - ALPHA / 2))
    found = statistic(groups)
    return found - half, found + half


def slope_of(groups: Sequence[Candidates]) -> float:
    """Computes the slope of finals on previews within prompts, by least squares."""
    before, after = _within([group.previews for group in groups]), _within([group.finals for group in groups])
    return float((before * after).sum() / (before**2).sum())


def _correlation(groups: Sequence[Candidates]) -> float:
    before, after = _within([group.previews for group in groups]), _within([group.finals for group in groups])
    spread = float(((before**2).sum() * (after**2).sum()) ** 0.5)
    return float((before * after).sum()) / spread if spread > 0 else 0.0


def _within(values: Sequence[Floats]) -> Floats:
    """Subtracts each prompt's mean."""
    return np.concatenate([own - own.mean() for own in values])


def _deviation(values: Sequence[Floats]) -> float:
    """Computes the mean over prompts of the standard deviation between candidates."""
    return float(np.mean([own.std(ddof=1) / unbiased(len(own)) for own in values]))


def unit_of(groups: Sequence[Candidates]) -> float:
    """Computes the gain where the best preview leads by one standard deviation."""
    return slope_of(groups) * _deviation([group.previews for group in groups])
