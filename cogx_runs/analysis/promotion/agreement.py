"""Agreement of a choice by cheap previews with a choice by the final videos."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cogx_runs.analysis.effects import direction_of, margin_of
from cogx_runs.analysis.intervals import ALPHA, Floats, Sample
from cogx_runs.analysis.noninferiority import LossVerdict, judge_loss
from cogx_runs.analysis.promotion.previews import previews, ranked
from cogx_runs.errors import CogxError


@dataclass(frozen=True, kw_only=True)
class PromptAgreement:
    """One prompt's candidates, at few steps and at many."""

    prompt: str
    candidates: int
    tau: float | None
    """Kendall's tau-b of their scores; None where all of them are equal at either step count."""
    hit: bool
    """Whether the best preview is a best final."""
    chance: float
    """Probability of a hit by a choice at random: 1 / candidates, but for equal best finals."""
    regret: float
    """Loss of the best preview's final against the best final, in the metric's unit; 0 for a hit."""
    random_regret: float
    """Expected loss of a choice at random."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Means over prompts, the sampling units, with 95% intervals; None for what one prompt cannot give."""

    metric: str
    from_steps: int
    steps: int
    prompts: int
    """Prompts with two candidates or more, each of them at both step counts."""
    left_out: int
    """Prompts with two candidates or more of which some have no final."""
    tau: float | None
    tau_low: float | None
    """Lower end of the t interval, cut at -1 and 1."""
    tau_high: float | None
    tau_prompts: int
    """Prompts that have a tau."""
    hits: int
    """Prompts whose best preview is a best final."""
    hit_low: float
    """Lower end of the interval of the share of hits, by Clopper and Pearson (1934)."""
    hit_high: float
    chance: float
    """Share of hits of choices at random."""
    regret: float
    regret_low: float | None
    """Lower end of the t interval, cut at 0."""
    regret_high: float | None
    random_regret: float
    losing: int
    """Prompts whose regret is more than the margin."""
    may_lose: float
    """95% upper bound of the share of prompts that lose more than the margin."""
    margin: float
    """The largest loss that does not matter, in the metric's unit."""
    verdict: LossVerdict
    """Whether choosing at the fewer steps is shown to lose no more than the margin, on average and in all but a fifth
    of prompts."""
    by_prompt: tuple[PromptAgreement, ...]


def agreement(frame: pd.DataFrame, metric: str, from_steps: int, steps: int) -> Agreement | None:
    """Measures the agreement of a metric at two step counts over each prompt's candidates: its cells at `from_steps`,
    those aside that are degenerate there.

    `frame` is as `load_runs` returns it. A prompt counts where all its candidates have a final, since the finals of the
    chosen alone say nothing of those that were not chosen. None where there is no such prompt. Raises CogxError for a
    metric that no run has, or whose better direction is unknown.
    """
    direction = direction_of(metric)
    if direction is None:
        raise CogxError(f"{metric}: nobody knows which direction is better, so that there is no best")
    groups = [
        group for _, group in ranked(previews(frame, metric, from_steps, steps), direction).groupby("text", sort=False)
    ]
    several = [group for group in groups if len(group) > 1]
    whole = [group for group in several if group["final"].notna().all()]
    if not whole:
        return None
    found = tuple(_of_prompt(group, 1 if direction == "higher" else -1) for group in whole)
    taus = [prompt.tau for prompt in found if prompt.tau is not None]
    tau, tau_low, tau_high = _mean(taus, -1, 1)
    regret, regret_low, regret_high = _mean([prompt.regret for prompt in found], 0, np.inf)
    assert regret is not None, "each prompt has a regret"
    hits = sum(prompt.hit for prompt in found)
    margin = margin_of(metric, float(np.mean([group["final"].mean() for group in whole])), {})
    assert margin is not None, "each metric has a margin unless one takes it away"
    loss = judge_loss([-prompt.regret for prompt in found], margin, "higher")
    share = stats.binomtest(hits, len(found)).proportion_ci(1 - ALPHA, method="exact")
    return Agreement(
        metric=metric,
        from_steps=from_steps,
        steps=steps,
        prompts=len(found),
        left_out=len(several) - len(whole),
        tau=tau,
        tau_low=tau_low,
        tau_high=tau_high,
        tau_prompts=len(taus),
        hits=hits,
        hit_low=float(share.low),
        hit_high=float(share.high),
        chance=float(np.mean([prompt.chance for prompt in found])),
        regret=regret,
        regret_low=regret_low,
        regret_high=regret_high,
        random_regret=float(np.mean([prompt.random_regret for prompt in found])),
        losing=loss.losing,
        may_lose=loss.may_lose,
        margin=margin,
        verdict=loss.verdict,
        by_prompt=found,
    )


def _of_prompt(group: pd.DataFrame, sign: int) -> PromptAgreement:
    """Measures the agreement of one prompt's candidates, best preview first; `sign` is -1 where lower is better."""
    before: Floats = sign * group["preview"].to_numpy(dtype=float)
    after: Floats = sign * group["final"].to_numpy(dtype=float)
    constant = np.ptp(before) == 0 or np.ptp(after) == 0
    return PromptAgreement(
        prompt=str(group["prompt"].iloc[0]),
        candidates=len(group),
        tau=None if constant else float(stats.kendalltau(before, after).statistic),
        hit=bool(after[0] == after.max()),
        chance=float((after == after.max()).mean()),
        regret=float(after.max() - after[0]),
        random_regret=float(after.max() - after.mean()),
    )


def _mean(values: list[float], least: float, most: float) -> tuple[float | None, float | None, float | None]:
    """Computes the mean and both ends of its interval, cut to the possible values."""
    if not values:
        return None, None, None
    sample = Sample.of(values)
    if sample.count < 2:
        return sample.mean, None, None
    low, high = sample.interval(1 - ALPHA)
    return sample.mean, max(low, least), min(high, most)
