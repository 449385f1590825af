"""How far the seeds of a prompt differ: the spread of a random draw, with which no seed is better than another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from cogx_runs.analysis.intervals import Floats, Sample
from cogx_runs.analysis.kinds import kinds_of
from cogx_runs.analysis.pairs import finished_cells, largest_machine
from cogx_runs.analysis.verdict import ALPHA
from cogx_runs.tracking.columns import metric_column, param_column


@dataclass(frozen=True, kw_only=True)
class PromptSpread:
    """The values of one prompt's seeds; of several settings of the other parameters the means over these."""

    prompt: str
    mean: float
    deviation: float
    """Standard deviation of the sample."""
    difference: float
    """Mean absolute difference of two seeds."""
    lowest: float
    highest: float


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """How far a metric differs between seeds, and between prompts, at the same values of all other parameters."""

    metric: str
    kind: str
    """What tells the runs from others that are not averaged with them, as of an Effect."""
    prompts: int
    """With two seeds or more at one setting: the sampling units."""
    seeds: int
    """Different ones."""
    settings: int
    """Combinations of the other parameters, over which a prompt's spreads are averaged."""
    cells: int
    degenerate: int
    """Of the cells: those that are degenerate. They count."""
    deviation: float
    """Standard deviation between the seeds of a prompt, on average over prompts, in the metric's unit."""
    low: float | None
    """Of the 95% t interval over prompts, cut at 0; None for one prompt."""
    high: float | None
    difference: float
    """Mean absolute difference of two seeds of a prompt, on average over prompts: what a change of a single video is
    to be held against."""
    between_prompts: float | None
    """Standard deviation between the prompts' true means: that of their means, less what seeds put into them. None for
    one prompt."""
    share_of_prompts: float | None
    """Of the variance of a single video's value: that between prompts, the rest being between seeds. None for one
    prompt, and where nothing varies."""
    by_prompt: tuple[PromptSpread, ...]


def seed_spreads(frame: pd.DataFrame, metrics: Sequence[str], *, among: pd.DataFrame | None = None) -> list[SeedSpread]:
    """The spread of each metric between seeds, of each kind of runs apart; none where no prompt has two seeds.

    `frame` is as `load_runs` gives it; `among` is as for `effects`. Compared are cells that differ in the seed alone.
    Raises CogxError for a metric that is not there.
    """
    found = []
    for metric in metrics:
        for kind, runs in kinds_of(frame, (metric,), ("seed",), among):
            cells = largest_machine(finished_cells(runs, (metric,), ("seed",)))
            cells = cells[cells.groupby("context")["context"].transform("size") > 1]
            if len(cells):
                found.append(_spread(metric, kind, cells))
    return found


def _spread(metric: str, kind: str, cells: pd.DataFrame) -> SeedSpread:
    """Of cells with another seed or more in each context."""
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
        "deviation": sample.spread,
        "variance": sample.spread**2,
        "noise": sample.error**2,
        "difference": float(np.mean([abs(a - b) for a, b in combinations(values, 2)])),
        "lowest": float(values.min()),
        "highest": float(values.max()),
    }


def _parts(groups: pd.DataFrame) -> tuple[float | None, float | None]:
    """Standard deviation between prompts, and their share of the variance: by the analysis of variance of each setting
    (random effects, by moments), its parts averaged over settings."""
    settings = [group for _, group in groups.groupby("setting", sort=False) if len(group) > 1]
    if not settings:
        return None, None
    within = float(np.mean([group["variance"].mean() for group in settings]))
    between = float(np.mean([group["mean"].var(ddof=1) - group["noise"].mean() for group in settings]))
    between = max(between, 0.0)
    return between**0.5, between / (between + within) if between + within > 0 else None
