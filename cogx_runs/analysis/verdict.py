"""Verdicts on differences over prompts, corrected for all comparisons of their family.

A difference is shown by the exact sign-flip test (`signflips.py`). That there is none that matters takes two things:
the interval of the mean lies within the margin, and so many prompts lie within it that at most MAY_CHANGE of all
prompts can be beyond, at 95%. A mean alone would be had by luck: of nine prompts none may be of the fifth that loses.

A report has one primary family, on the metric that was named beforehand, in which at most 5% of reports claim a
difference that is not there (step-down minP for differences, Holm 1979 for equivalences). All else is exploratory: of
its claims at most 5% are false on average (Benjamini and Hochberg 1995), those on costs by themselves.

The verdict's interval is at the level of a comparison's own step. It leaves out 0 exactly where the verdict is of a
difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from cogx_runs.analysis.intervals import ALPHA, Floats, Sample, prompts_to_differ, prompts_to_lie_within
from cogx_runs.analysis.sequential import ONE_LOOK, Looks, Rule, e_interval, e_values
from cogx_runs.analysis.shares import MAY_CHANGE, median_interval, prompts_for, share_interval, upper_share
from cogx_runs.analysis.signflips import FEWEST, SignFlips, Step, step_down
from cogx_runs.metrics.card import Direction

Verdict = Literal["better", "worse", "higher", "lower", "equivalent", "inconclusive", "refused", "one prompt"]
"""`higher` and `lower` are for metrics without a better direction; `inconclusive`: neither a change nor its absence is
shown; `refused`: a third of the pairs is lost, and what is left is no sample of them."""
Family = Literal["primary", "exploratory", "cost"]
"""`primary` holds a whole report to 5%; `exploratory` and `cost` hold their rate of false discoveries to 5%."""
_Interval = tuple[float, float] | tuple[None, None]
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The differences of one comparison, to be judged with others."""

    values: npt.NDArray[np.float64]
    """One value a prompt, at least one."""
    prompts: tuple[str, ...]
    """The prompts, none twice: comparisons that share one depend on each other through it."""
    margin: float | None = None
    """Changes smaller than this do not matter, in the metric's unit; None where equivalence is not asked."""
    better: Direction | None = None
    """The better direction, if there is one."""
    is_refused: bool = False
    """Whether too many pairs are lost for a verdict."""

    @cached_property
    def sample(self) -> Sample:
        """The values' statistics."""
        return Sample.of(self.values)

    @cached_property
    def flips(self) -> SignFlips:
        """The choices of signs of its prompts."""
        return SignFlips(len(self.values))

    @property
    def beyond(self) -> int:
        """Number of prompts that change by more than the margin, for better or worse; 0 without one."""
        return 0 if self.margin is None else int((np.abs(self.values) > self.margin * _ROUNDING).sum())

    @property
    def losing(self) -> int:
        """Number of prompts that lose more than the margin, or change by more where neither direction is better."""
        if self.margin is None or self.better is None:
            return self.beyond
        losses = -self.values if self.better == "higher" else self.values
        return int((losses > self.margin * _ROUNDING).sum())


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What most prompts do, the mean over prompts, its uncertainty, and the verdict."""

    prompts: int
    """Prompts: the sampling units."""
    losing: int | None
    """Prompts that lose more than the margin; those that change by more, either way, where neither direction is better.
    None without a margin."""
    losing_low: float | None
    """Lower end of the exact 95% interval of their share among all such prompts."""
    losing_high: float | None
    median: float
    median_low: float | None
    """Lower end of the exact 95% interval of the median; None below six prompts."""
    median_high: float | None
    mean: float
    """Mean of the differences, in the metric's unit."""
    low: float | None
    """Lower end of the 95% interval of this comparison alone, by inversion of the sign-flip test; None below six
    prompts."""
    high: float | None
    t_low: float | None
    """Lower end of Student's 95% interval; None for one prompt."""
    t_high: float | None
    t_p: float | None
    """p of no difference by Student's t, two-sided. No verdict rests on it."""
    family: Family
    comparisons: int
    """Comparisons of the family for which p is corrected: those with more than one prompt."""
    rule: Rule
    """How the verdict is kept right over several looks."""
    p: float | None
    """p of no difference by sign flips, two-sided."""
    e_value: float | None
    """Evidence against no difference that may be looked at at any time: 20 is 5%."""
    adjusted_p: float | None
    """p of no difference, corrected for the family; where the rule is `e-value`, that of the e-value."""
    margin: float | None
    """Changes smaller than this do not matter, in the metric's unit; None where equivalence is not asked."""
    equivalence_p: float | None
    """p of a mean outside the margin, corrected for the family."""
    may_change: float | None
    """95% upper bound of the share of prompts that change by more than the margin, for better or worse."""
    missing_prompts: int | None
    """Prompts that are missing before there can be a verdict (six in all), or before an interval within the margin is
    an equivalence, if none of them changes by more; None for all other verdicts."""
    verdict_low: float | None
    """Lower end of the interval that the verdict rests on; None where the prompts are too few for it."""
    verdict_high: float | None
    verdict_confidence: float | None
    """Confidence of that interval: at least 0.95, or at least 0.90 where the verdict is `equivalent`."""
    effect_size: float | None
    """Hedges' g_z: standard deviations of the differences; None where they have none, and below three prompts."""
    verdict: Verdict
    alpha: float
    """Level of the test of a difference at its step; 0 where the prompts are too few for so many comparisons."""
    equivalence_alpha: float
    """Level of the test of equivalence at its step."""


