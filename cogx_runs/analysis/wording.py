"""Effects, interactions and seed spreads in plain English that claims nothing beyond the numbers."""

import math
from collections.abc import Sequence
from dataclasses import replace

from cogx_runs.analysis.best import BestValues
from cogx_runs.analysis.effects import Contrast, Effect
from cogx_runs.analysis.interactions import Interaction
from cogx_runs.analysis.intervals import ALPHA, MAX_PROMPTS
from cogx_runs.analysis.seeds import SeedSpread
from cogx_runs.analysis.sequential import Looks
from cogx_runs.analysis.shares import MAY_CHANGE
from cogx_runs.analysis.signflips import FEWEST
from cogx_runs.formatting import count, write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import card_or_name, is_of_machine

ONE_PROMPT = "One prompt: no interval can be given, and no verdict."
_NOISE = 1e-6
"""In a reader's unit: a smaller difference is rounding, and is written as zero."""


def sentence(effect: Effect) -> str:
    """Describes an effect and its limits: `At guidance_scale 12 the CLIP score is 0.80 higher than at 6 (95% interval
    +0.31 to +1.29; 9 prompts, 1 seed): better.`"""
    card = card_or_name(effect.metric)
    if effect.verdict == "one prompt":
        sentences = [f"{change(effect)} ({counted(effect)}). {ONE_PROMPT}"]
    else:
        sentences = [f"{change(effect)} ({_spread(effect, card)}; {counted(effect)}): {_verdict(effect, card)}."]
        sentences += prompt_sentences(effect)
    if effect.settings > 1:
        sentences.append(f"Averaged over {effect.settings} settings of the other parameters.")
    if effect.lost:
        sentences.append(lost_sentence(effect))
    if effect.across_devices:
        sentences.append(
            f"{count(effect.across_devices, 'pair')} of two devices each, which alone changes a video a little."
        )
    if counts := degenerate_counts(effect):
        sentences.append(f"Degenerate: {counts}. They count like any other.")
    return " ".join(sentences)


def prompt_sentences(effect: Effect) -> list[str]:
    """Describes what most prompts do: how many lose more than the margin, and the median. `2 of 9 prompts lose more
    than 1.00 (95% interval of all such prompts 3% to 60%); the median prompt changes by -0.12 (-2.16 to +0.05).`"""
    if effect.margin is None or effect.losing_low is None or effect.losing_high is None:
        return []
    card = card_or_name(effect.metric)
    verb = "change" if card.direction is None else "lose"
    if effect.losing == 1:
        verb += "s"
    text = (
        f"{effect.losing} of {count(effect.prompts, 'prompt')} {verb} more than {_write(effect.margin, card)} (95% "
        f"interval of all such prompts {effect.losing_low:.0%} to {effect.losing_high:.0%})"
    )
    if effect.median_low is not None and effect.median_high is not None:
        low, high = (_write(end, card, signed=True) for end in (effect.median_low, effect.median_high))
        text += f"; the median prompt changes by {_write(effect.median, card, signed=True)} ({low} to {high})"
    return [f"{text}."]


def lost_sentence(found: Effect) -> str:
    """Counts the lost pairs by reason: `5 of 9 pairs lost: 4 failed, 1 another CLIP.`"""
    return f"{_lost(found.lost, found.pairs)}."


def uncompared_sentence(found: Contrast) -> str:
    """Describes a contrast of which no pair is left: `At guidance_scale 12 no CLIP score is compared with that at 6: 9
    of 9 pairs lost: 9 another definition.`"""
    of = f" ({found.kind})" if found.kind else ""
    title = card_or_name(found.metric).title
    return (
        f"At {found.axis} {write_value(found.value)}{of} no {title} is compared with that at "
        f"{write_value(found.baseline)}: {_lost(found.pairs.lost, 0)}."
    )


def _lost(lost: Sequence[tuple[str, int]], kept: int) -> str:
    reasons = ", ".join(f"{number} {reason}" for reason, number in lost)
    number = sum(number for _, number in lost)
    return f"{number} of {count(number + kept, 'pair')} lost: {reasons}"


def best_sentence(found: BestValues) -> str:
    """Describes the values that may be the best: `The best guidance_scale in CLIP score may be 3, 5 or 6 of 7 values
    (95%; 14 prompts); 5 has the best mean.`"""
    card = card_or_name(found.metric)
    of = f" ({found.kind})" if found.kind else ""
    whole = len(found.values)
    if found.prompts < FEWEST:
        return (
            f"Which of {whole} values of {found.axis}{of} is the best in {card.title} cannot be told from "
            f"{count(found.prompts, 'prompt')}: {FEWEST} are needed."
        )
    *others, last = (write_value(value) for value in found.candidates)
    may_be = f"may be {', '.join(others)} or {last}" if others else f"is {last}"
    best = f"; {write_value(found.best)} has the best mean" if others else ""
    return (
        f"The best {found.axis}{of} in {card.title} {may_be} of {whole} values (95%; "
        f"{count(found.prompts, 'prompt')}){best}."
    )


