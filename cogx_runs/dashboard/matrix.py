"""The overview of an experiment: which cell stands in which row and column, and on which page."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cogx_runs.analysis.cells import labels_of
from cogx_runs.analysis.grids import Grid, grids_of
from cogx_runs.analysis.trials import TrackedSearch, TrackedTrial
from cogx_runs.definitions.ranges import Direction
from cogx_runs.definitions.spec import PARAM_FIELDS, short_name
from cogx_runs.formatting import write_value
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import TRIAL

MOST_COLUMNS = 10
MOST_ROWS = 10
"""Most rows of a page, which has 100 cells at most."""
MOST_PAGES = 6
"""Pages of an experiment's overview; cells beyond them are in the table."""
WRAPPED_COLUMNS = 6
"""Most cells in a row where rows stand for nothing."""


@dataclass(frozen=True)
class Row:
    """One row of a matrix."""

    head: str
    cells: tuple[TrackedRun | None, ...]
    captions: tuple[str, ...] = ()
    """What each cell is, where the heads do not say it."""


@dataclass(frozen=True)
class Matrix:
    """Cells in rows and columns, with heads."""

    title: str
    columns: tuple[str, ...]
    """Heads of the columns; empty where columns stand for nothing."""
    rows: tuple[Row, ...]

    @property
    def width(self) -> int:
        """Number of columns."""
        return max(len(row.cells) for row in self.rows)

    @property
    def cells(self) -> list[TrackedRun]:
        return [cell for row in self.rows for cell in row.cells if cell is not None]


Page = tuple[Matrix, ...]
"""The matrices on one page, from top to bottom."""


def pages_of(
    name: str,
    cells: Sequence[TrackedRun],
    axes: Sequence[str],
    searches: Sequence[TrackedSearch],
    objectives: Mapping[str, Direction],
) -> list[Page]:
    """Lays out the cells of an experiment, one run each: axis against axis or prompt, values in order; the trials of a
    search, the best first. Cells beyond `MOST_PAGES` are left out."""
    tried = [_trials(search, objectives) for search in searches]
    others = [cell for cell in cells if TRIAL not in cell.tags] if tried else list(cells)
    found = [*tried, *([_of_grid(grid) for grid in _shown(name, others, axes)] if others else [])]
    parts = [part for matrix in found for part in _parts(_wrapped(matrix))]
    return _stacked(parts)[:MOST_PAGES]


def _shown(name: str, cells: Sequence[TrackedRun], axes: Sequence[str]) -> list[Grid]:
    known = [axis for axis in axes if any(axis in cell.config for cell in cells)]
    return [grid for grid in grids_of(name, cells, known, {}) if grid.shows_videos and grid.cells]


def _of_grid(grid: Grid) -> Matrix:
    prompts = list(dict.fromkeys(row.prompt_name for row in grid.rows))
    rows = tuple(
        Row(
            ", ".join(
                filter(None, [row.prompt_name if len(prompts) > 1 or not row.label else "", _shortened(row.label)])
            ),
            row.cells,
        )
        for row in grid.rows
    )
    columns = () if grid.axis is None else tuple(write_value(value) for value in grid.values)
    title = " · ".join(filter(None, [grid.axis, prompts[0] if len(prompts) == 1 else ""]))
    return Matrix(title, columns, rows)


def _shortened(label: str) -> str:
    """Writes the parameters of a row's label by the command line's short words: `steps 5, seed 1`."""
    parts = (part.partition(" ") for part in label.split(", "))
    return ", ".join(f"{short_name(name) if name in PARAM_FIELDS else name}{gap}{value}" for name, gap, value in parts)


def _trials(search: TrackedSearch, objectives: Mapping[str, Direction]) -> Matrix:
    """A row a trial, the best ones first, then by the first objective, unfinished ones last; a column a cell."""
    best = {trial.number: rank for rank, trial in enumerate(search.best)}
    sign = -1 if next(iter(objectives.values())) == "maximize" else 1

    def place(trial: TrackedTrial) -> tuple[float, ...]:
        value = math.inf if trial.values is None else sign * trial.values[0]
        return (best.get(trial.number, len(best)), value, trial.number)

    trials = sorted(search.trials, key=place)
    every = [run for trial in trials for run in trial.runs]
    searched = {name for trial in trials for name in trial.parameters}
    labels = labels_of(every, ()) if not searched else {}
    keys = {run.run_id: (run.prompt_name, run.params.get("seed", "")) for run in every}
    columns = sorted(set(keys.values()))
    several = len({seed for _, seed in columns}) > 1
    rows = []
    for trial in trials:
        at = {keys[run.run_id]: run for run in trial.runs}
        setting = ", ".join(f"{short_name(axis)} {write_value(value)}" for axis, value in trial.parameters.items())
        mark = "best, " if trial.number in best else ""
        head = f"{mark}trial {trial.number}: {setting or labels.get(trial.runs[0].run_id, '')}"
        rows.append(Row(head, tuple(at.get(key) for key in columns)))
    heads = tuple(f"{prompt}, seed {seed}" if several else prompt for prompt, seed in columns)
    return Matrix("trials, the best first", heads, tuple(rows))


def _wrapped(matrix: Matrix) -> Matrix:
    """Puts the cells of a single column beside each other, each with what its row says."""
    if matrix.width > 1 or len(matrix.rows) < 2:
        return matrix
    wide = min(WRAPPED_COLUMNS, math.ceil(math.sqrt(len(matrix.rows))))
    rows = [matrix.rows[start : start + wide] for start in range(0, len(matrix.rows), wide)]
    wrapped = (Row("", tuple(row.cells[0] for row in held), tuple(row.head for row in held)) for held in rows)
    title = " · ".join(filter(None, [matrix.title, *matrix.columns]))
    return Matrix(title, (), tuple(wrapped))


def _parts(matrix: Matrix) -> Iterator[Matrix]:
    """Cuts a matrix in parts that fit a page; heads are repeated."""
    for top in range(0, len(matrix.rows), MOST_ROWS):
        for left in range(0, matrix.width, MOST_COLUMNS):
            right = left + MOST_COLUMNS
            rows = (
                replace(row, cells=row.cells[left:right], captions=row.captions[left:right])
                for row in matrix.rows[top : top + MOST_ROWS]
            )
            yield Matrix(matrix.title, matrix.columns[left:right], tuple(rows))


def _stacked(parts: Sequence[Matrix]) -> list[Page]:
    """Puts small matrices on a page together."""
    pages: list[list[Matrix]] = []
    for part in parts:
        if pages and sum(len(held.rows) for held in pages[-1]) + len(part.rows) <= MOST_ROWS / 2:
            pages[-1].append(part)
        else:
            pages.append([part])
    return [tuple(page) for page in pages]
