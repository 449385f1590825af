"""The steps of a run at work, logged now and then so that the dashboard shows them."""

import time
from collections.abc import Callable, Sequence

from cogx_runs.progress import Progress

INTERVAL_S = 3.0
"""Between two reports of a run's current step to the store."""


class StepLog:
    """Forwards what is told of one cell, and has its steps logged."""

    def __init__(self, progress: Progress, log: Callable[[int], None]) -> None:
        """`log` is given the number of steps done, no more often than INTERVAL_S."""
        self._progress = progress
        self._log = log
        self._logged = time.monotonic()

    def note(self, message: str) -> None:
        self._progress.note(message)

    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None:
        self._progress.shown_at(sweeps, address)

    def trial_started(self, number: int, total: int, what: str) -> None:
        self._progress.trial_started(number, total, what)

    def cell_started(self, name: str, steps: int) -> None:
        self._progress.cell_started(name, steps)

    def phase(self, name: str) -> None:
        self._progress.phase(name)

    def step(self, done: int, total: int) -> None:
        self._progress.step(done, total)
        if time.monotonic() - self._logged > INTERVAL_S:
            self._logged = time.monotonic()
            self._log(done)

    def cell_ended(self, name: str, status: str, error: str | None = None) -> None:
        self._progress.cell_ended(name, status, error)

    def of_worker(self, worker: str) -> "StepLog":
        return StepLog(self._progress.of_worker(worker), self._log)
