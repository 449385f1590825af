"""The cells of a report, each represented by one tracked run."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from cogx_runs.analysis.cells import distinguishing, run_of_each_cell
from cogx_runs.definitions.role import Changes
from cogx_runs.definitions.spec import PARAM_FIELDS, ROLES
from cogx_runs.formatting import write_value
from cogx_runs.tracking.run import TrackedRun

CONFIG = tuple(
    sorted(
        (name for name in PARAM_FIELDS if ROLES[name].changes is not Changes.NOTHING and ROLES[name].is_distinguishing),
        key=lambda name: ROLES[name].asked,
    )
)
"""Parameters that distinguish cells, those that a reader asks for first in front."""


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
    """Returns what two comparable wall times share: device, placement, and whether the device was shared."""
    return cell.device_name, str(cell.config.get("placement", "")), cell.beside is not None


def others(cell: TrackedRun, axes: Collection[str]) -> tuple[Any, ...]:
    """Lists the values that a cell shares with cells that differ from it along `axes` alone."""
    return (cell.prompt_name, cell.prompt, *(cell.config.get(name) for name in CONFIG if name not in axes))


def labels_of(cells: Sequence[TrackedRun], axes: Collection[str]) -> dict[str, str]:
    """Labels each cell, by run id, with what distinguishes it within its prompt except `axes`: `seed 1, model 5b`."""
    named = distinguishing([cell.config for cell in cells], (name for name in CONFIG if name not in axes))
    return {
        cell.run_id: ", ".join(f"{name} {write_value(cell.config[name])}" for name in named if name in cell.config)
        for cell in cells
    }
