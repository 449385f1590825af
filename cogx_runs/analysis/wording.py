"""Effects in plain English that claims nothing beyond the numbers."""

import math
from dataclasses import replace

from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.interactions import Interaction
from cogx_runs.analysis.intervals import MAX_PROMPTS
from cogx_runs.analysis.seeds import SeedSpread
from cogx_runs.analysis.verdict import ALPHA
from cogx_runs.formatting import count, write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import card_of, is_of_machine

ONE_PROMPT = "One prompt: no interval can be given, and no verdict."
_NOISE = 1e-6
"""In a reader's unit: what is smaller is the floating point's, and is written as zero."""


def sentence(effect: Effect) -> str:
    """`At guidance_scale 12 the CLIP score is 0.80 higher than at 6 (95% interval +0.31 to +1.29; 9 prompts, 1 seed):
    better.`, with what limits it."""
    card = _card(effect.metric)
    if effect.low is None or effect.high is None:
        said = [f"{change(effect)} ({counted(effect)}). {ONE_PROMPT}"]
    else:
        spread = "the same difference in each" if effect.low == effect.high else _interval(effect, card)
        said = [f"{change(effect)} ({spread}; {counted(effect)}): {_verdict(effect, card)}."]
    if effect.settings > 1:
        said.append(f"Averaged over {effect.settings} settings of the other parameters.")
    if effect.left_out:
        said.append(f"{count(effect.left_out, 'pair')} left out: not measured alike.")
    if counts := degenerate_counts(effect):
        said.append(f"Degenerate: {counts}. They count like any other.")
    return " ".join(said)


def degenerate_counts(effect: Effect) -> str:
    """`9 of 9 videos at 2, 0 of 9 at 50`; empty where none is degenerate, and for what is of the machine and not of the
    video."""
    if is_of_machine(effect.metric) or not effect.degenerate + effect.degenerate_baseline:
        return ""
    return (
        f"{effect.degenerate} of {count(effect.pairs, 'video')} at {write_value(effect.value)}, "
        f"{effect.degenerate_baseline} of {effect.pairs} at {write_value(effect.baseline)}"
    )


def change(effect: Effect) -> str:
    """`At guidance_scale 12 the CLIP score is on average 0.80 higher than at 6`."""
    card = _card(effect.metric)
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
    """`The change of the CLIP score from guidance_scale 6 to 12 is 0.80 higher at num_inference_steps 10 than at 50
    (95% interval +0.31 to +1.29; 9 prompts): higher.`"""
    card = _card(found.metric)
    than = f"{_write(abs(found.mean), card)} {'higher' if found.mean > 0 else 'lower'}" if found.mean else "the same"
    of = f" ({found.kind})" if found.kind else ""
    said = (
        f"The change of the {card.title}{of} from {found.axis_a} {write_value(found.baseline_a)} to "
        f"{write_value(found.value_a)} is {than} at {found.axis_b} {write_value(found.value_b)} "
        f"{'than' if found.mean else 'as'} at {write_value(found.baseline_b)}"
    )
    prompts = count(found.prompts, "prompt")
    if found.low is None or found.high is None:
        return f"{said} ({prompts}). {ONE_PROMPT}"
    spread = "the same in each" if found.low == found.high else _interval(found, card)
    said = f"{said} ({spread}; {prompts}): {_verdict(found, card)}."
    if found.degenerate and not is_of_machine(found.metric):
        said += f" {found.degenerate} of the {4 * found.squares} videos are degenerate, and count like any other."
    return said


def seed_sentences(found: SeedSpread) -> list[str]:
    """`Between the seeds of a prompt the CLIP score has a standard deviation of 1.38 on average (95% interval 0.00 to
    3.82; 9 prompts, 5 seeds); two of them differ by 1.67.`, and what part of the variance that is."""
    card = _card(found.metric)
    counts = f"{count(found.prompts, 'prompt')}, {count(found.seeds, 'seed')}"
    if found.settings > 1:
        counts += f", averaged over {found.settings} settings"
    average = f" on average ({_seed_interval(found, card)}; {counts})" if found.prompts > 1 else f" ({counts})"
    said = [
        f"Between the seeds of a prompt the {_titled(found, card)} has a standard deviation of "
        f"{_write(found.deviation, card)}{average}; two of them differ by {_write(found.difference, card)}."
    ]
    if found.share_of_prompts is not None:
        said.append(
            f"Of the variance of a single video's {card.title} {found.share_of_prompts:.0%} is between prompts, the "
            "rest between seeds."
        )
    if found.degenerate and not is_of_machine(found.metric):
        said.append(f"Degenerate: {found.degenerate} of {count(found.cells, 'video')}. They count like any other.")
    return said


def yardstick(found: SeedSpread) -> str:
    """What the changes of a ranking are to be held against, `found` being of runs at the baselines."""
    card = _card(found.metric)
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


def _interval(effect: Effect | Interaction, card: MetricCard) -> str:
    """The plain one, which may reach beyond the margin where the verdict is of equivalence: there the verdict's own."""
    ends, confidence = (effect.low, effect.high), 1 - ALPHA
    if effect.verdict == "equivalent" and effect.verdict_confidence is not None:
        ends, confidence = (effect.verdict_low, effect.verdict_high), effect.verdict_confidence
    low, high = (_write(end, card, signed=True) for end in ends if end is not None)
    return f"{100 * confidence:.3g}% interval {low} to {high}"


def _verdict(effect: Effect | Interaction, card: MetricCard) -> str:
    corrected = f", corrected for {effect.comparisons} comparisons" if effect.comparisons > 1 else ""
    if effect.verdict == "equivalent":
        assert effect.margin is not None, "equivalence has a margin"
        differs = effect.adjusted_p is not None and effect.adjusted_p <= ALPHA
        there = "; it does differ, by less than that" if differs else ""
        return f"equivalent within {_write(effect.margin, card)}{corrected}{there}"
    if effect.verdict != "inconclusive":
        return f"{effect.verdict}{corrected}"
    said = "inconclusive"
    if effect.p is not None and effect.p <= ALPHA:
        said += f"{corrected}, though this comparison alone would"
    if effect.low == effect.high:
        return said
    if effect.more_prompts is None:
        return (
            f"{said}; at the mean and spread seen, not even {MAX_PROMPTS} prompts are likely to settle it (an estimate)"
        )
    more = count(effect.more_prompts, "more prompt")
    return (
        f"{said}; about {more}, judged alone, would settle it with 80% power, if the mean and spread seen are the true "
        "ones"
    )


def counted(effect: Effect) -> str:
    """`9 prompts, 1 seed`."""
    return f"{count(effect.prompts, 'prompt')}, {count(effect.seeds, 'seed')}"


def _card(metric: str) -> MetricCard:
    """Its card, or one that says no more than its name."""
    return card_of(metric) or MetricCard(name=metric, title=metric, definition="", source="")


def _write(value: float, card: MetricCard, *, signed: bool = False) -> str:
    """As in the tables, but to three significant digits where those leave less than two."""
    size = abs(value) / card.scale
    if _NOISE <= size < 10 ** (1 - card.digits):
        card = replace(card, digits=2 - math.floor(math.log10(size)))
    return card.write(value, signed=signed)
