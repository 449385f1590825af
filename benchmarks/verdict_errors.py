"""How often verdicts are wrong or reached where prompts lose unevenly, by simulation.

    python benchmarks/verdict_errors.py --seed 20240613

prints the tables of docs/results/verdict-errors.md; two minutes on one core. `--write` puts them into the document.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import special

from cogx_runs.analysis.intervals import ALPHA, mean_intervals
from cogx_runs.analysis.sequential import e_values, levels
from cogx_runs.analysis.shares import MAY_CHANGE, upper_share
from cogx_runs.analysis.signflips import FEWEST, SignFlips, shares_reaching

Array = np.ndarray
DOCUMENT = Path(__file__).parent.parent / "docs" / "results" / "verdict-errors.md"
PROMPTS = (3, 5, 9, 14, 20)
CHUNK = 1000
SIGNS = 2**11
"""Signs tried where all would be more: 2,048 random ones and their opposites."""

KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "alike (normal)": lambda rng, shape: rng.normal(1, 1, shape),
    "lognormal, sigma 1": lambda rng, shape: rng.lognormal(0, 1, shape) / np.exp(0.5),
    "lognormal, sigma 1.5": lambda rng, shape: rng.lognormal(0, 1.5, shape) / np.exp(1.125),
    "a fifth lose five times as much": lambda rng, shape: 5.0 * (rng.random(shape) < 0.2) + rng.normal(0, 0.1, shape),
    "a tenth lose ten times as much": lambda rng, shape: 10.0 * (rng.random(shape) < 0.1) + rng.normal(0, 0.1, shape),
}
"""How much of a loss each prompt has: 1 on average."""


def draw_losses(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Differences of mean -1: losses."""
    return -KINDS[kind](rng, shape)


def signs(prompts: int) -> SignFlips:
    return SignFlips(prompts, exact=12, draws=SIGNS)


@dataclass(frozen=True)
class Verdicts:
    """What many comparisons come to, each alone: booleans, one a comparison."""

    covered: Array
    t_covered: Array
    worse: Array
    t_worse: Array
    equivalent: Array
    by_mean: Array
    """Called equivalent by the mean's interval alone."""


def statistics_of(values: Array, margin: float) -> Verdicts:
    """The verdicts on differences, comparisons by prompts; the mean's interval is held to a true mean of -1."""
    count = values.shape[1]
    flips = signs(count)
    parts = [_chunk(values[at : at + CHUNK], flips, margin) for at in range(0, len(values), CHUNK)]
    low, high, p, within = (np.concatenate(part) for part in zip(*parts, strict=True))
    t_low, t_high = mean_intervals(values, 1 - ALPHA)
    by_mean = within <= ALPHA
    beyond = (np.abs(values) > margin).sum(axis=1)
    equivalent = by_mean & (upper_share(beyond, count) <= MAY_CHANGE)
    has_interval = np.isfinite(low)
    return Verdicts(
        covered=np.where(has_interval, (low <= -1) & (high >= -1), True),
        t_covered=(t_low <= -1) & (t_high >= -1),
        worse=(p <= ALPHA) & (values.mean(axis=1) < 0) & (count >= FEWEST) & ~equivalent,
        t_worse=t_high < 0,
        equivalent=equivalent,
        by_mean=by_mean,
    )


def _chunk(values: Array, flips: SignFlips, margin: float) -> tuple[Array, Array, Array, Array]:
    means = flips.subset_means(values)
    rank = int(ALPHA / 2 * (means.shape[1] + 1) * (1 + 1e-9))
    ordered = np.partition(means, (rank - 1, means.shape[1] - rank), axis=1) if rank else means
    none = np.full(len(values), np.nan)
    low, high = (ordered[:, rank - 1], ordered[:, -rank]) if rank else (none, none)
    whole = means.shape[1] + 1
    near = 1e-9 * np.abs(values).max(axis=1)

    def one_sided(bound: float, side: int) -> Array:
        return np.asarray((1 + (side * means <= side * bound + near[:, None]).sum(axis=1)) / whole)

    p = np.minimum(1, 2 * np.minimum(one_sided(0, 1), one_sided(0, -1)))
    within = np.maximum(one_sided(-margin, 1), one_sided(margin, -1))
    return low, high, p, within


def single(kind: str, prompts: int, replications: int, rng: np.random.Generator) -> list[float]:
    """In percent: coverage of both intervals; of a loss, found by signs and by t; of a loss of twice the margin, called
    equivalent by the mean alone and by the verdict."""
    found = statistics_of(draw_losses(kind, rng, (replications, prompts)), margin=0.5)
    shares = (found.covered, found.t_covered, found.worse, found.t_worse, found.by_mean, found.equivalent)
    return [100 * float(share.mean()) for share in shares]


@dataclass(frozen=True)
class Reports:
    """Shares of reports without any effect that claim one."""

    primary: float
    exploratory: float
    as_before: float
    """A family a sweep and metric, by Holm and t."""


