"""A promotion in plain English that claims nothing beyond the numbers."""

import pandas as pd

from cogx_runs.analysis.noninferiority import prompts_needed
from cogx_runs.analysis.promotion.agreement import Agreement
from cogx_runs.analysis.promotion.choice import Choice
from cogx_runs.analysis.promotion.finals import Comparison
from cogx_runs.analysis.promotion.gains import FEWEST_FINISHED, NEARLY, PreviewGain, PreviewGains, preview_gains
from cogx_runs.analysis.shares import MAY_CHANGE
from cogx_runs.errors import CogxError
from cogx_runs.formatting import MINUS, count


def describe_comparison(found: Comparison, choice: Choice) -> str:
    """Describes a comparison of the best candidates, with the bias of the choice."""
    size = f"{abs(found.mean):.3g}"
    side = "higher" if found.mean > 0 else "lower"
    which = f"{found.metric}, which chose" if found.chose else f"{found.metric}, which did not choose"
    if found.what == "change":
        text = f"By {which}: at {choice.steps} steps the best are {size} {side} than at {choice.from_steps}"
    else:
        steps = choice.from_steps if found.what == "lead" else choice.steps
        text = f"By {which}: at {steps} steps the best are {size} {side} than the mean of the others"
    if found.mean == 0:
        text = text.replace(f" {size} {side} than", " the same as")
    text += f" ({_interval(found.mean, found.low, found.high)}; {count(found.prompts, 'prompt')})"
    if found.chose and found.what == "lead":
        return f"{text}: they were chosen for it, and some of it may be luck."
    if found.chose and found.what == "change":
        worse = "lower" if choice.direction == "higher" else "higher"
        return (
            f"{text}: this tends to be {worse} than what the steps do, since some of the value at {choice.from_steps} "
            "was the luck of being chosen."
        )
    if found.verdict == "one prompt":
        return f"{text}: one prompt, so no verdict."
    if found.verdict == "inconclusive":
        return f"{text}: inconclusive."
    return f"{text}: {found.verdict}."


def describe_agreement(found: Agreement) -> list[str]:
    """Describes rank agreement, hits and the cost of choosing early, a sentence each."""
    few, many = found.from_steps, found.steps
    counts = sorted({prompt.candidates for prompt in found.by_prompt})
    each = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    counts_text = f"{count(found.prompts, 'prompt')} of {each} candidates"
    sentences = [f"Agreement of {few} and {many} steps by {found.metric}: {counts_text}."]
    if found.left_out:
        sentences[0] += f" {count(found.left_out, 'prompt')} left out: not every candidate has a final."
    if found.tau is None:
        sentences.append("Kendall's tau: none, since the scores of each prompt are all the same.")
    else:
        interval = _interval(found.tau, found.tau_low, found.tau_high)
        sentences.append(f"Kendall's tau: {found.tau:.2f} on average ({interval}; 1 is the same order, 0 is none).")
    sentences.append(
        f"The best at {few} steps is the best at {many} in {found.hits} of {found.prompts} "
        f"(95% interval {found.hit_low:.0%} to {found.hit_high:.0%}; {found.chance:.0%} by chance alone)."
    )
    interval = _interval(found.regret, found.regret_low, found.regret_high)
    sentences.append(
        f"Choosing at {few} steps loses {found.regret:.3g} {found.metric} on average against the best at {many} "
        f"({interval}); choosing at random would lose {found.random_regret:.3g}."
    )
    return [*sentences, _describe_loss(found)]


def _describe_loss(found: Agreement) -> str:
    """Describes whether the choice at few steps is shown to lose nothing that matters, by the rule of all verdicts."""
    lose = "loses" if found.losing == 1 else "lose"
    text = (
        f"By a margin of {found.margin:.3g} choosing at {found.from_steps} steps is {found.verdict}: {found.losing} of "
        f"{count(found.prompts, 'prompt')} {lose} more, so that up to {found.may_lose:.0%} of all may"
    )
    missing = prompts_needed(MAY_CHANGE, found.losing) - found.prompts
    if found.verdict == "inconclusive" and missing > 0:
        text += (
            f"; {count(missing, 'more prompt')} would show that at most {MAY_CHANGE:.0%} do, if none of them loses more"
        )
    return f"{text}."


