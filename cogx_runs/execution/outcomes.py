"""What became of each cell, and who is told of it while a sweep runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.planning.plan import PlannedRun

Status = Literal["finished", "reused", "done", "failed", "elsewhere", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """What became of one cell."""

    spec: RunSpec
    status: Status
    """`done`: finished before this sweep; `elsewhere`: another host is at it; `skipped`: not begun."""
    run_id: str | None = None
    metrics: Mapping[str, float] | None = None
    error: str | None = None


def known_outcome(planned: PlannedRun, why: str = "failed before") -> Outcome | None:
    """The outcome of a cell that is not to be made, `why` being said of a failed one; None of any other."""
    if planned.action == "done":
        made = planned.decision.finished
        assert made is not None, "a done cell has its finished run"
        return Outcome(planned.spec, "done", made.run_id, made.metrics)
    if planned.action == "failed":
        return Outcome(planned.spec, "failed", error=f"{why}; --retry-failed tries it again")
    return None


class Reporter(Protocol):
    """Told of what goes on during a sweep."""

    def note(self, message: str) -> None: ...
    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None:
        """Where these sweeps can be watched; None where no server runs yet."""

    def trial_started(self, number: int, total: int, what: str) -> None:
        """A search has come to its `number`-th trial of `total`; `what` are its values."""

    def run_started(self, spec: RunSpec) -> None: ...
    def phase(self, name: str) -> None: ...
    def step(self, done: int, total: int) -> None: ...
    def run_ended(self, outcome: Outcome) -> None: ...


class SilentReporter:
    """Tells nobody."""

    def note(self, message: str) -> None: ...
    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None: ...
    def trial_started(self, number: int, total: int, what: str) -> None: ...
    def run_started(self, spec: RunSpec) -> None: ...
    def phase(self, name: str) -> None: ...
    def step(self, done: int, total: int) -> None: ...
    def run_ended(self, outcome: Outcome) -> None: ...
