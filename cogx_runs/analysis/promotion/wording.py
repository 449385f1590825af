"""A promotion in plain English that claims nothing beyond the numbers."""

from cogx_runs.analysis.promotion.agreement import Agreement
from cogx_runs.analysis.promotion.choice import Choice
from cogx_runs.analysis.promotion.finals import Comparison
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
    return sentences


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
