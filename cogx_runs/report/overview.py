"""Results over all videos of a report: parameters by their largest change, file size, and time."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cogx_runs.analysis.correlations import RankCorrelation, rank_correlations
from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.ranking import ASPECTS, Ranked, rank_parameters
from cogx_runs.analysis.seeds import SeedSpread, seed_spreads
from cogx_runs.analysis.strata import strata_of
from cogx_runs.analysis.timing import TimeFit, fit_time
from cogx_runs.errors import CogxError
from cogx_runs.metrics.measured import FILE_SIZE
from cogx_runs.report.comparisons import Comparisons, before_encoding, measured
from cogx_runs.tracking.columns import metric_column, param_column

TIMED = "denoise_s"
"""The time that is fitted: the one that depends on steps, frames and guidance."""


@dataclass(frozen=True)
class Place:
    """A parameter's place in the order of one aspect."""

    ranked: Ranked
    experiment: str
    """The experiment with its largest change."""


@dataclass(frozen=True)
class Overview:
    """Results over all experiments of a report."""

    ranking: tuple[Place, ...]
    """Parameters in order; empty where there is only one."""
    correlations: tuple[tuple[str, RankCorrelation], ...]
    """Of file size with the other metrics, each with the kind of runs it is of; empty where all are of one kind."""
    fits: tuple[tuple[str, TimeFit], ...]
    """Fits of time, each with the kind of runs it is of."""
    yardsticks: tuple[SeedSpread, ...] = ()
    """Spreads between seeds at the baselines, as the scale on which to judge the ranked changes."""

    def __bool__(self) -> bool:
        return bool(self.ranking or self.correlations or self.fits)


def overview_of(compared: Sequence[tuple[str, Comparisons]], runs: pd.DataFrame) -> Overview:
    """Summarizes the named experiments' comparisons, and all their runs."""
    places: list[tuple[str, Effect]] = [(name, effect) for name, found in compared for effect in found.effects]
    ranked = rank_parameters([effect for _, effect in places])
    home = {id(effect): name for name, effect in places}
    several = len({effect.axis for _, effect in places}) > 1
    metrics = [metric for metric in ASPECTS.values() if metric in measured(runs)]
    return Overview(
        tuple(Place(place, home[id(place.effect)]) for place in ranked) if several else (),
        tuple(_correlations(runs)),
        tuple(_fits(runs)),
        tuple(seed_spreads(_at_baselines(runs, [effect for _, effect in places]), metrics, among=runs))
        if several
        else (),
    )


def _at_baselines(runs: pd.DataFrame, effects: Sequence[Effect]) -> pd.DataFrame:
    """Selects the runs at a baseline of every axis."""
    for axis in {effect.axis for effect in effects}:
        baselines = [effect.baseline for effect in effects if effect.axis == axis]
        runs = runs[runs[param_column(axis)].isin(baselines)]
    return runs


def _correlations(runs: pd.DataFrame) -> list[tuple[str, RankCorrelation]]:
    metrics = before_encoding(measured(runs))
    if FILE_SIZE.name not in metrics:
        return []
    return [
        (kind, found)
        for metric in metrics
        for kind, alike in strata_of(runs, (metric, FILE_SIZE.name))
        for found in rank_correlations(alike, [metric], FILE_SIZE.name)
    ]


def _fits(runs: pd.DataFrame) -> list[tuple[str, TimeFit]]:
    if metric_column(TIMED) not in runs.columns:
        return []
    found = []
    for kind, alike in strata_of(runs, (TIMED,)):
        try:
            found.append((kind, fit_time(alike, TIMED)))
        except CogxError:
            # Too few runs, or all of them with the same work: no line can be fitted.
            continue
    return found
