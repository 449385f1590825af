"""What votes on pairs of videos say of the values of an axis, and of the metrics.

Votes on one prompt, and votes of one voter, are alike: pooled, they look like more evidence than they are. Here prompts
weigh the same however many votes they have, intervals are over prompts and voters, and p is over prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from cogx_runs.analysis.intervals import Floats, Sample
from cogx_runs.analysis.signflips import FEWEST, SignFlips

RESAMPLES = 1000
_NEWTON_STEPS = 30
_PSEUDO_VOTE = 0.5
"""Added to each side of each pair of values that was voted on, so that a value that won every vote has a finite
strength."""
_CONFIDENCE = 0.95
_DECISIVE = 0.75


@dataclass(frozen=True)
class Choice:
    """One vote on two videos of a prompt that differ along one axis alone."""

    prompt: str
    voter: str
    first: int
    """Index of the first video's value along the axis."""
    second: int
    winner: int | None
    """Index of the preferred value; None for "cannot tell"."""
    signatures: tuple[str, str]
    """Of the first and the second video."""


@dataclass(frozen=True, kw_only=True)
class Preference:
    """How a value of an axis fares against the baseline in the votes."""

    prompts: int
    """Prompts with a vote on the value."""
    voters: int
    share: float | None
    """Probability that it is preferred to the baseline where a voter can tell, by Davidson's model; None for the
    baseline, and for a value without votes."""
    low: float | None
    """Lower end of the 95% interval over prompts and voters; None below two prompts."""
    high: float | None
    p: float | None
    """Two-sided p of the exact sign-flip test over the prompts with votes on this value and the baseline, that neither
    is preferred; None below six."""


@dataclass(frozen=True, kw_only=True)
class MetricAgreement:
    """How often a metric ranks two videos as the votes do."""

    metric: str
    prompts: int
    votes: int
    """Votes that prefer one of two videos with different values of the metric."""
    share: float
    """Share of them that prefer the video with the better value: the mean over prompts; 0.5 is chance."""
    low: float | None
    """Lower end of the 95% t interval over prompts, cut at 0 and 1; None for one prompt."""
    high: float | None
    decisive: float | None
    """Difference of the metric, in its unit, at which three of four voters prefer the better video, by a logistic
    fit; a margin below it is one that most voters do not see. None where the metric does not agree with the votes."""


def preferences(choices: Sequence[Choice], values: int, baseline: int) -> list[Preference]:
    """Compares each of so many values with the baseline, from votes on any pairs of them.

    The strengths are those of Davidson (1970), "On extending the Bradley-Terry model to accommodate ties": of values
    with strengths a and b the first wins with a / (a + b + v sqrt(a b)), and v rules the ties. Intervals are
    percentiles over resampled prompts and voters, each by itself (the pigeonhole bootstrap of Owen, 2007).
    """
    pairs = sorted({tuple(sorted((choice.first, choice.second))) for choice in choices})
    drawn = _share_intervals(choices, pairs, values, baseline) if choices else None
    return [
        _preference(
            value, baseline, [choice for choice in choices if value in {choice.first, choice.second}], choices, drawn
        )
        for value in range(values)
    ]


def metric_agreement(
    choices: Sequence[Choice], metric: str, scores: Mapping[str, float], *, higher_is_better: bool
) -> MetricAgreement | None:
    """Measures the agreement of a metric, given by signature, with the votes; None without a vote on two videos that
    it tells apart. Differences are signed so that above 0 the voter and the metric agree."""
    sign = 1 if higher_is_better else -1
    by_prompt: dict[str, list[float]] = {}
    for choice in choices:
        if choice.winner is None or not all(signature in scores for signature in choice.signatures):
            continue
        first, second = (scores[signature] for signature in choice.signatures)
        if first != second:
            lead = sign * (first - second) * (1 if choice.winner == choice.first else -1)
            by_prompt.setdefault(choice.prompt, []).append(lead)
    if not by_prompt:
        return None
    sample = Sample.of([float(np.mean(np.asarray(leads) > 0)) for leads in by_prompt.values()])
    low, high = sample.interval(_CONFIDENCE) if sample.count > 1 else (None, None)
    weights = np.concatenate([np.full(len(leads), 1 / len(leads)) for leads in by_prompt.values()])
    return MetricAgreement(
        metric=metric,
        prompts=sample.count,
        votes=len(weights),
        share=sample.mean,
        low=None if low is None else max(0.0, low),
        high=None if high is None else min(1.0, high),
        decisive=_decisive(np.concatenate([np.asarray(leads) for leads in by_prompt.values()]), weights),
    )


