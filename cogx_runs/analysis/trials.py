"""Trials of searches, read from tracked runs: their states, their objectives, and the best of them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any, Protocol, TypeVar

from cogx_runs.definitions.ranges import Direction, front
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import TRIAL, TRIAL_PARAMETERS, TRIAL_SEARCH, json_tag


class Judged(Protocol):
    """A trial that can be compared with the others of its search."""

    @property
    def number(self) -> int:
        """Its number in the search, from 1."""

    @property
    def values(self) -> Sequence[float] | None:
        """The mean of each objective over its cells; None where it is not finished."""

    @property
    def degenerate(self) -> int:
        """Number of its degenerate videos."""


_T = TypeVar("_T", bound=Judged)


@dataclass(frozen=True, kw_only=True)
class TrackedTrial:
    """One configuration of a search, read from its tracked runs."""

    number: int
    """Its number in the search, from 1."""
    runs: tuple[TrackedRun, ...]
    """Its runs, one a cell, in the order given."""
    values: tuple[float, ...] | None
    """The mean of each objective over its cells; None where it is not finished."""

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The value of each searched axis."""
        return json_tag(self.runs[0].tags, TRIAL_PARAMETERS)

    @property
    def degenerate(self) -> int:
        """Number of its degenerate videos."""
        return sum(run.degenerate is not None for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class TrackedSearch:
    """A search, read from its tracked runs. Another base, space or choice of seeds is another search."""

    key: str
    """Identity of the search."""
    trials: tuple[TrackedTrial, ...]
    """By number."""
    directions: tuple[Direction, ...]
    """The better direction of each objective."""

    @cached_property
    def best(self) -> list[TrackedTrial]:
        """The finished trials that no other one of this search beats, as `best_of` orders them."""
        return best_of(self.trials, self.directions)

    @property
    def last_begun_ms(self) -> int:
        """Start time of its latest run, in ms since 1970."""
        return max(run.start_time_ms for trial in self.trials for run in trial.runs)


def searches_of(runs: Sequence[TrackedRun], objectives: Mapping[str, Direction]) -> list[TrackedSearch]:
    """Reads the searches that these runs, one a cell, are trials of; that with the latest run first.

    Where two commands began one number with other values, the trial has the runs of those that were begun first.
    A trial is finished where it has as many finished cells as the largest trial of its search has cells, each with
    every objective. Empty without objectives.
    """
    found: dict[str, dict[int, list[TrackedRun]]] = {}
    for run in runs:
        if run.tags.get(TRIAL, "").isdecimal() and objectives:
            numbers = found.setdefault(run.tags.get(TRIAL_SEARCH, ""), {})
            numbers.setdefault(int(run.tags[TRIAL]), []).append(run)
    directions = tuple(objectives.values())
    searches = []
    for key, begun in found.items():
        trials = {number: _begun_first(each) for number, each in sorted(begun.items())}
        cells = max(map(len, trials.values()))
        read = tuple(
            TrackedTrial(number=number, runs=own, values=objective_means(own, tuple(objectives), cells))
            for number, own in trials.items()
        )
        searches.append(TrackedSearch(key=key, trials=read, directions=directions))
    return sorted(searches, key=lambda search: search.last_begun_ms, reverse=True)


def _begun_first(runs: Sequence[TrackedRun]) -> tuple[TrackedRun, ...]:
    """Those runs of one number that have the values of the first that was begun."""
    first = min(runs, key=lambda run: run.order)
    return tuple(run for run in runs if run.tags.get(TRIAL_PARAMETERS) == first.tags.get(TRIAL_PARAMETERS))


def objective_means(runs: Iterable[TrackedRun], objectives: Sequence[str], cells: int) -> tuple[float, ...] | None:
    """Averages each objective over the `cells` of a trial.

    None for an unfinished trial: fewer cells are finished, one lacks an objective, or a mean is not finite.
    """
    finished = [run.metrics for run in runs if run.state.is_finished]
    if len(finished) < cells or any(not set(objectives) <= metrics.keys() for metrics in finished):
        return None
    means = tuple(fmean(metrics[objective] for metrics in finished) for objective in objectives)
    return means if all(map(math.isfinite, means)) else None


def best_of(trials: Iterable[_T], directions: Sequence[Direction]) -> list[_T]:
    """Selects the finished trials that no other one beats: the best, or those that tie; of two objectives the Pareto
    front, the best in the first objective first.

    Only those with the fewest degenerate videos are compared: some metrics rate a video that stands still best of all.
    """
    finished = {trial.number: trial for trial in trials if trial.values is not None}
    values = {number: trial.values for number, trial in finished.items() if trial.values is not None}
    degenerate = {number: trial.degenerate for number, trial in finished.items()}
    return [finished[number] for number in front(values, directions, degenerate)]
