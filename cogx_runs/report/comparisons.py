"""Effects of an experiment's axes, each against the baseline of its grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from cogx_runs.analysis.best import BestValues, best_values
from cogx_runs.analysis.effects import PRIMARY, Contrast, Effect, Margin, contrasts
from cogx_runs.analysis.grids import Grid
from cogx_runs.analysis.interactions import Interaction, Square, squares
from cogx_runs.analysis.judging import judge_report
from cogx_runs.analysis.pairs import is_compared, values_of
from cogx_runs.analysis.seeds import SeedSpread, seed_spreads
from cogx_runs.analysis.sequential import ONE_LOOK, Looks
from cogx_runs.formatting import write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import is_of_machine
from cogx_runs.report.quantities import COMPARED, PLOTTED
from cogx_runs.tracking.columns import metric_column

QUANTITIES: Mapping[str, MetricCard] = {card.name: card for card in COMPARED}
"""Cards of the metrics that are compared, by metric."""
HEADLINES = tuple(card.name for card in PLOTTED)
"""Metrics that have sentences and interactions; the others are in the table alone."""
SEED = "seed"
"""The axis whose values are draws, not treatments."""


@dataclass(frozen=True)
class Comparisons:
    """The comparisons of an experiment."""

    effects: tuple[Effect, ...] = ()
    """Effects by metric, axis and value."""
    interactions: tuple[Interaction, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    """Axes along which nothing is compared, each with the reason as a sentence."""
    seeds: tuple[SeedSpread, ...] = ()
    """Spread between seeds by metric, where the seed is an axis; seeds are draws, and have no effects."""
    uncompared: tuple[Contrast, ...] = ()
    """Comparisons of which every pair is lost."""
    best: tuple[BestValues, ...] = ()
    """The values of each axis that may be the best by the primary metric, where it has a better direction."""

    def along(self, axis: str | None) -> list[Effect]:
        """Selects the effects of one axis."""
        return [effect for effect in self.effects if effect.axis == axis]


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What is to be compared in an experiment, before it is judged."""

    contrasts: tuple[Contrast, ...] = ()
    squares: tuple[Square, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    seeds: tuple[SeedSpread, ...] = ()
    best: tuple[BestValues, ...] = ()

    @property
    def primary_prompts(self) -> int:
        """The most prompts of a comparison by the primary metric; 0 without one."""
        return max((len(one.pairs.each) for one in self.contrasts if one.family == "primary"), default=0)


def gather(runs: pd.DataFrame, grids: Sequence[Grid], among: pd.DataFrame, primary: str = PRIMARY) -> Gathered:
    """Collects an experiment's comparisons, along the axes of its grids except the seed; `runs` are as `load_runs`
    returns them.

    Models, CLIPs, sizes and precisions are compared apart; these kinds are named by what distinguishes them within
    `among`.
    """
    refused = {str(grid.axis): why for grid in grids if (why := _why_not(runs, grid))}
    compared = [grid for grid in grids if grid.axis not in {None, SEED, *refused}]
    chosen = {str(grid.axis): grid.baseline_value for grid in compared}
    metrics = measured(runs)
    card = QUANTITIES.get(primary)
    has_best = card is not None and card.direction is not None and primary in metrics
    return Gathered(
        contrasts=tuple(contrasts(runs, list(chosen), metrics, chosen, primary=primary, apart=True, among=among)),
        squares=tuple(
            square
            for metric in metrics
            if metric in HEADLINES
            for axis_a, axis_b in combinations(chosen, 2)
            for square in squares(runs, axis_a, axis_b, metric, chosen, apart=True, among=among)
        ),
        refused=tuple(refused.items()),
        seeds=tuple(seed_spreads(runs, before_encoding(metrics), among=among))
        if any(grid.axis == SEED for grid in grids)
        else (),
        best=tuple(one for axis in chosen for one in best_values(runs, axis, primary, apart=True, among=among))
        if has_best
        else (),
    )


def judge_gathered(
    found: Sequence[Gathered], margins: Mapping[str, Margin | None], looks: Looks = ONE_LOOK
) -> list[Comparisons]:
    """Judges the comparisons of all experiments of a report together."""
    effects, interactions = judge_report(
        [one for each in found for one in each.contrasts],
        [one for each in found for one in each.squares],
        margins,
        looks,
    )
    judged, squared = iter(effects), iter(interactions)
    return [
        Comparisons(
            effects=tuple(next(judged) for one in each.contrasts if one.pairs.each),
            interactions=tuple(next(squared) for _ in each.squares),
            refused=each.refused,
            seeds=each.seeds,
            uncompared=tuple(one for one in each.contrasts if not one.pairs.each),
            best=each.best,
        )
        for each in found
    ]


def measured(runs: pd.DataFrame) -> list[str]:
    """Lists the compared metrics that these runs have."""
    return [
        name for name in QUANTITIES if metric_column(name) in runs.columns and runs[metric_column(name)].notna().any()
    ]


def before_encoding(metrics: Sequence[str]) -> list[str]:
    """Leaves out the metrics that repeat another on the mp4, where their numbers would say the same again."""
    return [name for name in metrics if not QUANTITIES[name].repeats]


def constant(runs: pd.DataFrame) -> list[MetricCard]:
    """Lists the metrics of videos that have one value in all of three or more, and so carry no information, such as
    CLIP-IQA by a CLIP that knows none of its words."""
    values = {name: runs[metric_column(name)].dropna() for name in measured(runs) if not is_of_machine(name)}
    return [QUANTITIES[name] for name, found in values.items() if len(found) > 2 and found.nunique() == 1]


def _why_not(runs: pd.DataFrame, grid: Grid) -> str | None:
    """States why nothing is compared along a grid's axis; None for seeds, for no axis, and where it is compared."""
    if grid.axis in {None, SEED}:
        return None
    if len(grid.axes) > 1:
        return f"{' and '.join(grid.axes)} change together, so that none of them has an effect of its own here."
    if not is_compared(str(grid.axis)):
        return f"Videos that differ in {grid.axis} stand side by side; their numbers are not compared."
    if grid.baseline_value not in values_of(runs, grid.axis):
        baseline = f"{grid.axis} {write_value(grid.baseline_value)}"
        return f"No video is finished at {baseline}, the baseline: there is nothing to compare with."
    return None
