"""How often each kind of interval for a mean covers it, by simulation.

    python benchmarks/interval_coverage.py --prompts 9 --seed 20240613

prints a table of docs/results/verdict-errors.md.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from scipy import special

from cogx_runs.analysis.intervals import mean_intervals
from cogx_runs.analysis.signflips import SignFlips

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


def sign_flips(values: Array, rng: np.random.Generator) -> tuple[Array, Array]:  # noqa: ARG001
    """The means that the sign-flip test does not reject: Hartigan (1969)."""
    return SignFlips(values.shape[1]).interval(values, 0.95)


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
    "sign flips": sign_flips,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=9)
    parser.add_argument("--replications", type=int, default=20000)
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


if __name__ == "__main__":
    main()
