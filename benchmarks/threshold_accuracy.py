"""How often the search for the smallest step count is right, and what it costs, on simulated curves of quality.

    python benchmarks/threshold_accuracy.py --prompts 9 --seeds 5 --seed 20240613

prints the tables of docs/statistics.md.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

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
    all_counts: Mapping[int, np.ndarray], known: tuple[int, ...] = (), seeds: int = 1
) -> tuple[Threshold, tuple[int, ...]]:
    """The settled search of a curve, and the counts that it measured beside the `known` ones, in that order."""
    order = known
    while True:
        measured = {count: all_counts[count] for count in order}
        threshold = judge_threshold(measured, LADDER, margin=MARGIN, better="higher", metric="clip_score", seeds=seeds)
        if threshold.next_count is None:
            return threshold, order[len(known) :]
        order = (*order, threshold.next_count)


def truth(curve: Curve) -> int:
    """The smallest count that is truly within the margin."""
    return next(count for count in LADDER if float(curve(np.array(float(count)))) > -MARGIN + 1e-9)


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
) -> Accuracy:
    """What becomes of `replications` searches."""
    true = LADDER.index(truth(curve))
    places, new = [], []
    for _ in range(replications):
        threshold, measured = search(scores(curve, noise, prompts, seeds, rng, share), known, seeds)
        places.append(LADDER.index(threshold.found))
        new.append(len(measured))
    found = np.array(places)
    return Accuracy(
        float((found == true).mean()),
        float(((found == true) | (found == true + 1)).mean()),
        float((found < true).mean()),
        max(new),
        float(np.mean(new)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--replications", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=20240613)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print(f"{arguments.prompts} prompts, {arguments.seeds} seeds, a ladder of {len(LADDER)}, margin 1; "
          f"{arguments.replications} searches each, so ±{196 * (0.05 * 0.95 / arguments.replications) ** 0.5:.1f} "
          "at 5 percent\n")  # fmt: skip
    print("| curve | true threshold | noise | found, percent | found or the next above | an inferior count given | "
          "counts measured, mean (most) |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for name, curve in CURVES.items():
        for level, noise in NOISES.items():
            got = accuracy(curve, noise, prompts=arguments.prompts, seeds=arguments.seeds,
                           replications=arguments.replications, rng=rng)  # fmt: skip
            print(f"| {name} | {truth(curve)} | {level} | {100 * got.right:.0f} | {100 * got.within_one:.0f} | "
                  f"{100 * got.wrong:.1f} | {got.mean_new:.1f} ({got.most_new}) |", flush=True)  # fmt: skip
    print("\n| already measured, all below 50 at the margin, middle noise | an inferior count given, percent | "
          "counts measured, mean (most) |\n|---|---|---|")  # fmt: skip
    for known in ((5,), (20,), (40,), (10, 25), (5, 8, 10, 20, 25, 40), LADDER[:-1]):
        got = accuracy(CURVES["all below 50 at the margin"], NOISES["middle"], prompts=arguments.prompts,
                       seeds=arguments.seeds, replications=arguments.replications, rng=rng, known=known)  # fmt: skip
        print(f"| {', '.join(map(str, known))} | {100 * got.wrong:.1f} | {got.mean_new:.1f} ({got.most_new}) |",
              flush=True)  # fmt: skip
    print(
        "\n| how prompts lose, all below 50 at the margin on average, middle noise | an inferior count given, percent |"
    )
    print("|---|---|")
    for name, share in SHARES.items():
        got = accuracy(CURVES["all below 50 at the margin"], NOISES["middle"], prompts=arguments.prompts,
                       seeds=arguments.seeds, replications=arguments.replications, rng=rng, share=share)  # fmt: skip
        print(f"| {name} | {100 * got.wrong:.1f} |", flush=True)


if __name__ == "__main__":
    main()
