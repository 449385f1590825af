"""A promotion in plain English that claims nothing beyond the numbers."""

from cogx_runs.analysis.promotion.agreement import Agreement
from cogx_runs.analysis.promotion.choice import Choice
from cogx_runs.analysis.promotion.finals import Comparison
from cogx_runs.formatting import MINUS, count


def say_comparison(found: Comparison, choice: Choice) -> str:
    """What a metric says of the best candidates, with what makes it say too much."""
    size = f"{abs(found.mean):.3g}"
    side = "higher" if found.mean > 0 else "lower"
    which = f"{found.metric}, which chose" if found.chose else f"{found.metric}, which did not choose"
    if found.what == "change":
        said = f"By {which}: at {choice.steps} steps the best are {size} {side} than at {choice.from_steps}"
    else:
        steps = choice.from_steps if found.what == "lead" else choice.steps
        said = f"By {which}: at {steps} steps the best are {size} {side} than the mean of the others"
    if found.mean == 0:
        said = said.replace(f" {size} {side} than", " the same as")
    said += f" ({_interval(found.mean, found.low, found.high)}; {count(found.prompts, 'prompt')})"
    if found.chose and found.what == "lead":
        return f"{said}: they were chosen for it, and some of it may be luck."
    if found.chose and found.what == "change":
        worse = "lower" if choice.direction == "higher" else "higher"
        return (
            f"{said}: this tends to be {worse} than what the steps do, since some of the value at {choice.from_steps} "
            "was the luck of being chosen."
        )
    if found.verdict == "one prompt":
        return f"{said}: one prompt, so no verdict."
    if found.verdict == "inconclusive":
        return f"{said}: inconclusive."
    return f"{said}: {found.verdict}."


def say_agreement(found: Agreement) -> list[str]:
    """Rank agreement, hits and what choosing early costs, a sentence each."""
    few, many = found.from_steps, found.steps
    counts = sorted({prompt.candidates for prompt in found.by_prompt})
    each = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    counted = f"{count(found.prompts, 'prompt')} of {each} candidates"
    said = [f"Agreement of {few} and {many} steps by {found.metric}: {counted}."]
    if found.left_out:
        said[0] += f" {count(found.left_out, 'prompt')} left out: not every candidate has a final."
    if found.tau is None:
        said.append("Kendall's tau: none, since the scores of each prompt are all the same.")
    else:
        interval = _interval(found.tau, found.tau_low, found.tau_high)
        said.append(f"Kendall's tau: {found.tau:.2f} on average ({interval}; 1 is the same order, 0 is none).")
    said.append(
        f"The best at {few} steps is the best at {many} in {found.hits} of {found.prompts} "
        f"(95% interval {found.hit_low:.0%} to {found.hit_high:.0%}; {found.chance:.0%} by chance alone)."
    )
    interval = _interval(found.regret, found.regret_low, found.regret_high)
    said.append(
        f"Choosing at {few} steps loses {found.regret:.3g} {found.metric} on average against the best at {many} "
        f"({interval}); choosing at random would lose {found.random_regret:.3g}."
    )
    return said


def no_agreement(choice: Choice) -> str:
    """Why there is nothing to say of the agreement, and what would change that."""
    if all(one.of == 1 for one in choice.candidates):
        return "Agreement cannot be told: each prompt has one candidate."
    return (
        f"Agreement of {choice.from_steps} and {choice.steps} steps cannot be told: the candidates that were not "
        "chosen have no final; `--top all` makes them."
    )


def _interval(mean: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "no interval"
    if low == high == mean:
        return "the same in each"
    return f"95% interval {low:.3g} to {high:.3g}".replace("-", MINUS)
