"""The content of a report, before it is rendered as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
from markupsafe import Markup

from cogx_runs.analysis.compression import compression_sentences
from cogx_runs.analysis.effects import PRIMARY, Effect, Margin
from cogx_runs.analysis.grids import Grid, grids_of
from cogx_runs.analysis.headline import comparable, headlines
from cogx_runs.analysis.preferences import MetricAgreement
from cogx_runs.analysis.promotion.chosen import without_chosen
from cogx_runs.analysis.seeds import SeedSpread
from cogx_runs.analysis.sequential import ONE_LOOK, Looks, strictest
from cogx_runs.analysis.signflips import FEWEST
from cogx_runs.analysis.wording import looks_sentence
from cogx_runs.definitions.ranges import Direction
from cogx_runs.metrics.card import MetricCard
from cogx_runs.report.comparisons import (
    HEADLINES,
    QUANTITIES,
    SEED,
    Comparisons,
    Gathered,
    constant,
    gather,
    judge_gathered,
)
from cogx_runs.report.environments import Environment, definitions_of, environments_of
from cogx_runs.report.overview import Overview, overview_of
from cogx_runs.report.plots import plot, plot_effects, plot_prompts, plot_trials
from cogx_runs.report.promotions import PromotionContent, promotions_of
from cogx_runs.report.quantities import COMPARED
from cogx_runs.report.sentences import (
    Said,
    about_chosen,
    about_constant,
    about_grid,
    about_interactions,
    about_section,
    about_seeds,
    warnings_about,
    worst_of,
)
from cogx_runs.report.tradeoffs import TradeOffContent, trade_off_content
from cogx_runs.report.trials import Trials, trials_of
from cogx_runs.report.votes import Tally, Vote, agreements, choices_of, tally
from cogx_runs.tracking.run import TrackedRun


@dataclass(frozen=True)
class GridContent:
    """A grid with its effects, sentences, plots and votes."""

    key: str
    """Id of the grid in the page."""
    grid: Grid
    effects: tuple[Effect, ...]
    """Effects along its axis."""
    spreads: tuple[SeedSpread, ...]
    """Spreads between seeds, where the seed is its axis."""
    said: Said
    plots: tuple[Markup, ...]
    """The prompts that carry the largest change, the changes, and the metrics by value."""
    tallies: tuple[Tally, ...]
    agreements: tuple[MetricAgreement, ...]
    """How well metrics agree with the votes, the best first."""

    @property
    def has_intervals(self) -> bool:
        """Whether there are the prompts for intervals that mean something."""
        return any(effect.prompts >= FEWEST for effect in self.effects)

    @property
    def is_inconclusive(self) -> bool:
        """Whether a verdict is inconclusive, which the page then explains."""
        return self.has_intervals and any(effect.verdict == "inconclusive" for effect in self.effects)

    @property
    def kinds(self) -> list[str]:
        """Kinds of runs that have effects of their own; empty where all runs of the report are of one kind."""
        return sorted({effect.kind for effect in self.effects if effect.kind})


@dataclass(frozen=True)
class TrialsContent:
    """A search with its plots."""

    trials: Trials
    plots: tuple[Markup, ...]


@dataclass(frozen=True)
class Section:
    """One experiment."""

    key: str
    experiment: str
    question: str
    cells: tuple[TrackedRun, ...]
    summary: str
    about_file: tuple[str, ...]
    """How far the scores of the mp4 files are from those of the frames."""
    headlines: tuple[str, ...]
    """What was varied, which value is best, and what the worst costs: a sentence an axis."""
    searches: tuple[TrialsContent, ...]
    """Its searches; empty where the experiment is no search."""
    trade_offs: TradeOffContent | None
    """Its approximate cells against the exact ones; None without them."""
    grids: tuple[GridContent, ...]
    comparisons: Comparisons
    about_interactions: tuple[str, ...]
    promotions: tuple[PromotionContent, ...]


@dataclass(frozen=True)
class Content:
    """A report."""

    identity: str
    sections: tuple[Section, ...]
    overview: Overview
    warnings: tuple[str, ...]
    environments: tuple[Environment, ...]
    definitions: tuple[tuple[MetricCard, tuple[str, ...]], ...]
    """Metrics with the version, CLIP and reference of their values."""
    votes: tuple[Vote, ...]
    looks: tuple[tuple[str, Looks], ...] = ()
    """The looks at each experiment's primary metric, this one among them; none where six prompts are missing."""
    constant: str = ""
    """What is said of metrics that are the same in all videos; empty where there are none."""

    @property
    def cells(self) -> list[TrackedRun]:
        """The cells of all sections."""
        return [cell for section in self.sections for cell in section.cells]


