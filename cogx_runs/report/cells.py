"""The cells of a report, each represented by one tracked run."""

import math
from collections.abc import Iterable
from dataclasses import replace

from cogx_runs.analysis.cells import run_of_each_cell
from cogx_runs.tracking.run import TrackedRun


def cells_of(runs: Iterable[TrackedRun]) -> tuple[list[TrackedRun], int]:
    """Selects the run of each cell that has finished or failed, in the order they began, and counts the other
    cells. Metrics without a finite value are left out."""
    found = list(runs)
    settled = run_of_each_cell(run for run in found if run.state.is_settled)
    cells = [
        replace(run, metrics={name: value for name, value in run.metrics.items() if math.isfinite(value)})
        for run in settled
    ]
    return cells, len(run_of_each_cell(found)) - len(cells)


def duration_s(cell: TrackedRun) -> float:
    """Computes how long a cell's video plays."""
    return float(cell.config.get("num_frames", 1)) / float(cell.config.get("fps", 8))


def timed_in(cell: TrackedRun) -> tuple[str, str, bool]:
    """Returns what two comparable wall times share: device, a placement that is not swept, and whether the device was
    shared."""
    placement = "" if cell.cost_axes else str(cell.config.get("placement", ""))
    return cell.device_name, placement, cell.beside is not None
