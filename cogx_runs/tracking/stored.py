"""Runs and experiments as a tracking store has them, and the questions that it is asked for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cogx_runs.tracking.run import RunState


@dataclass(frozen=True, kw_only=True)
class StoredExperiment:
    """An experiment."""

    experiment_id: str
    name: str
    location: str
    """The place of its artifacts."""
    is_deleted: bool
    """Whether it was deleted in MLflow, and not yet for good."""
    created_ms: int
    """Milliseconds since 1970."""
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run of any kind."""

    run_id: str
    name: str
    experiment_id: str
    state: RunState
    start_time_ms: int
    """Milliseconds since 1970."""
    end_time_ms: int | None
    """Milliseconds since 1970; None for one that has not ended yet."""
    location: str
    """The place of its artifacts."""
    is_deleted: bool
    """Whether it was deleted in MLflow, and not yet for good."""
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """The latest value of each: of the greatest step, then of the latest time, then the greatest."""
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Point:
    """One value of a metric."""

    at_ms: int
    """Milliseconds since 1970."""
    step: int
    value: float


@dataclass(frozen=True, kw_only=True)
class RunQuery:
    """The runs that are asked for: those that meet all of this."""

    experiment_ids: Sequence[str]
    tags: Mapping[str, str] = field(default_factory=dict)
    """Values of tags."""
    state: RunState | None = None
    """None for any."""
    ended_since_ms: int | None = None
    """Earliest end, in ms since 1970, at which a run is found; None for any, and for those that have not ended."""
    with_deleted: bool = False


class StoredRuns(Protocol):
    """Reads a tracking store. Each method raises StoreError for what the store refuses, StoreUnavailableError where it
    does not answer."""

    def experiments(self) -> list[StoredExperiment]:
        """Reads all experiments, also deleted ones, newest first."""

    def experiment(self, experiment_id: str) -> StoredExperiment:
        """Reads one experiment, which may be deleted. Raises StoreError where there is none with this id."""

    def experiment_named(self, name: str) -> StoredExperiment | None:
        """Finds an experiment, which may be deleted, by its name."""

    def runs(self, query: RunQuery) -> Iterator[StoredRun]:
        """Reads runs, newest first."""

    def run(self, run_id: str) -> StoredRun:
        """Reads one run, which may be deleted. Raises StoreError where there is none with this id."""

    def points(self, run_id: str, metric: str) -> list[Point]:
        """Reads all values of a metric of a run, by time, then by step."""
