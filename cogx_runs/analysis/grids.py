"""Cells in rows and columns: one grid an axis, or one of all settings where axes change together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cogx_runs.analysis.cells import MODEL, follow_model, labels_of, others, prompts_apart
from cogx_runs.definitions.parameters import default_of
from cogx_runs.definitions.variables import TEMPLATE_PARAM, is_variable
from cogx_runs.formatting import write_value
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
    """The cells of an experiment along one axis, or along several that change together."""

    experiment: str
    axes: tuple[str, ...]
    """One axis; several where a column is a setting of all of them; none for cells that differ in the prompt alone."""
    values: tuple[Any, ...]
    """Values of the axis, in order; (None,) without an axis."""
    baseline: int
    """Index of the value that the others are compared with."""
    rows: tuple[Row, ...]
    shows_videos: bool
    """False where another grid of this experiment shows the same cells."""

    @property
    def axis(self) -> str | None:
        """Name of its axis, or of those that change together; None without one."""
        return " and ".join(self.axes) or None

    @property
    def cells(self) -> list[TrackedRun]:
        return [cell for row in self.rows for cell in row.cells if cell is not None]

    @property
    def baseline_value(self) -> Any:
        return self.values[self.baseline]


def grids_of(
    experiment: str, cells: Sequence[TrackedRun], axes: Sequence[str], baselines: Mapping[str, str]
) -> list[Grid]:
    """Arranges the cells of an experiment in grids.

    Axes that go together, each value of one with one of the other, are one axis, of settings. Where each cell differs
    from one centre along one axis at most, as with `one_at_a_time`, each grid holds the cells along its axis. Where
    most cells have none that differs in one axis alone, as with `zip` and `random`, one grid has
    a column for each setting and shows the videos. Else each grid holds all cells, and the one with most columns, seeds
    last, shows the videos. `baselines` are the values to compare with, as text; without one it is the model's default,
    else the first. A value that the axis lacks is ignored: `write_report` has checked them.
    A variable of prompts has a grid of its own, in whose rows the other variables are alike.
    """
    swept = [axis for axis in axes if not is_variable(axis)]
    along = [_grid(experiment, cells, (axis,), baselines, shows_videos=False) for axis in axes if is_variable(axis)]
    return [*_swept(experiment, cells, swept, baselines), *along]


def _swept(
    experiment: str, cells: Sequence[TrackedRun], axes: Sequence[str], baselines: Mapping[str, str]
) -> list[Grid]:
    """Arranges cells along the parameters that a sweep varies; in one column where it varies none."""
    if not axes:
        return [_grid(experiment, cells, (), {}, shows_videos=True)]
    groups = _tied(cells, axes)
    places = {group: [tuple(cell.config.get(axis) for axis in group) for cell in cells] for group in groups}
    centre = {group: Counter(found).most_common(1)[0][0] if found else () for group, found in places.items()}
    apart = [{group for group in groups if places[group][index] != centre[group]} for index in range(len(cells))]
    if max(map(len, apart), default=0) <= 1:
        along = {group: [cell for cell, away in zip(cells, apart, strict=True) if away <= {group}] for group in groups}
        return [_grid(experiment, along[group], group, baselines, shows_videos=True) for group in groups]
    grids = [_grid(experiment, cells, group, baselines, shows_videos=False) for group in groups]
    if max(_paired(grid) for grid in grids) < len(cells) / 2:
        alone = [grid for grid in grids if grid.axis != "seed" or _paired(grid)]
        return [_grid(experiment, cells, tuple(axes), {}, shows_videos=True), *alone]
    widest = max(grids, key=lambda grid: (grid.axis != "seed", len(grid.values)))
    return [replace(widest, shows_videos=True), *(grid for grid in grids if grid is not widest)]


def _tied(cells: Sequence[TrackedRun], axes: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups the axes whose values go together: each value of one with one value of the other."""
    groups: list[list[str]] = []
    for axis in axes:
        for group in groups:
            pairs = {(cell.config.get(group[0]), cell.config.get(axis)) for cell in cells}
            if 1 < len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs}):
                group.append(axis)
                break
        else:
            groups.append([axis])
    return [tuple(group) for group in groups]


def values_of(cells: Sequence[TrackedRun], axis: str) -> tuple[Any, ...]:
    """Lists the values of an axis, numbers by size, others in the order in which they began, which is the file's."""
    values = list(dict.fromkeys(cell.config[axis] for cell in cells if axis in cell.config))
    return tuple(sorted(values) if all(isinstance(value, int | float) for value in values) else values)


def _paired(grid: Grid) -> int:
    """Counts the cells that have another one in their row."""
    return sum(held for row in grid.rows if (held := len(row.cells) - row.cells.count(None)) > 1)


def _setting(cell: TrackedRun, axes: Sequence[str]) -> Any:
    """Returns the value of one axis; of several, all of them as text."""
    if len(axes) < 2:
        return cell.config[axes[0]] if axes else None
    return ", ".join(f"{axis} {write_value(cell.config[axis])}" for axis in axes)


def _grid(
    experiment: str,
    cells: Sequence[TrackedRun],
    axes: tuple[str, ...],
    baselines: Mapping[str, str],
    *,
    shows_videos: bool,
) -> Grid:
    needed = (*axes, TEMPLATE_PARAM) if any(map(is_variable, axes)) else axes
    held = [cell for cell in cells if all(axis in cell.config for axis in needed)]
    values = values_of(held, axes[0]) if len(axes) == 1 else tuple(dict.fromkeys(_setting(cell, axes) for cell in held))
    rows: dict[tuple[Any, ...], list[TrackedRun | None]] = {}
    along = (*axes, *(follow_model([cell.config for cell in cells]) if MODEL in axes else ()))
    labels = labels_of(cells, along)
    for cell in held:
        rows.setdefault(others(cell, along), [None] * len(values))[values.index(_setting(cell, axes))] = cell
    baseline = _baseline(axes[0], values, baselines) if len(axes) == 1 else 0
    configs = [cell.config for cell in held]
    prompts = prompts_apart(configs, axes) if needed != axes else [cell.prompt_name for cell in held]
    names = dict(zip((cell.run_id for cell in held), prompts, strict=True))
    return Grid(experiment, axes, values, baseline, _ordered(rows, labels, names), shows_videos)


def _ordered(
    rows: Mapping[tuple[Any, ...], Sequence[TrackedRun | None]], labels: Mapping[str, str], names: Mapping[str, str]
) -> tuple[Row, ...]:
    """Puts the rows of one prompt together, prompts in the order they began; labels and names are by run."""
    ordered = []
    for found in rows.values():
        first = next(cell for cell in found if cell is not None)
        ordered.append(Row(names[first.run_id], first.prompt, labels[first.run_id], tuple(found)))
    prompts = list(dict.fromkeys(row.prompt_name for row in ordered))
    return tuple(sorted(ordered, key=lambda row: prompts.index(row.prompt_name)))


def _baseline(axis: str, values: Sequence[Any], baselines: Mapping[str, str]) -> int:
    asked = [baselines[axis]] if axis in baselines else []
    default = [] if is_variable(axis) else [write_value(default_of(axis))]
    for text in [*asked, *default]:
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
