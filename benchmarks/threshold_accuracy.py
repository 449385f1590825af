"""How often the search for the smallest step count is right, and what it costs, on simulated curves of quality.

    python benchmarks/threshold_accuracy.py --seeds 5 --seed 20240613

prints the tables of docs/threshold.md.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cogx_runs.analysis.intervals import ALPHA, mean_intervals
from cogx_runs.analysis.shares import MAY_CHANGE
from cogx_runs.analysis.threshold import LADDER, Threshold, judge_threshold

MARGIN = 1.0
Curve = Callable[[np.ndarray], np.ndarray]
"""Mean quality less that at the reference, by step count."""

CURVES: dict[str, Curve] = {
    "exponential, fast": lambda steps: -12 * np.exp(-steps / 3.5),
    "exponential, slow": lambda steps: -6 * np.exp(-steps / 9),
    "by the logarithm": lambda steps: -1.6 * np.log2(50 / steps),
    "by the inverse": lambda steps: -14 * (1 / steps - 1 / 50),
    "S-shaped": lambda steps: -5 / (1 + np.exp((steps - 18) / 3)),
    "a cliff of 2 margins at 12": lambda steps: np.where(steps < 12, -2.0, 0.0),
    "a cliff of 2 margins at 40": lambda steps: np.where(steps < 40, -2.0, 0.0),
    "flat: nothing is lost": lambda steps: 0.0 * steps,
    "all below 50 at the margin": lambda steps: np.where(steps < 50, -1.0, 0.0),
    "at the margin below 25": lambda steps: np.where(steps < 25, -1.0, 0.0),
    "just beyond the margin below 15": lambda steps: np.where(steps < 15, -1.1, 0.0),
    "a dip of 1.5 margins at 20": lambda steps: np.where(steps == 20, -1.5, np.where(steps < 8, -2.0, 0.0)),
}


@dataclass(frozen=True)
class Noise:
    """Standard deviations of scores, in margins."""

    prompt: float
    """Of what a prompt adds at a step count, the same for all seeds."""
    cell: float
    """Of a single video."""


NOISES = {"low": Noise(0.1, 0.3), "middle": Noise(0.3, 0.8), "high": Noise(0.5, 1.5)}

Share = Callable[[np.random.Generator, int], np.ndarray]
"""How much of the curve each of so many prompts has, 1 on average."""

SHARES: dict[str, Share] = {
    "alike": lambda _, prompts: np.ones(prompts),
    "half of the prompts lose twice as much, the others nothing": lambda rng, n: 2.0 * (rng.random(n) < 0.5),
    "exponential": lambda rng, prompts: rng.exponential(size=prompts),
    "a fifth of the prompts lose five times as much, the others nothing": lambda rng, n: 5.0 * (rng.random(n) < 0.2),
}


def scores(
    curve: Curve, noise: Noise, prompts: int, seeds: int, rng: np.random.Generator, share: Share = SHARES["alike"]
) -> dict[int, np.ndarray]:
    """Of each count below the reference, the differences by prompt: the reference's noise is in all of them."""
    ladder = np.array(LADDER, dtype=float)
    found = share(rng, prompts)[:, None] * curve(ladder) + rng.normal(0, noise.prompt, (prompts, len(ladder)))
    found = found + rng.normal(0, noise.cell, (prompts, seeds, len(ladder))).mean(axis=1)
    differences = found[:, :-1] - found[:, -1:]
    return dict(zip(LADDER, differences.T, strict=False))


def search(
    all_counts: Mapping[int, np.ndarray], known: tuple[int, ...] = (), seeds: int = 1, may_lose: float = MAY_CHANGE
) -> tuple[Threshold, tuple[int, ...]]:
    """The settled search of a curve, and the counts that it measured beside the `known` ones, in that order."""
    order = known
    while True:
        measured = {count: all_counts[count] for count in order}
        threshold = judge_threshold(
            measured, LADDER, margin=MARGIN, better="higher", metric="clip_score", seeds=seeds, may_lose=may_lose
        )
        if threshold.next_count is None:
            return threshold, order[len(known) :]
        order = (*order, threshold.next_count)