AXES = (3, 3, 1)
"""Values of each sweep against its baseline: guidance, steps, frames."""
METRICS = 11


def false_reports(prompts: int, replications: int, seed: int, correlation: float = 0.5) -> Reports:
    """Reports on three sweeps and eleven metrics of quality in which nothing differs."""
    rng = np.random.default_rng(seed)
    flips = signs(prompts)
    primary = exploratory = before = 0
    comparisons = sum(AXES)
    for _ in range(replications):
        common = rng.normal(size=(1, comparisons + len(AXES), prompts))
        own = rng.normal(size=(METRICS, comparisons + len(AXES), prompts))
        scores = correlation**0.5 * common + (1 - correlation) ** 0.5 * own
        differences = np.concatenate(
            [
                scores[:, start : start + size] - scores[:, comparisons + place, None]
                for place, (start, size) in enumerate(zip(np.cumsum((0, *AXES[:-1])), AXES, strict=True))
            ],
            axis=1,
        )
        p = _family_p(differences[0], flips)
        primary += bool(p <= ALPHA)
        rest = np.sort(flips.p_differs(differences[1:].reshape(-1, prompts)))
        steps = ALPHA * np.arange(1, len(rest) + 1) / len(rest)
        exploratory += bool((rest <= steps * (1 + 1e-9)).any())
        t = differences.mean(axis=2) / (differences.std(axis=2, ddof=1) / prompts**0.5)
        student = 2 * special.stdtr(prompts - 1, -np.abs(t))
        ends = np.cumsum((0, *AXES))
        before += any((student[:, a:b].min(axis=1) <= ALPHA / (b - a)).any() for a, b in pairwise(ends))
    return Reports(primary / replications, exploratory / replications, before / replications)


def _family_p(rows: Array, flips: SignFlips) -> float:
    """The smallest p of a family, corrected: as step_down's first step."""
    found = flips.distances(rows)
    ordered = np.sort(found, axis=1)
    places = np.stack([np.searchsorted(one, own) for one, own in zip(ordered, found, strict=True)])
    smallest = (1 - places / found.shape[1]).min(axis=0)
    return float((smallest <= smallest[0]).mean())


def family(kind: str, prompts: int, replications: int, rng: np.random.Generator) -> list[float]:
    """In percent, of seven comparisons with one baseline: a false difference where nothing differs and scores are
    spread as the losses; the power to find one loss among six that are none, by signs with minP, by signs with Holm,
    and by t with Holm."""
    flips = signs(prompts)
    false = minp = holm = student = 0
    for _ in range(replications):
        scores = KINDS[kind](rng, (8, prompts))
        false += prompts >= FEWEST and _family_p(scores[1:] - scores[0], flips) <= ALPHA
        noise = rng.normal(0, 0.5, (7, prompts))
        rows = noise - noise.mean(axis=0, keepdims=True)
        rows[0] += draw_losses(kind, rng, (prompts,))
        found = flips.distances(rows)
        shares = np.stack([shares_reaching(one) for one in found])
        minp += prompts >= FEWEST and bool((shares.min(axis=0) <= shares[0, 0]).mean() <= ALPHA)
        holm += prompts >= FEWEST and 7 * shares[0, 0] <= ALPHA
        t = rows[0].mean() / (rows[0].std(ddof=1) / prompts**0.5)
        student += 7 * 2 * special.stdtr(prompts - 1, -abs(t)) <= ALPHA
    return [100 * share / replications for share in (false, minp, holm, student)]


@dataclass(frozen=True)
class Looked:
    """Shares of studies without an effect, looked at again and again, in which a difference is claimed."""

    naive: float
    spending: float
    e_value: float


def judged_often(
    counts: Sequence[int], max_prompts: int, replications: int, seed: int, kind: str | None = None
) -> Looked:
    """Studies to which prompts are added until a verdict. With a kind, differences have its spread around 0."""
    rng = np.random.default_rng(seed)
    shape = (replications, counts[-1])
    values = rng.normal(size=shape) if kind is None else draw_losses(kind, rng, shape) + 1
    spent = levels(tuple(counts), max_prompts)
    claims = np.zeros((3, replications), dtype=bool)
    for count, level in zip(counts, spent, strict=True):
        seen = values[:, :count]
        p = np.concatenate([signs(count).p_differs(seen[at : at + CHUNK]) for at in range(0, replications, CHUNK)])
        claims[0] |= p <= ALPHA
        claims[1] |= p <= level
        claims[2] |= e_values(seen) >= 1 / ALPHA
    return Looked(*claims.mean(axis=1).tolist())


@dataclass(frozen=True)
class LookedEquivalent:
    """Shares of studies with a loss of just the margin, looked at again and again, in which it is called equivalent."""

    by_mean: float
    """By the mean's interval alone, at 5% each time."""
    naive: float
    """By the verdict, the mean at 5% each time."""
    spending: float
    e_value: float