def _preference(
    value: int,
    baseline: int,
    own: Sequence[Choice],
    choices: Sequence[Choice],
    drawn: tuple[Floats, Floats] | None,
) -> Preference:
    prompts = len({choice.prompt for choice in own})
    shares: tuple[float | None, float | None, float | None] = (None, None, None)
    if value != baseline and own and drawn is not None:
        best, resampled = drawn
        low, high = np.quantile(resampled[:, value], ((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2))
        several = len({choice.prompt for choice in choices}) > 1
        shares = (float(best[value]), float(low) if several else None, float(high) if several else None)
    return Preference(
        prompts=prompts,
        voters=len({choice.voter for choice in own}),
        share=shares[0],
        low=shares[1],
        high=shares[2],
        p=_p_over_prompts([choice for choice in own if {choice.first, choice.second} == {value, baseline}], value),
    )


def _p_over_prompts(choices: Sequence[Choice], value: int) -> float | None:
    """Computes p over the prompts' mean votes, +1 for the value, -1 against it and 0 for "cannot tell"."""
    by_prompt: dict[str, list[int]] = {}
    for choice in choices:
        vote = 0 if choice.winner is None else 1 if choice.winner == value else -1
        by_prompt.setdefault(choice.prompt, []).append(vote)
    if len(by_prompt) < FEWEST:
        return None
    means = np.array([np.mean(votes) for votes in by_prompt.values()])
    return float(SignFlips(len(means)).p_differs(means))


def _share_intervals(
    choices: Sequence[Choice], pairs: Sequence[tuple[int, ...]], values: int, baseline: int
) -> tuple[Floats, Floats]:
    """Computes the shares preferred to the baseline, of shape (values,), and those of RESAMPLES resamples."""
    outcomes = np.zeros((len(choices), len(pairs), 3))
    for place, choice in enumerate(choices):
        low, high = sorted((choice.first, choice.second))
        outcome = 2 if choice.winner is None else 0 if choice.winner == low else 1
        outcomes[place, pairs.index((low, high)), outcome] = 1
    prompts, of_prompt, each = np.unique([choice.prompt for choice in choices], return_inverse=True, return_counts=True)
    voters, of_voter = np.unique([choice.voter for choice in choices], return_inverse=True)
    weights = (len(choices) / len(prompts) / each)[of_prompt]
    random = np.random.default_rng(0)
    drawn = [
        random.multinomial(len(units), np.full(len(units), 1 / len(units)), RESAMPLES)[:, of_unit]
        for units, of_unit in ((prompts, of_prompt), (voters, of_voter))
    ]
    resampled = np.concatenate([np.ones((1, len(choices))), drawn[0] * drawn[1]]) * weights
    counts = np.einsum("rc,cpo->rpo", resampled, outcomes)
    counts[:, :, :2] += _PSEUDO_VOTE
    strengths = _strengths(counts, pairs, values)
    shares = special.expit(strengths - strengths[:, [baseline]])
    return shares[0], shares[1:]


def _strengths(counts: Floats, pairs: Sequence[tuple[int, ...]], values: int) -> Floats:
    """Fits the log strengths of Davidson's model to votes of shape (samples, pairs, 3) by Newton's method.

    The outcomes of a pair are a softmax of (a, b, log v + (a + b) / 2). Strengths are held near 0 by a weak normal
    prior, without which values that no votes connect have none.
    """
    design = np.zeros((len(pairs), 3, values + 1))
    for place, (low, high) in enumerate(pairs):
        design[place, 0, low] = design[place, 1, high] = 1
        design[place, 2, [low, high]] = 0.5
        design[place, 2, values] = 1
    ridge = np.full(values + 1, 1e-3)
    ridge[values] = 1e-2
    found = np.zeros((len(counts), values + 1))
    total = counts.sum(axis=2, keepdims=True)
    for _ in range(_NEWTON_STEPS):
        shares = special.softmax(np.einsum("pov,sv->spo", design, found), axis=2)
        gradient = np.einsum("spo,pov->sv", counts - total * shares, design) - ridge * found
        mean = np.einsum("spo,pov->spv", shares, design)
        hessian = np.einsum("spo,pov,pow->svw", total * shares, design, design, optimize=True)
        hessian -= np.einsum("sp,spv,spw->svw", total[..., 0], mean, mean, optimize=True)
        step = np.linalg.solve(hessian + np.diag(ridge), gradient[..., None])[..., 0]
        found = found + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return found[:, :values]


def _decisive(leads: Floats, weights: Floats) -> float | None:
    """Fits the probability of agreement 1 / (1 + exp(-slope x |lead|)), and returns the lead at which it is 75%."""
    scale = float(np.abs(leads).mean())
    size, agrees = np.abs(leads) / scale, leads > 0
    slope = 0.0
    for _ in range(_NEWTON_STEPS):
        share = special.expit(slope * size)
        gradient = float((weights * size * (agrees - share)).sum()) - 1e-3 * slope
        curvature = float((weights * size**2 * share * (1 - share)).sum()) + 1e-3
        slope += float(np.clip(gradient / curvature, -2, 2))
    return float(special.logit(_DECISIVE) / slope * scale) if slope > 0 else None
