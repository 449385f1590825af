"""Effects of an experiment's axes, each against the baseline of its grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from cogx_runs.analysis.effects import Effect, Margin, effects
from cogx_runs.analysis.interactions import Interaction, interactions
from cogx_runs.analysis.pairs import AXES, values_of
from cogx_runs.analysis.seeds import SeedSpread, seed_spreads
from cogx_runs.formatting import write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import is_of_machine
from cogx_runs.report.grids import Grid
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

    def along(self, axis: str | None) -> list[Effect]:
        """Selects the effects of one axis."""
        return [effect for effect in self.effects if effect.axis == axis]


def compare(
    runs: pd.DataFrame, grids: Sequence[Grid], margins: Mapping[str, Margin | None], among: pd.DataFrame
) -> Comparisons:
    """Compares an experiment's runs, as `load_runs` returns them, along the axes of its grids except the seed.

    Each metric's effects are one family, those of models, CLIPs, sizes and precisions apart from each other; these
    kinds are named by what distinguishes them within `among`.
    """
    refused = {str(grid.axis): why for grid in grids if (why := _why_not(runs, grid))}
    compared = [grid for grid in grids if grid.axis not in {None, SEED, *refused}]
    chosen = {str(grid.axis): grid.baseline_value for grid in compared}
    metrics = measured(runs)
    return Comparisons(
        tuple(effects(runs, list(chosen), metrics, chosen, margins, apart=True, among=among)),
        tuple(
            interaction
            for metric in metrics
            if metric in HEADLINES
            for axis_a, axis_b in combinations(chosen, 2)
            for interaction in interactions(runs, axis_a, axis_b, metric, chosen, margins, apart=True, among=among)
        ),
        tuple(refused.items()),
        tuple(seed_spreads(runs, metrics, among=among)) if any(grid.axis == SEED for grid in grids) else (),
    )


def measured(runs: pd.DataFrame) -> list[str]:
    """Lists the compared metrics that these runs have."""
    return [
        name for name in QUANTITIES if metric_column(name) in runs.columns and runs[metric_column(name)].notna().any()
    ]


def constant(runs: pd.DataFrame) -> list[MetricCard]:
    """Lists the metrics of videos that have one value in all of three or more, and so carry no information, such as
    CLIP-IQA by a CLIP that knows none of its words."""
    values = {name: runs[metric_column(name)].dropna() for name in measured(runs) if not is_of_machine(name)}
    return [QUANTITIES[name] for name, found in values.items() if len(found) > 2 and found.nunique() == 1]


def _why_not(runs: pd.DataFrame, grid: Grid) -> str | None:
    """States why nothing is compared along a grid's axis; None for seeds, for no axis, and where it is compared."""
    if grid.axis in {None, SEED}:
        return None
    if grid.axis not in AXES:
        return f"Videos that differ in {grid.axis} stand side by side; their numbers are not compared."
    if grid.baseline_value not in values_of(runs, grid.axis):
        baseline = f"{grid.axis} {write_value(grid.baseline_value)}"
        return f"No video is finished at {baseline}, the baseline: there is nothing to compare with."
    return None