@dataclass(frozen=True)
class Experiment:
    """The data of one experiment, as read from the store."""

    name: str
    question: str
    """The question of its sweep; may be empty."""
    cells: tuple[TrackedRun, ...]
    unfinished: int
    """Cells that have neither finished nor failed."""
    axes: tuple[str, ...]
    runs: pd.DataFrame
    """All runs, as `load_runs` returns them."""
    objectives: Mapping[str, Direction] = field(default_factory=dict)
    """Objectives of its search with their directions; empty where it is no search."""
    primary: str = PRIMARY
    """The metric that carries its verdicts."""
    looks: Looks = ONE_LOOK
    """The looks at it so far."""
    changed: tuple[str, ...] = ()
    """What was changed since the first look, and whether cells never begun are not known, as sentences."""
    baselines: Mapping[str, str] = field(default_factory=dict)
    """Values of axes that its sweep file names as their base, as text."""


def content_of(
    identity: str,
    experiments: Sequence[Experiment],
    baselines: Mapping[str, str],
    margins: Mapping[str, Margin | None],
    votes: Sequence[Vote],
) -> Content:
    """Composes the report on these experiments; `baselines` are the values to compare with, as text, by axis."""
    compared = [without_chosen(found.runs) for found in experiments]
    runs = pd.concat(compared, ignore_index=True)
    chosen = sum(len(found.runs) for found in experiments) - len(runs)
    grids = [
        grids_of(found.name, found.cells, found.axes, {**found.baselines, **baselines}) if found.cells else []
        for found in experiments
    ]
    gathered = [
        gather(own, own_grids, runs, found.primary)
        for found, own, own_grids in zip(experiments, compared, grids, strict=True)
    ]
    looks = _looks(experiments, gathered)
    judged_by = strictest([looked for _, looked in looks])
    judged = judge_gathered(gathered, margins, judged_by)
    sections = [
        _section(f"s{number}", found, own_grids, comparisons, votes)
        for number, (found, own_grids, comparisons) in enumerate(zip(experiments, grids, judged, strict=True))
    ]
    cells = [cell for found in experiments for cell in found.cells]
    about_looks = [sentence for sentence in [looks_sentence(judged_by)] if sentence]
    changed = [sentence for found in experiments for sentence in found.changed]
    return Content(
        identity,
        tuple(sections),
        overview_of([(section.experiment, section.comparisons) for section in sections], runs),
        (*about_looks, *changed, *warnings_about(cells), *about_chosen(chosen)),
        tuple(environments_of(cells)),
        tuple(definitions_of(cells)),
        tuple(votes),
        tuple(looks),
        about_constant(constant(runs)),
    )


def _looks(experiments: Sequence[Experiment], gathered: Sequence[Gathered]) -> list[tuple[str, Looks]]:
    """Adds the look of this report to those before it, where there are the prompts for a verdict."""
    return [
        (found.name, found.looks.at(own.primary_prompts))
        for found, own in zip(experiments, gathered, strict=True)
        if own.primary_prompts >= FEWEST
    ]


def _section(
    key: str, found: Experiment, grids: Sequence[Grid], comparisons: Comparisons, votes: Sequence[Vote]
) -> Section:
    searches = [
        TrialsContent(trials, tuple(plot_trials(trials))) for trials in trials_of(found.cells, found.objectives)
    ]
    shown = {cell.run_id for one in searches for tried in one.trials.tried for cell in tried.cells if cell is not None}
    if shown >= {cell.run_id for cell in found.cells}:  # the trials show the videos
        grids = [replace(grid, shows_videos=False) for grid in grids]
    return Section(
        key=key,
        experiment=found.name,
        question=found.question,
        cells=found.cells,
        summary=about_section(found.cells, found.unfinished),
        about_file=tuple(compression_sentences([(cell.config, cell.metrics) for cell in found.cells])),
        headlines=tuple(
            map(str, headlines([(cell, comparable(cell.metrics, cell.beside)) for cell in found.cells], found.primary))
        ),
        searches=tuple(searches),
        trade_offs=trade_off_content(found.cells, comparisons.effects, found.primary),
        grids=tuple(
            _grid_content(f"{key}g{place}", grid, comparisons, votes, found.primary) for place, grid in enumerate(grids)
        ),
        comparisons=comparisons,
        about_interactions=tuple(about_interactions(comparisons.interactions)),
        promotions=tuple(promotions_of(found.runs)),
    )


def _grid_content(key: str, grid: Grid, comparisons: Comparisons, votes: Sequence[Vote], primary: str) -> GridContent:
    effects = comparisons.along(grid.axis)
    spreads = comparisons.seeds if grid.axis == SEED else ()
    refused = dict(comparisons.refused).get(str(grid.axis))
    plotted = [QUANTITIES[name] for name in dict.fromkeys((primary, *HEADLINES)) if name in QUANTITIES]
    drawn = [
        *(plot_prompts(effect) for effect in worst_of(effects, primary)),
        *(plot_effects(effects, quantity) for quantity in plotted),
        *(plot(grid, quantity) for quantity in plotted),
    ]
    choices = choices_of(grid, votes)
    return GridContent(
        key,
        grid,
        tuple(effects),
        spreads,
        about_seeds(grid, spreads) if grid.axis == SEED else about_grid(grid, comparisons, refused, primary),
        tuple(picture for picture in drawn if picture is not None),
        tuple(tally(grid, choices)) if len(grid.values) > 1 else (),
        tuple(agreements(grid, choices, COMPARED)),
    )
