"""How often each kind of interval for a mean covers it, and how often verdicts are wrong or reached, by simulation.

    python benchmarks/interval_coverage.py --prompts 9 --seed 20240613

prints the tables of docs/statistics.md.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from scipy import special

from cogx_runs.analysis.intervals import MAX_PROMPTS, mean_intervals
from cogx_runs.analysis.verdict import judge, more_prompts

Array = np.ndarray
RESAMPLES = 1999
CHUNK = 500


def draws(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """Differences of mean 0: one array of `shape` for each kind of spread over prompts."""
    yield "normal", rng.normal(size=shape)
    yield "uniform", rng.uniform(-1, 1, size=shape)
    yield "heavy tails (t, 3 df)", rng.standard_t(3, size=shape)
    yield "mildly skewed (gamma, shape 4)", rng.gamma(4, size=shape) - 4
    yield "skewed (lognormal, sigma 0.5)", rng.lognormal(0, 0.5, size=shape) - np.exp(0.125)
    yield "skewed (exponential)", rng.exponential(size=shape) - 1
    yield "very skewed (lognormal, sigma 1)", rng.lognormal(0, 1, size=shape) - np.exp(0.5)
    few = rng.normal(0, 0.5, size=shape) + 3 * (rng.random(shape) < 0.2)
    yield "a fifth of the prompts carry it", few - 0.6
    some = rng.normal(0, 0.5, size=shape) + 2 * (rng.random(shape) < 0.5)
    yield "half of the prompts carry it", some - 1


def student(values: Array, rng: np.random.Generator) -> tuple[Array, Array]:  # noqa: ARG001 - one signature for all
    return mean_intervals(values, 0.95)


def percentile(values: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    means, _ = _resampled(values, rng)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    return low, high


def bca(values: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Bias-corrected and accelerated: Efron (1987), as in scipy.stats.bootstrap."""
    means, _ = _resampled(values, rng)
    centred = values - values.mean(axis=1, keepdims=True)
    sums = (centred**2).sum(axis=1)
    acceleration = (centred**3).sum(axis=1) / (6 * sums**1.5)
    bias = special.ndtri(np.clip((means < values.mean(axis=1, keepdims=True)).mean(axis=1), 1e-6, 1 - 1e-6))
    ends = []
    ordered = np.sort(means, axis=1)
    for tail in (0.025, 0.975):
        moved = bias + special.ndtri(tail)
        level = special.ndtr(bias + moved / (1 - acceleration * moved))
        place = np.clip(np.round(level * (means.shape[1] - 1)).astype(int), 0, means.shape[1] - 1)
        ends.append(ordered[np.arange(len(ordered)), place])
    return ends[0], ends[1]


def bootstrap_t(values: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Studentised: Hall (1988)."""
    means, spreads = _resampled(values, rng)
    centre, spread = values.mean(axis=1, keepdims=True), values.std(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(spreads > 1e-9, (means - centre) / spreads, 0.0)
    high, low = np.quantile(ratios, [0.025, 0.975], axis=1)
    return (centre - low[:, None] * spread)[:, 0], (centre - high[:, None] * spread)[:, 0]


def johnson(values: Array, rng: np.random.Generator) -> tuple[Array, Array]:  # noqa: ARG001
    """The t interval moved by the skewness seen: Johnson (1978)."""
    n = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    third = (centred**3).mean(axis=1) * n * n / ((n - 1) * (n - 2))
    moved = third / (6 * n * values.var(axis=1, ddof=1))
    low, high = mean_intervals(values, 0.95)
    return low + moved, high + moved


def _resampled(values: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Mean and spread of RESAMPLES resamples of each row."""
    n = values.shape[1]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).T / n
    centre = values.mean(axis=1, keepdims=True)
    centred = values - centre
    means = centred @ weights
    spreads = np.sqrt(np.maximum(centred**2 @ weights - means**2, 0))
    return means + centre, spreads


METHODS: dict[str, Callable[[Array, np.random.Generator], tuple[Array, Array]]] = {
    "t": student,
    "Johnson's t": johnson,
    "percentile": percentile,
    "BCa": bca,
    "bootstrap-t": bootstrap_t,
}


def coverage(prompts: int, replications: int, seed: int) -> Iterator[tuple[str, dict[str, tuple[float, float]]]]:
    """For each kind of spread: share of intervals that hold the mean, and their median width, by method."""
    rng = np.random.default_rng(seed)
    for name, values in draws(rng, (replications, prompts)):
        found = {}
        for method, interval in METHODS.items():
            ends = [interval(values[at : at + CHUNK], rng) for at in range(0, replications, CHUNK)]
            low = np.concatenate([end[0] for end in ends])
            high = np.concatenate([end[1] for end in ends])
            found[method] = float(((low <= 0) & (high >= 0)).mean()), float(np.median(high - low))
        yield name, found


