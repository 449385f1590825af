"""What became of each cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.metrics.registry import shown_cards
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import PlannedRun


class OutcomeStatus(StrEnum):
    """What became of a cell."""

    FINISHED = "finished"
    REUSED = "reused"
    """A copy of a finished run."""
    DONE = "done"
    """Finished before this sweep, or meanwhile by another process."""
    FAILED = "failed"
    ELSEWHERE = "elsewhere"
    """Another host is at it."""
    SKIPPED = "skipped"
    """Not begun."""
    LOST = "lost"
    """Its worker died; an executor gives the cell to another one."""

    @property
    def is_success(self) -> bool:
        """Whether the cell has a finished run."""
        return self in {OutcomeStatus.FINISHED, OutcomeStatus.REUSED, OutcomeStatus.DONE}


@dataclass(frozen=True)
class Outcome:
    """What became of one cell."""

    spec: RunSpec
    status: OutcomeStatus
    run_id: str | None = None
    metrics: Mapping[str, float] | None = None
    error: str | None = None
    beside: str | None = None
    """Other work on the device, or a busy machine, while it was timed."""

    def row(self) -> dict[str, Any]:
        """Returns what a notebook's table shows of it."""
        metrics = self.metrics or {}
        figures = {card.heading: card.number(metrics[card.name]) for card in shown_cards() if card.name in metrics}
        about = {"sweep": self.spec.sweep, "cell": self.spec.run_name, "status": str(self.status)}
        return {**about, **figures, "error": self.error}


def known_outcome(planned: PlannedRun, why: str = "failed before") -> Outcome | None:
    """Tells the outcome of a cell that is not to be run, `why` being said of a failed one; None for any other."""
    if planned.action is Action.DONE:
        finished = planned.decision.finished
        assert finished is not None, "a done cell has its finished run"
        return Outcome(planned.spec, OutcomeStatus.DONE, finished.run_id, finished.metrics, beside=finished.beside)
    if planned.action is Action.FAILED:
        return Outcome(planned.spec, OutcomeStatus.FAILED, error=f"{why}; --retry-failed tries it again")
    return None
