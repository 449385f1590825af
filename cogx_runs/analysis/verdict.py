"""What differences of one metric say, corrected for how many there are.

Two families of tests, each held to 5% by Holm (1979) whatever their dependence: that a mean differs from 0, and that it
lies within a margin around 0 (two one-sided tests). A change that lies within is `equivalent` even where it differs
from 0: it is there, and too small to matter. The interval at the level at which Holm's step tested a comparison leaves
out 0 exactly where the verdict says that it differs, and lies within the margin exactly where it says equivalent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cogx_runs.analysis.intervals import Sample, prompts_to_differ, prompts_to_lie_within
from cogx_runs.metrics.card import Direction

ALPHA = 0.05
Verdict = Literal["better", "worse", "higher", "lower", "equivalent", "inconclusive", "one prompt"]
"""`higher` and `lower` are those of metrics of which neither is better; `inconclusive`: neither a change nor its
absence is shown."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The mean of differences over prompts, how sure it is, and what follows."""

    prompts: int
    """The sampling units."""
    mean: float
    """Of the differences, in the metric's unit."""
    low: float | None
    """Of the plain 95% interval of this comparison alone; None for one prompt."""
    high: float | None
    comparisons: int
    """In the family that the p values are corrected for: those of this metric with more than one prompt."""
    p: float | None
    """Of no difference, two-sided."""
    adjusted_p: float | None
    """The same, by Holm."""
    margin: float | None
    """Changes smaller than this do not matter, in the metric's unit; None where equivalence is not asked."""
    equivalence_p: float | None
    """Of a change outside the margin, by Holm."""
    verdict_low: float | None
    """Of the interval that the verdict rests on, at the level of its step of Holm's."""
    verdict_high: float | None
    verdict_confidence: float | None
    """Of that interval: at least 0.95, or at least 0.90 where the verdict is `equivalent`."""
    effect_size: float | None
    """Hedges' g_z: standard deviations of the differences; None where they have none, and below three prompts."""
    verdict: Verdict
    alpha: float
    """At which its step of Holm's tested the difference."""
    equivalence_alpha: float
    """And the equivalence."""


def judge(
    differences: Sequence[npt.ArrayLike], margins: Sequence[float | None], better: Direction | None = None
) -> list[Judgement]:
    """A judgement of each comparison of one metric, all as one family.

    `differences` has an array a comparison, one value a prompt, none empty; `margins` are in the metric's unit;
    `better` says which direction is, if any.
    """
    samples = [Sample.of(values) for values in differences]
    several = [place for place, sample in enumerate(samples) if sample.count > 1]
    bounded = {place: margin for place in several if (margin := margins[place]) is not None}
    differ = _holm({place: samples[place].p_differs() for place in several})
    within = _holm({place: samples[place].p_within(margin) for place, margin in bounded.items()})
    judgements = []
    for place, sample in enumerate(samples):
        p, alpha = differ.get(place, (None, ALPHA))
        equivalence_p, equivalence_alpha = within.get(place, (None, ALPHA))
        verdict = _verdict(sample, p, equivalence_p, better)
        confidence = 1 - (2 * equivalence_alpha if verdict == "equivalent" else alpha)
        plain = sample.interval(1 - ALPHA) if place in differ else (None, None)
        used = sample.interval(confidence) if place in differ else (None, None)
        judgements.append(
            Judgement(
                prompts=sample.count,
                mean=sample.mean,
                low=plain[0],
                high=plain[1],
                comparisons=len(several),
                p=sample.p_differs() if place in differ else None,
                adjusted_p=p,
                margin=margins[place],
                equivalence_p=equivalence_p,
                verdict_low=used[0],
                verdict_high=used[1],
                verdict_confidence=confidence if place in differ else None,
                effect_size=sample.hedges_g(),
                verdict=verdict,
                alpha=alpha,
                equivalence_alpha=equivalence_alpha,
            )
        )
    return judgements


def more_prompts(judgement: Judgement, differences: npt.ArrayLike) -> int | None:
    """Estimates how many new prompts, judged alone, would settle an inconclusive comparison, as a difference or as an
    equivalence, with a power of 80% if the mean and the spread seen were the true ones:
    an estimate that is itself uncertain.

    Judged together with those seen, fewer would do, and false verdicts would be up to three times as many
    (docs/statistics.md). None for other verdicts, and where it would take more than MAX_PROMPTS.
    """
    if judgement.verdict != "inconclusive":
        return None
    sample = Sample.of(differences)
    needed = [prompts_to_differ(sample, judgement.alpha)]
    if judgement.margin is not None:
        needed.append(prompts_to_lie_within(sample, judgement.margin, judgement.equivalence_alpha))
    return min((count for count in needed if count is not None), default=None)


def _verdict(sample: Sample, p: float | None, equivalence_p: float | None, better: Direction | None) -> Verdict:
    if p is None:
        return "one prompt"
    if equivalence_p is not None and equivalence_p <= ALPHA:
        return "equivalent"
    if p > ALPHA:
        return "inconclusive"
    found: Direction = "higher" if sample.mean > 0 else "lower"
    if better is None:
        return found
    return "better" if found == better else "worse"


def _holm(p_values: dict[int, float]) -> dict[int, tuple[float, float]]:
    """Of each comparison: p by Holm, and the level at which its step tests it, or the first that failed."""
    if not p_values:
        return {}
    raw = np.array(list(p_values.values()))
    order = np.argsort(raw, kind="stable")
    steps = len(raw) - np.arange(len(raw))
    # As statsmodels' multipletests, which collects Python's garbage at each call: 0.35 s beside torch.
    adjusted, ranks = np.empty(len(raw)), np.empty(len(raw), dtype=int)
    adjusted[order] = np.minimum(np.maximum.accumulate(raw[order] * steps), 1)
    ranks[order] = np.arange(len(raw))
    rejected = int((adjusted <= ALPHA).sum())
    levels = ALPHA / (len(raw) - np.minimum(ranks, min(rejected, len(raw) - 1)))
    return {place: (float(p), float(level)) for place, p, level in zip(p_values, adjusted, levels, strict=True)}