def bisection(all_counts: Mapping[int, np.ndarray]) -> int:
    """The answer of the search before this one: Student's bound of the middle of what is left, each at 5% by the number
    of its looks."""
    counts = LADDER[:-1]
    level = ALPHA / len(counts).bit_length()
    shown, not_shown = len(counts), -1
    while shown - not_shown > 1:
        middle = (not_shown + shown + 1) // 2
        values = all_counts[counts[middle]]
        passes = mean_intervals(values, 1 - 2 * level)[0] > -MARGIN
        shown, not_shown = (middle, not_shown) if passes else (shown, middle)
    return LADDER[shown]


def truth(curve: Curve) -> int:
    """The smallest count that is truly within the margin, with all above it."""
    beyond = [count for count in LADDER if float(curve(np.array(float(count)))) <= -MARGIN + 1e-9]
    return LADDER[LADDER.index(beyond[-1]) + 1] if beyond else LADDER[0]


@dataclass(frozen=True)
class Accuracy:
    """Of many searches of one curve, in shares."""

    right: float
    """The true threshold was found."""
    within_one: float
    """It, or the next count above it."""
    wrong: float
    """A count that is truly inferior was given as the answer."""
    most_new: int
    """Counts measured, at most."""
    mean_new: float
    before_right: float
    """The true threshold was found by the bisection before."""
    before_wrong: float


def accuracy(
    curve: Curve,
    noise: Noise,
    *,
    prompts: int,
    seeds: int,
    replications: int,
    rng: np.random.Generator,
    known: tuple[int, ...] = (),
    share: Share = SHARES["alike"],
    may_lose: float = MAY_CHANGE,
) -> Accuracy:
    """What becomes of `replications` searches."""
    true = LADDER.index(truth(curve))
    places, new, earlier = [], [], []
    for _ in range(replications):
        made = scores(curve, noise, prompts, seeds, rng, share)
        threshold, measured = search(made, known, seeds, may_lose)
        places.append(LADDER.index(threshold.found))
        new.append(len(measured))
        earlier.append(LADDER.index(bisection(made)))
    found, before = np.array(places), np.array(earlier)
    return Accuracy(
        float((found == true).mean()),
        float(((found == true) | (found == true + 1)).mean()),
        float((found < true).mean()),
        max(new),
        float(np.mean(new)),
        float((before == true).mean()),
        float((before < true).mean()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20240613)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    common: dict[str, Any] = {"seeds": arguments.seeds, "replications": arguments.replications, "rng": rng}
    headers = ("curve", "true threshold", "noise", "found, percent: 9 prompts, any may lose", "bisection before",
               "14 prompts, a fifth may lose", "an inferior count given: 9 prompts", "bisection before", "14 prompts",
               "counts measured, mean (most)")  # fmt: skip
    print(f"| {' | '.join(headers)} |\n{'|---' * len(headers)}|")
    for name, curve in CURVES.items():
        for level, noise in NOISES.items():
            nine = accuracy(curve, noise, prompts=9, may_lose=0.999, **common)
            more = accuracy(curve, noise, prompts=14, **common)
            shares = (nine.right, nine.before_right, more.right, nine.wrong, nine.before_wrong, more.wrong)
            written = [f"{100 * share:.0f}" for share in shares[:3]] + [f"{100 * share:.1f}" for share in shares[3:]]
            print(f"| {name} | {truth(curve)} | {level} | {' | '.join(written)} | {nine.mean_new:.1f} "
                  f"({nine.most_new}) |", flush=True)  # fmt: skip
    print("\n| how prompts lose, all below 50 at the margin on average, middle noise | prompts | an inferior count "
          "given, percent | by bisection and the mean alone, as before |\n|---|---|---|---|")  # fmt: skip
    for name, share in SHARES.items():
        for prompts in (14, 20):
            got = accuracy(
                CURVES["all below 50 at the margin"], NOISES["middle"], prompts=prompts, share=share, **common
            )
            print(f"| {name} | {prompts} | {100 * got.wrong:.1f} | {100 * got.before_wrong:.1f} |", flush=True)


if __name__ == "__main__":
    main()