def looks_sentence(looks: Looks, what: str = "the primary metric", resting: str = "differences") -> str:
    """Describes how verdicts are kept right over the looks at them; empty for a first look. `resting` are those that an
    e-value carries."""
    number = len(looks.prompts)
    counts = ", ".join(map(str, looks.prompts))
    if looks.rule == "spending":
        left = (
            f"this look's level is {looks.alpha:.2%}"
            if looks.alpha
            else "nothing is left of the 5%, so that nothing more is claimed"
        )
        return (
            f"Look {number} at {what}, at {counts} of at most {looks.max_prompts} prompts: {left} "
            "(Pocock), so that all looks together are wrong in at most 5%."
        )
    if looks.rule == "one look":
        return ""
    return (
        f"Look {number} at {what}, at {counts} prompts, and the sweep file has no max_prompts: {resting} rest on an "
        "e-value, which may be looked at at any time, and not on p."
    )


def degenerate_counts(effect: Effect) -> str:
    """Counts degenerate videos: `9 of 9 videos at 2, 0 of 9 at 50`; empty where none is degenerate, and for metrics of
    the machine."""
    if is_of_machine(effect.metric) or not effect.degenerate + effect.degenerate_baseline:
        return ""
    return (
        f"{effect.degenerate} of {count(effect.pairs, 'video')} at {write_value(effect.value)}, "
        f"{effect.degenerate_baseline} of {effect.pairs} at {write_value(effect.baseline)}"
    )


def change(effect: Effect) -> str:
    """Describes a change: `At guidance_scale 12 the CLIP score is on average 0.80 higher than at 6`."""
    card = card_or_name(effect.metric)
    than = f"{_write(abs(effect.mean), card)} {'higher' if effect.mean > 0 else 'lower'} than"
    if abs(effect.mean) / card.scale < _NOISE:
        than = "the same to the digits shown as"
    if effect.mean == 0:
        than = "the same as"
    of = f" ({effect.kind})" if effect.kind else ""
    average = "on average " if effect.pairs > 1 else ""
    return (
        f"At {effect.axis} {write_value(effect.value)}{of} the {card.title} is {average}{than} "
        f"at {write_value(effect.baseline)}"
    )


def interaction_sentence(found: Interaction) -> str:
    """Describes an interaction: `The change of the CLIP score from guidance_scale 6 to 12 is 0.80 higher at
    num_inference_steps 10 than at 50 (95% interval +0.31 to +1.29; 9 prompts): higher.`"""
    card = card_or_name(found.metric)
    than = f"{_write(abs(found.mean), card)} {'higher' if found.mean > 0 else 'lower'}" if found.mean else "the same"
    of = f" ({found.kind})" if found.kind else ""
    change_text = (
        f"The change of the {card.title}{of} from {found.axis_a} {write_value(found.baseline_a)} to "
        f"{write_value(found.value_a)} is {than} at {found.axis_b} {write_value(found.value_b)} "
        f"{'than' if found.mean else 'as'} at {write_value(found.baseline_b)}"
    )
    prompts = count(found.prompts, "prompt")
    if found.verdict == "one prompt":
        return f"{change_text} ({prompts}). {ONE_PROMPT}"
    spread = "the same in each" if found.t_low == found.t_high else _spread(found, card)
    text = f"{change_text} ({spread}; {prompts}): {_verdict(found, card)}."
    if found.degenerate and not is_of_machine(found.metric):
        text += f" {found.degenerate} of the {4 * found.squares} videos are degenerate, and count like any other."
    return text


def seed_sentences(found: SeedSpread) -> list[str]:
    """Describes the spread between seeds and its share of the variance: `Between the seeds of a prompt the CLIP score
    has a standard deviation of 1.38 on average (95% interval 0.00 to 3.82; 9 prompts, 5 seeds); two of them differ by
    1.67.`"""
    card = card_or_name(found.metric)
    counts = f"{count(found.prompts, 'prompt')}, {count(found.seeds, 'seed')}"
    if found.settings > 1:
        counts += f", averaged over {found.settings} settings"
    average = f" on average ({_seed_interval(found, card)}; {counts})" if found.prompts > 1 else f" ({counts})"
    sentences = [
        f"Between the seeds of a prompt the {_titled(found, card)} has a standard deviation of "
        f"{_write(found.deviation, card)}{average}; two of them differ by {_write(found.difference, card)}."
    ]
    if found.share_of_prompts is not None:
        sentences.append(
            f"Of the variance of a single video's {card.title} {found.share_of_prompts:.0%} "
            f"({found.share_low:.0%} to {found.share_high:.0%}) is between prompts, the rest between seeds."
        )
    if found.degenerate and not is_of_machine(found.metric):
        sentences.append(f"Degenerate: {found.degenerate} of {count(found.cells, 'video')}. They count like any other.")
    return sentences