def equivalent_often(
    counts: Sequence[int], max_prompts: int, replications: int, seed: int, kind: str, margin: float = 1.0
) -> LookedEquivalent:
    """Studies to which prompts are added until a verdict of equivalence; losses are 1 on average."""
    values = draw_losses(kind, np.random.default_rng(seed), (replications, counts[-1]))
    claims = np.zeros((4, replications), dtype=bool)
    for count, level in zip(counts, levels(tuple(counts), max_prompts), strict=True):
        seen = values[:, :count]
        p = np.concatenate([_within_p(seen[at : at + CHUNK], margin) for at in range(0, replications, CHUNK)])
        few = upper_share((np.abs(seen) > margin).sum(axis=1), count) <= MAY_CHANGE
        evidence = np.minimum(e_values(seen - margin), e_values(seen + margin))
        inside = np.abs(seen.mean(axis=1)) < margin
        claims |= np.stack([p <= ALPHA, few & (p <= ALPHA), few & (p <= level), few & inside & (evidence >= 1 / ALPHA)])
    return LookedEquivalent(*claims.mean(axis=1).tolist())


def _within_p(values: Array, margin: float) -> Array:
    """The p of a mean outside the margin, by sign flips."""
    return signs(values.shape[1]).p_within(values, margin)


LOOKS = {"9, then 18": (9, 18), "9 to 30 by 3": tuple(range(9, 31, 3)), "9 to 60 by 1": tuple(range(9, 61))}
EQUIVALENT_LOOKS = {"14, then 28": (14, 28), "14 to 35 by 3": tuple(range(14, 36, 3))}
LOOKED_AT = (None, "lognormal, sigma 1", "a fifth lose five times as much", "a tenth lose ten times as much")


def tables(replications: int, seed: int) -> Iterator[tuple[str, str]]:
    """Each table by its name in the document."""
    rng = np.random.default_rng(seed)
    few = replications // 10
    rows = []
    for kind in KINDS:
        for prompts in PROMPTS:
            written = [_percent(share) for share in single(kind, prompts, replications, rng)]
            if prompts < FEWEST:  # no interval by signs
                written[0] = "none"
            rows.append([kind, str(prompts), *written])
    headers = ["losses", "prompts", "95% interval by signs covers", "Student's covers", "loss found by signs", "by t",
               "two margins called equivalent by the mean alone", "by the verdict"]  # fmt: skip
    yield "single", _table(headers, rows)
    rows = [
        [kind, str(prompts), *(f"{share:.1f}" for share in family(kind, prompts, few, rng))]
        for kind in KINDS
        for prompts in PROMPTS
        if prompts >= FEWEST
    ]
    headers = ["losses", "prompts", "a false difference", "loss found by signs, minP", "by signs, Holm", "by t, Holm"]
    yield "family", _table(headers, rows)
    rows = []
    for prompts in PROMPTS:
        for correlation in (0.0, 0.5):
            found = false_reports(prompts, few, seed, correlation)
            shares = [f"{100 * share:.1f}" for share in (found.primary, found.exploratory, found.as_before)]
            if prompts < FEWEST:
                shares[:2] = ["none can be claimed"] * 2
            rows.append([str(prompts), f"{correlation:g}", *shares])
    headers = ["prompts", "correlation of metrics", "primary", "exploratory, any", "a family a sweep and metric"]
    yield "report", _table(headers, rows)
    rows = []
    for name, counts in LOOKS.items():
        for looked_at in LOOKED_AT:
            looked = judged_often(counts, counts[-1], replications // 5, seed, looked_at)
            claimed = (looked.naive, looked.spending, looked.e_value)
            rows.append([name, looked_at or "normal", *(f"{100 * share:.1f}" for share in claimed)])
    yield "looks", _table(["prompts at each look", "differences", "5% each time", "max_prompts", "e-value"], rows)
    rows = []
    for name, counts in EQUIVALENT_LOOKS.items():
        for kind in KINDS:
            same = equivalent_often(counts, counts[-1], replications // 5, seed, kind)
            called = (same.by_mean, same.naive, same.spending, same.e_value)
            rows.append([name, kind, *(f"{100 * share:.1f}" for share in called)])
    headers = ["prompts at each look", "losses", "by the mean alone, 5% each time", "verdict, 5% each time",
               "max_prompts", "e-value"]  # fmt: skip
    yield "equivalent-looks", _table(headers, rows)


def _percent(share: float) -> str:
    return f"{share:.0f}" if share >= 10 else f"{share:.1f}"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (headers, ["---"] * len(headers), *rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20240613)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/results/verdict-errors.md")
    arguments = parser.parse_args()
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, table in tables(arguments.replications, arguments.seed):
        print(f"{name}\n\n{table}\n", flush=True)
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        text = f"{before}{mark}\n{table}\n\n<!-- end -->{rest.partition('<!-- end -->')[2]}" if mark else text
    if arguments.write:
        DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