def false_verdicts(prompts: int, families: int, seed: int) -> Iterator[tuple[str, list[float]]]:
    """Of families of six values against one baseline, without effect: the share with any verdict of a difference;
    the same without correction; and, per comparison at a true change of exactly the margin, called equivalent."""
    rng = np.random.default_rng(seed)
    kinds = [name for name, _ in draws(rng, (1, 1))]
    scores = dict(draws(rng, (families, 7, prompts)))
    for kind in kinds:
        false = uncorrected = equivalent = 0
        spread = float((scores[kind][:, 1] - scores[kind][:, 0]).std())
        for family in scores[kind]:
            differences = list(family[1:] - family[0])
            found = judge(differences, [None] * 6)
            false += any(one.verdict != "inconclusive" for one in found)
            uncorrected += any(one.p is not None and one.p <= 0.05 for one in found)
            margin = 2 * spread
            at_margin = judge([values + margin for values in differences], [margin] * 6)
            equivalent += any(one.verdict == "equivalent" for one in at_margin)
        yield kind, [false / families, uncorrected / families, equivalent / families]


def power(replications: int, seed: int) -> Iterator[tuple[str, int, float]]:
    """Of comparisons inconclusive at nine prompts: the new prompts stated, from the mean and spread seen, and the
    share settled by them alone were these the true ones."""
    rng = np.random.default_rng(seed)
    pilot = rng.normal(size=9)
    pilot = (pilot - pilot.mean()) / pilot.std(ddof=1)
    for mean, margin in ((0.7, None), (0.6, None), (0.4, None), (0.2, None), (0.0, 0.6), (0.1, 0.6), (0.2, 0.6)):
        (judged,) = judge([pilot + mean], [margin])
        more = more_prompts(judged, pilot + mean)
        if more is None:
            continue
        values = rng.normal(mean, 1, (replications, more))
        settled = sum(judge([row], [margin])[0].verdict != "inconclusive" for row in values)
        yield f"mean {mean:g}, margin {margin}", more, settled / replications


def added(prompts: int, replications: int, seed: int) -> Iterator[tuple[float, Array, float]]:
    """What becomes of comparisons inconclusive at `prompts` once new prompts are there, by true mean: an array of the
    number stated, whether that many settle it alone, and whether those of them that make up that number with the first
    ones settle it together with these; and the share to which no number is stated."""
    rng = np.random.default_rng(seed)
    for mean in (0.0, 0.25, 0.5, 0.75):
        rows, inconclusive = [], 0
        for pilot in rng.normal(mean, 1, (replications, prompts)):
            (one,) = judge([pilot], [None])
            inconclusive += one.verdict == "inconclusive"
            more = more_prompts(one, pilot)
            if more is not None:
                new = rng.normal(mean, 1, more)
                samples = (new, np.concatenate([pilot, new[: more - prompts]]))
                rows.append([more, *(judge([sample], [None])[0].verdict != "inconclusive" for sample in samples)])
        yield mean, np.array(rows, dtype=float), 1 - len(rows) / inconclusive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=9)
    parser.add_argument("--replications", type=int, default=20000)
    parser.add_argument("--families", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=20240613)
    arguments = parser.parse_args()

    error = 1.96 * (0.95 * 0.05 / arguments.replications) ** 0.5
    print(f"Coverage of 95% intervals at {arguments.prompts} prompts, in percent (median width); "
          f"{arguments.replications} replications, so ±{100 * error:.1f}\n")  # fmt: skip
    print(f"| differences over prompts | {' | '.join(METHODS)} |")
    print("|---" * (len(METHODS) + 1) + "|")
    for name, found in coverage(arguments.prompts, arguments.replications, arguments.seed):
        cells = [f"{100 * share:.1f} ({width:.2f})" for share, width in found.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    families = arguments.families
    print(f"\nFamilies of six comparisons at {arguments.prompts} prompts, {families} each, in percent, "
          f"±{196 * (0.05 * 0.95 / families) ** 0.5:.1f}\n")  # fmt: skip
    print("| scores | a false difference | the same, not corrected | a change of the margin called equivalent |")
    print("|---|---|---|---|")
    for name, shares in false_verdicts(arguments.prompts, families, arguments.seed):
        print(f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |", flush=True)

    print("\n| seen at nine prompts, in spreads | new prompts stated | settled by them alone, percent |\n|---|---|---|")
    for name, prompts, share in power(families, arguments.seed):
        print(f"| {name} | {prompts} | {100 * share:.1f} |", flush=True)

    print(f"\n| true mean, in spreads | new prompts stated, quartiles | none stated (above {MAX_PROMPTS}), percent | "
          "settled by them alone, percent | settled together with the first, percent | the same where 30 or fewer are "
          "stated, alone | together |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for mean, rows, none in added(arguments.prompts, families, arguments.seed):
        quartiles = ", ".join(f"{count:.0f}" for count in np.quantile(rows[:, 0], [0.25, 0.5, 0.75]))
        few = rows[rows[:, 0] <= 30]
        settled = " | ".join(f"{100 * share:.1f}" for share in (*rows[:, 1:].mean(axis=0), *few[:, 1:].mean(axis=0)))
        print(f"| {mean:g} | {quartiles} | {100 * none:.0f} | {settled} |", flush=True)


if __name__ == "__main__":
    main()
