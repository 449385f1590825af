"""The spread of a metric between the seeds of a prompt. A seed is a random draw: none is better than another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from cogx_runs.analysis.intervals import ALPHA, Floats, Sample
from cogx_runs.analysis.pairs import finished_cells, largest_machine
from cogx_runs.analysis.strata import strata_of
from cogx_runs.tracking.columns import metric_column, param_column

_RESAMPLES = 2000
_SEED = 20240613


@dataclass(frozen=True, kw_only=True)
class PromptSpread:
    """The spread of one prompt's seeds, averaged over settings of the other parameters."""

    prompt: str
    mean: float
    deviation: float
    """Standard deviation, without the bias of few seeds: that of the sample by c4."""
    difference: float
    """Mean absolute difference of two seeds."""
    lowest: float
    highest: float


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """The spread of a metric between seeds and between prompts, at the same values of all other parameters."""

    metric: str
    kind: str
    """The stratum of the runs, as in an Effect."""
    prompts: int
    """Prompts with two seeds or more at one setting: the sampling units."""
    seeds: int
    """Different seeds."""
    settings: int
    """Combinations of the other parameters, over which a prompt's spreads are averaged."""
    cells: int
    degenerate: int
    """Degenerate videos among the cells. They count."""
    deviation: float
    """Standard deviation between the seeds of a prompt, on average over prompts, in the metric's unit; that of a sample
    of normal values is too small by c4, and is divided by it."""
    low: float | None
    """Lower end of the 95% t interval over prompts, cut at 0; None for one prompt."""
    high: float | None
    difference: float
    """Mean absolute difference of two seeds of a prompt, on average over prompts: the yardstick for a change of a
    single video."""
    between_prompts: float | None
    """Standard deviation between the prompts' true means: that of their means, less the part due to seeds. None for one
    prompt."""
    share_of_prompts: float | None
    """Share of the variance of a single video's value that is between prompts, the rest being between seeds. None for
    one prompt, and where nothing varies."""
    share_low: float | None
    """Lower end of its 95% interval, by the bootstrap over prompts; of few prompts it is wide and covers less."""
    share_high: float | None
    by_prompt: tuple[PromptSpread, ...]


def seed_spreads(frame: pd.DataFrame, metrics: Sequence[str], *, among: pd.DataFrame | None = None) -> list[SeedSpread]:
    """Measures the spread of each metric between seeds, in each stratum by itself; none where no prompt has two seeds.

    `frame` is as `load_runs` returns it; `among` is as for `effects`. The cells of a prompt differ in the seed alone.
    Raises CogxError for a metric that no run has.
    """
    found = []
    for metric in metrics:
        for kind, runs in strata_of(frame, (metric,), ("seed",), among):
            cells = largest_machine(finished_cells(runs, (metric,), ("seed",)))
            cells = cells[cells.groupby("context")["context"].transform("size") > 1]
            if len(cells):
                found.append(_spread(metric, kind, cells))
    return found


def _spread(metric: str, kind: str, cells: pd.DataFrame) -> SeedSpread:
    """Measures the spread over cells of which each context has several seeds."""
    groups = pd.DataFrame.from_records(
        [
            {"prompt": group["prompt"].iloc[0], "setting": group["setting"].iloc[0]} | _of_seeds(group, metric)
            for _, group in cells.groupby("context", sort=False)
        ]
    )
    each = groups.drop(columns="setting").groupby("prompt").mean()
    deviation = Sample.of(each["deviation"].to_numpy())
    low, high = deviation.interval(1 - ALPHA) if deviation.count > 1 else (None, None)
    between, share = _parts(groups)
    share_low, share_high = (None, None) if share is None else _share_interval(groups)
    return SeedSpread(
        metric=metric,
        kind=kind,
        prompts=len(each),
        seeds=cells[param_column("seed")].nunique(),
        settings=groups["setting"].nunique(),
        cells=len(cells),
        degenerate=int(cells["is_degenerate"].sum()),
        deviation=deviation.mean,
        low=None if low is None else max(low, 0.0),
        high=high,
        difference=float(each["difference"].mean()),
        between_prompts=between,
        share_of_prompts=share,
        share_low=share_low,
        share_high=share_high,
        by_prompt=tuple(
            PromptSpread(
                prompt=str(prompt),
                mean=row["mean"],
                deviation=row["deviation"],
                difference=row["difference"],
                lowest=row["lowest"],
                highest=row["highest"],
            )
            for prompt, row in each.iterrows()
        ),
    )


def _of_seeds(group: pd.DataFrame, metric: str) -> dict[str, float]:
    values: Floats = group[metric_column(metric)].to_numpy(dtype=float)
    sample = Sample.of(values)
    return {
        "mean": sample.mean,
        "deviation": sample.spread / unbiased(len(values)),
        "variance": sample.spread**2,
        "noise": sample.error**2,
        "difference": float(np.mean([abs(a - b) for a, b in combinations(values, 2)])),
        "lowest": float(values.min()),
        "highest": float(values.max()),
    }


def unbiased(count: int) -> float:
    """Computes c4, the mean standard deviation of samples of so many normal values, by that of all: 0.80 for two, 0.94
    for five."""
    return float(np.sqrt(2 / (count - 1)) * np.exp(special.gammaln(count / 2) - special.gammaln((count - 1) / 2)))


def _parts(groups: pd.DataFrame) -> tuple[float | None, float | None]:
    """Estimates the standard deviation between prompts and their share of the variance, by the analysis of variance of
    each setting (random effects, by moments), its parts averaged over settings."""
    table = _tables(groups)
    if not table:
        return None, None
    between, within = (part.item() for part in _variances(table, [np.arange(len(one)) for one in table]))
    return between**0.5, between / (between + within) if between + within > 0 else None


def _share_interval(groups: pd.DataFrame) -> tuple[float, float]:
    """Computes the percentile interval of the prompts' share of the variance over resamples of each setting's
    prompts."""
    rng = np.random.default_rng(_SEED)
    table = _tables(groups)
    between, within = _variances(table, [rng.integers(len(one), size=(_RESAMPLES, len(one))) for one in table])
    whole = between + within
    shares = np.divide(between, whole, out=np.zeros_like(whole), where=whole > 0)
    low, high = np.quantile(shares, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def _tables(groups: pd.DataFrame) -> list[Floats]:
    """Collects the mean, variance and noise of each prompt, by setting, of those settings with several prompts."""
    columns = ["mean", "variance", "noise"]
    settings = (group for _, group in groups.groupby("setting", sort=False) if len(group) > 1)
    return [group[columns].to_numpy(dtype=float) for group in settings]


def _variances(table: Sequence[Floats], chosen: Sequence[npt.NDArray[np.int64]]) -> tuple[Floats, Floats]:
    """Estimates the variance between prompts and between seeds, averaged over settings, for each choice of prompts."""
    picked = [one[places] for one, places in zip(table, chosen, strict=True)]
    within = np.mean([one[..., 1].mean(axis=-1) for one in picked], axis=0)
    between = np.mean([one[..., 0].var(axis=-1, ddof=1) - one[..., 2].mean(axis=-1) for one in picked], axis=0)
    return np.maximum(between, 0.0), within