def yardstick(found: SeedSpread) -> str:
    """Describes the spread between seeds at the baselines, as the yardstick for the changes of a ranking."""
    card = card_or_name(found.metric)
    return (
        f"Two seeds of one prompt differ by {_write(found.difference, card)} in {_titled(found, card)} on average at "
        f"the baseline ({count(found.prompts, 'prompt')}, {count(found.seeds, 'seed')})."
    )


def _titled(found: SeedSpread, card: MetricCard) -> str:
    return card.title + (f" ({found.kind})" if found.kind else "")


def _seed_interval(found: SeedSpread, card: MetricCard) -> str:
    assert found.low is not None, "several prompts have an interval"
    assert found.high is not None, "several prompts have an interval"
    return f"95% interval {_write(found.low, card)} to {_write(found.high, card)}"


def _spread(effect: Effect | Interaction, card: MetricCard) -> str:
    """Writes the interval: the plain one, for equivalence the verdict's own, since the plain one may reach beyond the
    margin, and Student's for less than six prompts."""
    if effect.t_low == effect.t_high:
        return "the same difference in each"
    ends, confidence, by = (effect.low, effect.high), 1 - ALPHA, ""
    if effect.verdict == "equivalent" and effect.verdict_confidence is not None:
        ends, confidence = (effect.verdict_low, effect.verdict_high), effect.verdict_confidence
    elif effect.low is None:
        ends, by = (effect.t_low, effect.t_high), ", Student's"
    low, high = (_write(end, card, signed=True) for end in ends if end is not None)
    return f"{100 * confidence:.3g}% interval {low} to {high}{by}"


def _verdict(effect: Effect | Interaction, card: MetricCard) -> str:
    exploratory = "" if effect.family == "primary" else ", exploratory"
    corrected = (
        f"{exploratory}, corrected for {effect.comparisons} comparisons" if effect.comparisons > 1 else exploratory
    )
    if effect.verdict == "refused":
        return "no verdict, since a third of the pairs or more is lost"
    if effect.verdict == "equivalent":
        assert effect.margin is not None, "equivalence has a margin"
        assert effect.may_change is not None, "a margin has a share beyond it"
        differs = effect.adjusted_p is not None and effect.adjusted_p <= ALPHA
        there = ", though not the same" if differs else ""
        return (
            f"equivalent within {_write(effect.margin, card)}{corrected}{there}. Up to {effect.may_change:.0%} of "
            "prompts may still change by more"
        )
    if effect.verdict != "inconclusive":
        ends = (effect.verdict_low, effect.verdict_high)
        small = ""
        if effect.margin is not None and all(end is not None and abs(end) < effect.margin for end in ends):
            small = f", on average by less than the margin of {_write(effect.margin, card)}"
        return f"{effect.verdict}{corrected}{small}"
    return f"inconclusive{_why_inconclusive(effect, corrected)}"


def _why_inconclusive(effect: Effect | Interaction, corrected: str) -> str:
    """Describes what an inconclusive comparison lacks."""
    text = "" if effect.family == "primary" else ", exploratory"
    prompts = f"{count(effect.prompts, 'prompt')} {'is' if effect.prompts == 1 else 'are'}"
    if effect.p is not None and effect.p <= ALPHA:
        text = f"{corrected}, though this comparison alone would show a difference"
    if effect.missing_prompts is not None and effect.prompts >= FEWEST:
        return (
            f"{text}. The mean is within the margin, but {effect.may_change:.0%} of prompts may still change by more. "
            f"{count(effect.missing_prompts, 'more prompt')} would bring it to {MAY_CHANGE:.0%}, if none of them does"
        )
    if effect.missing_prompts is not None:
        return f"{text}. {prompts} too few; {FEWEST} are the least"
    if effect.t_low == effect.t_high:
        return text
    if effect.more_prompts is None:
        return f"{text}. Even {MAX_PROMPTS} prompts would hardly settle it"
    return f"{text}. {prompts} too few; try about {effect.more_prompts}"


def counted(effect: Effect) -> str:
    """Counts the prompts and seeds of an effect: `9 prompts, 1 seed`."""
    return f"{count(effect.prompts, 'prompt')}, {count(effect.seeds, 'seed')}"


def _write(value: float, card: MetricCard, *, signed: bool = False) -> str:
    """Writes a value as the tables do, but to three significant digits where those leave less than two."""
    size = abs(value) / card.scale
    if _NOISE <= size < 10 ** (1 - card.digits):
        card = replace(card, digits=2 - math.floor(math.log10(size)))
    return card.write(value, signed=signed)