def judge(
    differences: Sequence[npt.ArrayLike], margins: Sequence[float | None], better: Direction | None = None
) -> list[Judgement]:
    """Judges comparisons of one metric as a primary family of their own.

    `differences` has an array a comparison, one value a prompt, none empty, the same prompt in the same place;
    `margins` are in the metric's unit; `better` is the better direction, if there is one.
    """
    return judge_family([
        Differences(
            values=(array := np.asarray(values, dtype=float)),
            prompts=tuple(map(str, range(array.size))),
            margin=margin,
            better=better,
        )
        for values, margin in zip(differences, margins, strict=True)
    ])  # fmt: skip


def judge_family(
    compared: Sequence[Differences], family: Family = "primary", looks: Looks = ONE_LOOK
) -> list[Judgement]:
    """Judges comparisons as one family; `looks` are those at the primary family, and count for no other."""
    looks = looks if family == "primary" else ONE_LOOK
    several = {place: one for place, one in enumerate(compared) if len(one.values) > 1}
    steps = _differences_corrected(several, family, looks)
    within = _equivalences_corrected(several, family, looks)
    return [
        _judgement(one, family, len(several), looks, steps.get(place), within.get(place))
        for place, one in enumerate(compared)
    ]


def judge_families(compared: Sequence[tuple[Differences, Family]], looks: Looks = ONE_LOOK) -> list[Judgement]:
    """Judges comparisons of several families, each family by itself; the order is kept."""
    found: dict[int, Judgement] = {}
    for family in dict.fromkeys(family for _, family in compared):
        places = [place for place, (_, own) in enumerate(compared) if own == family]
        judged = judge_family([compared[place][0] for place in places], family, looks)
        found.update(zip(places, judged, strict=True))
    return [found[place] for place in range(len(compared))]


def more_prompts(judgement: Judgement, differences: npt.ArrayLike) -> int | None:
    """Estimates how many new prompts, judged alone, would settle an inconclusive comparison, as a difference or as an
    equivalence, with a power of 80%.

    The estimate takes the mean and the spread seen for the true ones, and is itself uncertain. Judged together with the
    prompts seen, fewer would do, and false verdicts would be more (docs/results/verdict-errors.md). None for
    other verdicts, and beyond MAX_PROMPTS.
    """
    if judgement.verdict != "inconclusive":
        return None
    sample = Sample.of(differences)
    needed = [prompts_to_differ(sample, judgement.alpha or ALPHA / judgement.comparisons, FEWEST)]
    if judgement.margin is not None:
        level = judgement.equivalence_alpha or ALPHA
        needed.append(prompts_to_lie_within(sample, judgement.margin, level, MAY_CHANGE))
    return min((count for count in needed if count is not None), default=None)


def _differences_corrected(several: dict[int, Differences], family: Family, looks: Looks) -> dict[int, Step]:
    """Corrects the tests of a difference."""
    if not several:
        return {}
    if family == "primary" and looks.rule == "e-value":
        raw = {place: min(1.0, 1 / float(e_values(one.values))) for place, one in several.items()}
        return {
            place: Step(raw[place], min(1.0, len(raw) * raw[place]), ALPHA / len(raw))  # Bonferroni of e-values
            for place in raw
        }
    if family != "primary":
        return _discoveries({
            place: float(one.flips.p_differs(one.values)) for place, one in several.items()
        })  # fmt: skip
    names = list(dict.fromkeys(prompt for one in several.values() for prompt in one.prompts))
    table = np.zeros((len(several), len(names)))
    for row, one in enumerate(several.values()):
        table[row, [names.index(prompt) for prompt in one.prompts]] = one.values
    return dict(zip(several, step_down(table, looks.alpha, SignFlips(len(names))), strict=True))


def _equivalences_corrected(several: dict[int, Differences], family: Family, looks: Looks) -> dict[int, Step]:
    """Corrects the tests of a mean within the margin."""
    raw = {}
    for place, one in several.items():
        if one.margin is None:
            continue
        if family == "primary" and looks.rule == "e-value":
            ends = np.stack([one.values - one.margin, one.values + one.margin])
            inside = abs(one.sample.mean) < one.margin
            raw[place] = min(1.0, float((1 / e_values(ends)).max())) if inside else 1.0
        else:
            raw[place] = float(one.flips.p_within(one.values, one.margin))
    return _holm(raw, looks.alpha) if family == "primary" else _discoveries(raw)


