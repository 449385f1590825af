"""All that a report says, before it is a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cogx_runs.report.cells import Cell
from cogx_runs.report.differences import Difference, differences_of
from cogx_runs.report.environments import Environment, definitions_of, environments_of
from cogx_runs.report.grids import Grid, grids_of
from cogx_runs.report.plots import plot
from cogx_runs.report.quantities import PLOTTED
from cogx_runs.report.sentences import about_grid, about_section, warnings_about
from cogx_runs.report.votes import Tally, Vote, tally


@dataclass(frozen=True)
class GridContent:
    """A grid with what its numbers come to."""

    key: str
    """Its id in the page."""
    grid: Grid
    differences: tuple[Difference, ...]
    sentences: tuple[str, ...]
    plots: tuple[Markup, ...]
    tallies: tuple[Tally, ...]


@dataclass(frozen=True)
class Section:
    """One experiment."""

    key: str
    experiment: str
    question: str
    cells: tuple[Cell, ...]
    summary: str
    grids: tuple[GridContent, ...]


@dataclass(frozen=True)
class Content:
    """A report."""

    identity: str
    sections: tuple[Section, ...]
    warnings: tuple[str, ...]
    environments: tuple[Environment, ...]
    definitions: tuple[tuple[str, str], ...]
    votes: tuple[Vote, ...]

    @property
    def cells(self) -> list[Cell]:
        return [cell for section in self.sections for cell in section.cells]


@dataclass(frozen=True)
class Experiment:
    """What was read of one experiment."""

    name: str
    question: str
    """What its sweep is for; may be empty."""
    cells: tuple[Cell, ...]
    unfinished: int
    """Cells that have neither finished nor failed."""
    axes: tuple[str, ...]


def content_of(
    identity: str, experiments: Sequence[Experiment], baselines: Mapping[str, str], votes: Sequence[Vote]
) -> Content:
    """The report on these experiments; `baselines` are the values to compare with, as text, by axis."""
    sections = []
    for number, found in enumerate(experiments):
        grids = grids_of(found.name, found.cells, found.axes, baselines) if found.cells else []
        sections.append(
            Section(
                key=f"s{number}",
                experiment=found.name,
                question=found.question,
                cells=found.cells,
                summary=about_section(found.cells, found.unfinished),
                grids=tuple(_of_grid(f"s{number}g{place}", grid, votes) for place, grid in enumerate(grids)),
            )
        )
    cells = [cell for found in experiments for cell in found.cells]
    return Content(
        identity,
        tuple(sections),
        tuple(warnings_about(cells)),
        tuple(environments_of(cells)),
        tuple(definitions_of(cells)),
        tuple(votes),
    )


def _of_grid(key: str, grid: Grid, votes: Sequence[Vote]) -> GridContent:
    differences = differences_of(grid)
    plots = [plot(grid, quantity) for quantity in PLOTTED]
    return GridContent(
        key,
        grid,
        tuple(differences),
        tuple(about_grid(grid, differences)),
        tuple(drawn for drawn in plots if drawn is not None),
        tuple(tally(grid, votes)) if len(grid.values) > 1 else (),
    )
