"""A trial of a search: one configuration, with the plan of its cells and its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cogx_runs.definitions.spec import short_name
from cogx_runs.planning.plan import Plan


class TrialState(StrEnum):
    """State of a trial, by the states of its cells."""

    FINISHED = "finished"
    FAILED = "failed"
    OPEN = "open"
    """Some cells are still to run."""

    @property
    def is_finished(self) -> bool:
        """Whether the trial has a value of each objective."""
        return self is TrialState.FINISHED


@dataclass(frozen=True)
class Trial:
    """One configuration of a search, run for every prompt and with every seed."""

    number: int
    """Its number in the search, from 1."""
    parameters: Mapping[str, Any]
    """The value of each axis."""
    plan: Plan
    """Its cells."""
    state: TrialState
    values: tuple[float, ...] | None = None
    """The mean of each objective over its cells; None where it is not finished."""
    error: str | None = None
    """Why it failed."""

    @property
    def degenerate(self) -> int:
        """Number of its finished videos that are noise, one flat colour or frozen."""
        finished = [run.decision.finished for run in self.plan.runs]
        return sum(run is not None and run.degenerate is not None for run in finished)

    @property
    def what(self) -> str:
        """Its values in short: `guidance=7.343 steps=25`."""
        return " ".join(f"{short_name(axis)}={value}" for axis, value in self.parameters.items())