def _judgement(
    one: Differences, family: Family, comparisons: int, looks: Looks, step: Step | None, within: Step | None
) -> Judgement:
    count, sample, margin = len(one.values), one.sample, one.margin
    may_change = None if margin is None else float(upper_share(one.beyond, count))
    is_within = within is not None and within.adjusted_p <= looks.alpha * _ROUNDING
    verdict = _verdict(one, looks, step, is_within and may_change is not None and may_change <= MAY_CHANGE)
    alpha = step.alpha if step else looks.alpha
    equivalence_alpha = within.alpha if within else looks.alpha
    confidence = 1 - (2 * equivalence_alpha if verdict == "equivalent" else alpha)
    plain: _Interval = (None, None)
    used, student = plain, plain
    if step is not None:
        student = sample.interval(1 - ALPHA)
        plain = _ends(one, 1 - ALPHA)
        used = _ends(one, confidence) if looks.rule != "e-value" else _finite(*e_interval(one.values, 1 - confidence))
    share = (None, None) if margin is None else share_interval(one.losing, count)
    median = median_interval(one.values) or (None, None)
    return Judgement(
        prompts=count,
        losing=None if margin is None else one.losing,
        losing_low=share[0],
        losing_high=share[1],
        median=float(np.median(one.values)),
        median_low=median[0],
        median_high=median[1],
        mean=sample.mean,
        low=plain[0],
        high=plain[1],
        t_low=student[0],
        t_high=student[1],
        t_p=sample.p_differs() if step else None,
        family=family,
        comparisons=comparisons,
        rule=looks.rule,
        p=float(one.flips.p_differs(one.values)) if step else None,
        e_value=float(e_values(one.values)) if step else None,
        adjusted_p=step.adjusted_p if step else None,
        margin=margin,
        equivalence_p=within.adjusted_p if within else None,
        may_change=may_change,
        missing_prompts=_missing(one, is_within) if verdict == "inconclusive" else None,
        verdict_low=used[0],
        verdict_high=used[1],
        verdict_confidence=None if used[0] is None else confidence,
        effect_size=sample.hedges_g(),
        verdict=verdict,
        alpha=alpha,
        equivalence_alpha=equivalence_alpha,
    )


def _verdict(one: Differences, looks: Looks, step: Step | None, is_equivalent: bool) -> Verdict:
    if step is None:
        return "one prompt"
    if one.is_refused:
        return "refused"
    if is_equivalent:
        return "equivalent"
    if len(one.values) < FEWEST or step.adjusted_p > looks.alpha * _ROUNDING:
        return "inconclusive"
    found: Direction = "higher" if one.sample.mean > 0 else "lower"
    if one.better is None:
        return found
    return "better" if found == one.better else "worse"


def _missing(one: Differences, is_within: bool) -> int | None:
    """Counts the prompts that an inconclusive comparison lacks."""
    count = len(one.values)
    if is_within:
        return prompts_for(one.beyond) - count
    return FEWEST - count if count < FEWEST else None


def _ends(one: Differences, confidence: float) -> _Interval:
    """Computes the sign-flip interval; without one, both None."""
    if confidence >= 1:
        return None, None
    low, high = one.flips.interval(one.values, confidence)
    return _finite(float(low), float(high))


def _finite(low: float, high: float) -> _Interval:
    return (low, high) if np.isfinite([low, high]).all() else (None, None)


def _holm(p_values: dict[int, float], alpha: float) -> dict[int, Step]:
    """Corrects by Holm, each with the level of its step, or of the first step that failed."""
    if not p_values:
        return {}
    raw = np.array(list(p_values.values()))
    order = np.argsort(raw, kind="stable")
    steps = len(raw) - np.arange(len(raw))
    # As statsmodels' multipletests, which collects Python's garbage at each call: 0.35 s where torch is imported.
    adjusted, ranks = np.empty(len(raw)), np.empty(len(raw), dtype=int)
    adjusted[order] = np.minimum(np.maximum.accumulate(raw[order] * steps), 1)
    ranks[order] = np.arange(len(raw))
    rejected = int((adjusted <= alpha).sum())
    levels = alpha / (len(raw) - np.minimum(ranks, min(rejected, len(raw) - 1)))
    return {
        place: Step(p, float(corrected), float(level))
        for (place, p), corrected, level in zip(p_values.items(), adjusted, levels, strict=True)
    }


def _discoveries(p_values: dict[int, float]) -> dict[int, Step]:
    """Corrects by the rate of false discoveries; the level is that of the last discovery, for all of them (Benjamini
    and Yekutieli 2005)."""
    if not p_values:
        return {}
    from scipy import stats  # half a second, which a headline does without

    raw: Floats = np.array(list(p_values.values()))
    adjusted = stats.false_discovery_control(raw, method="bh")
    level = max(int((adjusted <= ALPHA * _ROUNDING).sum()), 1) * ALPHA / len(raw)
    return {
        place: Step(p, float(corrected), level)
        for (place, p), corrected in zip(p_values.items(), adjusted, strict=True)
    }
