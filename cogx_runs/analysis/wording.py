"""Effects in plain English that claims nothing beyond the numbers."""

from typing import Any

from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.interactions import Interaction
from cogx_runs.analysis.intervals import MAX_PROMPTS
from cogx_runs.analysis.verdict import ALPHA
from cogx_runs.metrics.card import MINUS
from cogx_runs.metrics.registry import card_of

ONE_PROMPT = "One prompt: no interval can be given, and no verdict."
_UNITS = {"_s": " s", "_gib": " GiB", "_bytes": " bytes"}


def sentence(effect: Effect) -> str:
    """`At guidance_scale 12 the CLIP score is 0.80 higher than at 6 (95% interval +0.31 to +1.29; 9 prompts, 1 seed):
    better.`, with what limits it."""
    unit = _unit(effect.metric)
    if effect.low is None or effect.high is None:
        said = [f"{change(effect)} ({counted(effect)}). {ONE_PROMPT}"]
    else:
        spread = "the same difference in each" if effect.low == effect.high else _interval(effect, unit)
        said = [f"{change(effect)} ({spread}; {counted(effect)}): {_verdict(effect, unit)}."]
    if effect.settings > 1:
        said.append(f"Averaged over {effect.settings} settings of the other parameters.")
    if effect.left_out:
        said.append(f"{_count(effect.left_out, 'pair')} left out: not measured alike.")
    return " ".join(said)


def change(effect: Effect) -> str:
    """`At guidance_scale 12 the CLIP score is on average 0.80 higher than at 6`."""
    unit = _unit(effect.metric)
    than = f"{_write(abs(effect.mean), unit)} {'higher' if effect.mean > 0 else 'lower'} than"
    if than.startswith("0.0000"):
        than = "the same to the digits shown as"
    if effect.mean == 0:
        than = "the same as"
    of = f" ({effect.kind})" if effect.kind else ""
    average = "on average " if effect.pairs > 1 else ""
    return (
        f"At {effect.axis} {_value(effect.value)}{of} the {_label(effect.metric)} is {average}{than} "
        f"at {_value(effect.baseline)}"
    )


def interaction_sentence(found: Interaction) -> str:
    """`The change of the CLIP score from guidance_scale 6 to 12 is 0.80 higher at num_inference_steps 10 than at 50
    (95% interval +0.31 to +1.29; 9 prompts): higher.`"""
    unit = _unit(found.metric)
    than = f"{_write(abs(found.mean), unit)} {'higher' if found.mean > 0 else 'lower'}" if found.mean else "the same"
    of = f" ({found.kind})" if found.kind else ""
    said = (
        f"The change of the {_label(found.metric)}{of} from {found.axis_a} {_value(found.baseline_a)} to "
        f"{_value(found.value_a)} is {than} at {found.axis_b} {_value(found.value_b)} "
        f"{'than' if found.mean else 'as'} at {_value(found.baseline_b)}"
    )
    prompts = _count(found.prompts, "prompt")
    if found.low is None or found.high is None:
        return f"{said} ({prompts}). {ONE_PROMPT}"
    spread = "the same in each" if found.low == found.high else _interval(found, unit)
    return f"{said} ({spread}; {prompts}): {_verdict(found, unit)}."


def _interval(effect: Effect | Interaction, unit: str) -> str:
    """The plain one, which may reach beyond the margin where the verdict is of equivalence: there the verdict's own."""
    ends, confidence = (effect.low, effect.high), 1 - ALPHA
    if effect.verdict == "equivalent" and effect.verdict_confidence is not None:
        ends, confidence = (effect.verdict_low, effect.verdict_high), effect.verdict_confidence
    low, high = (_write(end, unit, signed=True) for end in ends if end is not None)
    return f"{100 * confidence:.3g}% interval {low} to {high}"


def _verdict(effect: Effect | Interaction, unit: str) -> str:
    corrected = f", corrected for {effect.comparisons} comparisons" if effect.comparisons > 1 else ""
    if effect.verdict == "equivalent":
        assert effect.margin is not None, "equivalence has a margin"
        differs = effect.adjusted_p is not None and effect.adjusted_p <= ALPHA
        there = "; it does differ, by less than that" if differs else ""
        return f"equivalent within {_write(effect.margin, unit)}{corrected}{there}"
    if effect.verdict != "undecided":
        return f"{effect.verdict}{corrected}"
    said = "cannot be told apart"
    if effect.p is not None and effect.p <= ALPHA:
        said += f"{corrected}, though this comparison alone would"
    if effect.low == effect.high:
        return said
    if effect.more_prompts is None:
        return (
            f"{said}; at the mean and spread seen, not even {MAX_PROMPTS} prompts are likely to settle it (an estimate)"
        )
    more = _count(effect.more_prompts, "more prompt")
    return (
        f"{said}; about {more}, judged alone, would settle it with 80% power, if the mean and spread seen are the true "
        "ones"
    )


def counted(effect: Effect) -> str:
    """`9 prompts, 1 seed`."""
    return f"{_count(effect.prompts, 'prompt')}, {_count(effect.seeds, 'seed')}"


def _label(metric: str) -> str:
    card = card_of(metric)
    return metric if card is None else card.title


def _unit(metric: str) -> str:
    return next((unit for ending, unit in _UNITS.items() if metric.endswith(ending)), "")


def _write(value: float, unit: str, *, signed: bool = False) -> str:
    """Three significant digits, and all before the point."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 4
    text = f"{size:,.{digits}f}"
    is_zero = not any(digit in text for digit in "123456789")
    sign = "" if is_zero else MINUS if value < 0 else "+" if signed else ""
    return f"{sign}{text}{unit}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value) or "(empty)"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
