"""Cells in rows and columns: one grid an axis."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.formatting import write_value
from cogx_runs.report.cells import labels_of, others
from cogx_runs.tracking.run import TrackedRun


@dataclass(frozen=True)
class Row:
    """The cells that differ along the grid's axis alone."""

    prompt_name: str
    prompt: str
    label: str
    """Values that distinguish it from the prompt's other rows; empty where there are none."""
    cells: tuple[TrackedRun | None, ...]
    """One a value of the axis."""


@dataclass(frozen=True)
class Grid:
    """The cells of an experiment along one axis."""

    experiment: str
    axis: str | None
    """None for cells that differ in the prompt alone."""
    values: tuple[Any, ...]
    """Values of the axis, in order; (None,) without an axis."""
    baseline: int
    """Index of the value that the others are compared with."""
    rows: tuple[Row, ...]
    shows_videos: bool
    """False where another grid of this experiment shows the same cells."""

    @property
    def cells(self) -> list[TrackedRun]:
        return [cell for row in self.rows for cell in row.cells if cell is not None]

    @property
    def baseline_value(self) -> Any:
        return self.values[self.baseline]


def grids_of(
    experiment: str, cells: Sequence[TrackedRun], axes: Sequence[str], baselines: Mapping[str, str]
) -> list[Grid]:
    """Arranges the cells of an experiment in grids, one an axis.

    Where each cell differs from one centre along one axis at most, as with `one_at_a_time`, each grid holds the cells
    along its axis. Else each holds them all, and the one with most columns shows the videos. `baselines` are
    the values to compare with, as text; without one it is the model's default, else the first. A value that the axis
    lacks is ignored: `write_report` has checked them.
    """
    if not axes:
        return [_grid(experiment, cells, None, {}, shows_videos=True)]
    centre = {axis: Counter(cell.config.get(axis) for cell in cells).most_common(1)[0][0] for axis in axes}
    away = [sum(cell.config.get(axis) != centre[axis] for axis in axes) for cell in cells]
    if max(away, default=0) <= 1:
        along = {
            axis: [cell for cell in cells if all(cell.config.get(o) == centre[o] for o in axes if o != axis)]
            for axis in axes
        }
        return [_grid(experiment, along[axis], axis, baselines, shows_videos=True) for axis in axes]
    widest = max(axes, key=lambda axis: len({cell.config.get(axis) for cell in cells}))
    return [
        _grid(experiment, cells, axis, baselines, shows_videos=axis == widest)
        for axis in sorted(axes, key=lambda axis: axis != widest)
    ]


def values_of(cells: Sequence[TrackedRun], axis: str) -> tuple[Any, ...]:
    """Lists the values of an axis, numbers by size, others by name."""
    values = {cell.config[axis] for cell in cells if axis in cell.config}
    numbers = all(isinstance(value, int | float) for value in values)
    return tuple(sorted(values) if numbers else sorted(values, key=str))


def _grid(
    experiment: str, cells: Sequence[TrackedRun], axis: str | None, baselines: Mapping[str, str], *, shows_videos: bool
) -> Grid:
    values: tuple[Any, ...] = (None,) if axis is None else values_of(cells, axis)
    rows: dict[tuple[Any, ...], list[TrackedRun | None]] = {}
    labels = labels_of(cells, axis)
    for cell in (cell for cell in cells if axis is None or axis in cell.config):
        column = 0 if axis is None else values.index(cell.config[axis])
        rows.setdefault(others(cell, axis), [None] * len(values))[column] = cell
    return Grid(experiment, axis, values, _baseline(axis, values, baselines), _ordered(rows, labels), shows_videos)


def _ordered(rows: Mapping[tuple[Any, ...], Sequence[TrackedRun | None]], labels: Mapping[str, str]) -> tuple[Row, ...]:
    """Puts the rows of one prompt together, prompts in the order they began."""
    ordered = []
    for found in rows.values():
        first = next(cell for cell in found if cell is not None)
        ordered.append(Row(first.prompt_name, first.prompt, labels[first.run_id], tuple(found)))
    prompts = list(dict.fromkeys(row.prompt_name for row in ordered))
    return tuple(sorted(ordered, key=lambda row: prompts.index(row.prompt_name)))


def _baseline(axis: str | None, values: Sequence[Any], baselines: Mapping[str, str]) -> int:
    if axis is None:
        return 0
    asked = [baselines[axis]] if axis in baselines else []
    for text in [*asked, write_value(Parameters.model_fields[axis].default)]:
        for index, value in enumerate(values):
            if is_written(text, value):
                return index
    return 0


def is_written(text: str, value: Any) -> bool:
    """Tests whether `text` is a spelling of a parameter's value: `6`, `6.0` and `6.00` are all 6."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return text.strip().lower() in {write_value(value).lower(), str(value).lower()}