def gains_of(frame: pd.DataFrame, metric: str, from_steps: int, steps: int) -> tuple[PreviewGains | None, list[str]]:
    """Estimates what previews are worth, and describes it; None, with the reason, where that cannot be done."""
    try:
        found = preview_gains(frame, metric, steps, from_steps)
    except CogxError as error:
        return None, [f"What a lead at {from_steps} steps is worth at {steps} is unknown: {error}."]
    return found, describe_gains(found, from_steps)


def describe_gains(found: PreviewGains, from_steps: int) -> list[str]:
    """Describes what choosing at `from_steps` is expected to gain, and which choice gains most a second."""
    calibration = next((one for one in found.calibrations if one.from_steps == from_steps), None)
    if calibration is None or found.expected is None:
        finished = dict(found.finished).get(from_steps, 0)
        return [
            f"What a lead at {from_steps} steps is worth at {found.steps} is unknown: "
            f"{count(finished, 'prompt')} of two candidates or more, with previews that differ, "
            f"{'has' if finished == 1 else 'have'} a final of each, and {FEWEST_FINISHED} are needed; `--top all` runs "
            "them."
        ]
    slope = _interval(calibration.slope, calibration.slope_low, calibration.slope_high)
    expected = found.expected
    sentences = [
        f"Of a lead of 1 {found.metric} at {from_steps} steps {calibration.slope:.2f} is left at {found.steps} "
        f"({slope}; {count(calibration.prompts, 'prompt')} with finals of all their {calibration.candidates} "
        f"candidates); correlation within a prompt {calibration.correlation:.2f}, standard deviation of its finals "
        f"{calibration.final_deviation:.3g}.",
        f"Expected {found.metric} of the best at {found.steps} steps: {expected.expected:.4g} on average "
        f"({_interval(expected.expected, expected.low, expected.high)}; {count(expected.prompts, 'prompt')}), "
        f"{expected.gain:.3g} better than a candidate at random "
        f"({_interval(expected.gain, expected.gain_low, expected.gain_high)}); with the whole lead it would be "
        f"{expected.naive:.4g}.",
    ]
    return sentences + _describe_best(found)


def _describe_best(found: PreviewGains) -> list[str]:
    """Describes the choice that gains most a second, and how far it can be trusted."""
    best = found.best
    if best is None:
        return ["Which choice gains most a second is unknown: no gain is expected, or times are missing."]
    nearly = found.nearly
    others = (
        ""
        if len(nearly) == 1
        else f"; {nearly[0]} to {nearly[-1]} candidates gain {NEARLY:.0%} of that a second, or more"
    )
    text = (
        f"Most a second: {_choice(best, found.steps)}, an expected gain of {best.gain:.3g} for {best.seconds:.3g} s a "
        f"prompt{others}."
    )
    if best.low <= 0:
        text += f" That this gains anything is not shown ({_interval(best.gain, best.low, best.high)})."
    most = max((row.candidates for row in found.rows if row.seen is not None), default=1)
    if nearly[-1] > most:
        text += f" More than {most} candidates were not tried: their gain is that of normal values."
    return [text]


def _choice(row: PreviewGain, steps: int) -> str:
    if row.from_steps == steps:
        return f"the best of {row.candidates} finals, without previews"
    return f"{row.candidates} candidates at {row.from_steps} steps and the final of the best"


def describe_no_agreement(choice: Choice) -> str:
    """Describes why agreement is unknown, and how to measure it."""
    if all(one.of == 1 for one in choice.candidates):
        return "Agreement is unknown: each prompt has one candidate."
    return (
        f"Agreement of {choice.from_steps} and {choice.steps} steps is unknown: the candidates that were not chosen "
        "have no final; `--top all` runs them."
    )


def _interval(mean: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "no interval"
    if low == high == mean:
        return "the same in each"
    return f"95% interval {low:.3g} to {high:.3g}".replace("-", MINUS)
