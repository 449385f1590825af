"""What changes with a value of an axis, pair by pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cogx_runs.report.cells import Cell
from cogx_runs.report.grids import Grid
from cogx_runs.report.quantities import COMPARED, WALL, Quantity


@dataclass(frozen=True)
class Difference:
    """A metric at one value of an axis minus the same at the baseline, over cells that differ in nothing else."""

    quantity: Quantity
    axis: str
    value: Any
    baseline: Any
    by_pair: tuple[float, ...]
    """In the metric's stored unit; never empty."""
    prompts: int
    seeds: int
    not_comparable: int
    """Pairs left out because they were timed on another device, in another placement, or beside something else."""

    @property
    def mean(self) -> float:
        return fmean(self.by_pair)

    @property
    def same_sign(self) -> int:
        """How many pairs differ in the direction of the mean."""
        return sum((found > 0) == (self.mean > 0) and found != 0 for found in self.by_pair)


def differences_of(grid: Grid, quantities: Sequence[Quantity] = COMPARED) -> list[Difference]:
    """The differences to the grid's baseline: by metric, then by value; none where no pair has both values.

    Cells of different models, CLIPs or sizes are in different rows and are never paired; times are paired only where
    they were measured alike.
    """
    found = []
    for quantity in quantities:
        for column, value in enumerate(grid.values):
            if grid.axis is None or column == grid.baseline:
                continue
            pairs = [
                (cell, base)
                for row in grid.rows
                if (cell := row.cells[column]) is not None and (base := row.cells[grid.baseline]) is not None
                if quantity.metric in cell.metrics and quantity.metric in base.metrics
                if cell.is_finished and base.is_finished
            ]
            alike = [(cell, base) for cell, base in pairs if quantity is not WALL or _timed_alike(cell, base)]
            if alike:
                found.append(_difference(grid, quantity, value, alike, len(pairs) - len(alike)))
    return found


def _timed_alike(cell: Cell, base: Cell) -> bool:
    return cell.timed_in == base.timed_in and not cell.timed_in[2]


def _difference(
    grid: Grid, quantity: Quantity, value: Any, pairs: Sequence[tuple[Cell, Cell]], left_out: int
) -> Difference:
    return Difference(
        quantity,
        str(grid.axis),
        value,
        grid.baseline_value,
        tuple(cell.metrics[quantity.metric] - base.metrics[quantity.metric] for cell, base in pairs),
        prompts=len({cell.prompt for cell, _ in pairs}),
        seeds=len({cell.config.get("seed") for cell, _ in pairs}),
        not_comparable=left_out,
    )
