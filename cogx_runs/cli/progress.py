"""Progress of a sweep on stderr: two bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import progress as bars
from rich.console import Console
from rich.markup import escape

from cogx_runs.cli.consoles import stderr
from cogx_runs.cli.terminal import command_line
from cogx_runs.execution.outcomes import OutcomeStatus
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress

PLAIN_STEP_INTERVAL_S = 15
"""Shortest time between two plain lines on denoising."""


@contextmanager
def show_progress(plan: Plan) -> Iterator[Progress]:
    """Shows the progress of this plan's sweep until the block ends: bars on a terminal, else plain lines."""
    console = stderr()
    total = plan.count(Action.RUN) + plan.count(Action.REUSE) + plan.cells_to_come
    if not console.is_terminal:
        yield _PlainLines(console, total)
        return
    with bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as shown:
        yield _Bars(shown, total)


def _address(sweeps: Sequence[str], address: str | None) -> str:
    """Returns the address where sweeps are shown, or the command that opens it."""
    return address or command_line("ui", *sweeps)


class _Bars:
    """Two bars: the sweep with the time left, and the steps of the current run."""

    def __init__(self, shown: bars.Progress, total: int) -> None:
        self._progress = shown
        self._sweep = shown.add_task("sweep", total=total)
        self._steps = shown.add_task("starting", total=None)
        self._trial = ""
        self._printed: set[str] = set()
        self._workers: dict[str, _WorkerBar] = {}

    def note(self, message: str) -> None:
        self._once(f"[yellow]note[/] {escape(message)}")

    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None:
        self._once(f"watch it: {escape(_address(sweeps, address))}", soft_wrap=True)

    def trial_started(self, number: int, total: int, what: str) -> None:  # noqa: ARG002 (cells are named by it)
        self._trial = f"trial {number} of {total}: "

    def cell_started(self, name: str, steps: int) -> None:
        self._progress.update(self._sweep, description=escape(self._trial + name))
        self._progress.reset(self._steps, total=steps, description="")

    def phase(self, name: str) -> None:
        self._progress.update(self._steps, description=escape(name))

    def step(self, done: int, total: int) -> None:
        self._progress.update(self._steps, completed=done, total=total)

    def cell_ended(self, name: str, status: str, error: str | None = None) -> None:
        self._progress.advance(self._sweep)
        if status == OutcomeStatus.FAILED:
            self._progress.console.print(f"[red]failed[/] {escape(name)}: {escape(error or '')}")

    def of_worker(self, worker: str) -> "_WorkerBar":
        self._progress.update(self._steps, visible=False)
        self._progress.update(self._sweep, description=escape(self._trial) or "sweep")
        if worker not in self._workers:
            self._workers[worker] = _WorkerBar(self, self._progress, worker)
        return self._workers[worker]

    def _once(self, text: str, soft_wrap: bool = False) -> None:
        """Prints a text that each trial of a search repeats."""
        if text not in self._printed:
            self._printed.add(text)
            self._progress.console.print(text, soft_wrap=soft_wrap)


class _WorkerBar:
    """The bar of one of several workers: its cell, and the cell's steps. The rest is the sweep's to show."""

    def __init__(self, sweep: _Bars, shown: bars.Progress, worker: str) -> None:
        self._sweep = sweep
        self._progress = shown
        self._worker = escape(worker)
        self._cell = ""
        self._steps = shown.add_task(self._worker, total=None)
        self.note, self.shown_at, self.trial_started = sweep.note, sweep.shown_at, sweep.trial_started
        self.cell_ended, self.of_worker = sweep.cell_ended, sweep.of_worker

    def cell_started(self, name: str, steps: int) -> None:
        self._cell = escape(name)
        self._progress.reset(self._steps, total=steps, description=f"{self._worker}: {self._cell}")

    def phase(self, name: str) -> None:
        self._progress.update(self._steps, description=f"{self._worker}: {self._cell} {escape(name)}")

    def step(self, done: int, total: int) -> None:
        self._progress.update(self._steps, completed=done, total=total)


class _PlainLines:
    """A line when a cell begins or ends, and every 15 s of denoising."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._begun = self._ended = 0
        self._started = self._last = time.monotonic()
        self._name = ""
        self._printed: set[str] = set()

    def note(self, message: str) -> None:
        self._once(f"note: {message}")

    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None:
        self._once(f"watch it: {_address(sweeps, address)}")

    def trial_started(self, number: int, total: int, what: str) -> None:
        self._line(f"trial {number} of {total}: {what}")

    def cell_started(self, name: str, steps: int) -> None:  # noqa: ARG002 (a line a cell, none a step)
        if self._begun == 0:
            self._started = time.monotonic()
        self._begun += 1
        self._name = f"[{self._begun}/{self._total}] {name}"
        self._line(self._name)

    def phase(self, name: str) -> None:
        if not self._name:
            self._line(name)

    def step(self, done: int, total: int) -> None:
        if time.monotonic() - self._last >= PLAIN_STEP_INTERVAL_S:
            self._line(f"{self._name}: step {done} of {total}")

    def cell_ended(self, name: str, status: str, error: str | None = None) -> None:
        self._ended += 1
        seconds = time.monotonic() - self._started
        left = seconds / self._ended * (self._total - self._ended)
        detail = f": {error}" if error else ""
        self._line(
            f"{self._ended} of {self._total} ended, {name}: {status}{detail}; "
            f"{seconds:.0f} s gone, about {left:.0f} s left"
        )

    def of_worker(self, worker: str) -> "_WorkerLines":
        return _WorkerLines(self, worker)

    def worker_line(self, text: str, *, is_step: bool = False) -> None:
        """Prints what one of several workers does; a step only where nothing was printed for a while."""
        if not is_step or time.monotonic() - self._last >= PLAIN_STEP_INTERVAL_S:
            self._line(text)

    def _once(self, text: str) -> None:
        """Prints a text that each trial of a search repeats."""
        if text not in self._printed:
            self._printed.add(text)
            self._line(text)

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        self._console.print(text, soft_wrap=True, markup=False)


class _WorkerLines:
    """The lines of one of several workers, which begin with its name."""

    def __init__(self, sweep: _PlainLines, worker: str) -> None:
        self._sweep = sweep
        self._worker = worker
        self._cell = ""
        self.note, self.shown_at, self.trial_started = sweep.note, sweep.shown_at, sweep.trial_started
        self.cell_ended, self.of_worker = sweep.cell_ended, sweep.of_worker

    def cell_started(self, name: str, steps: int) -> None:  # noqa: ARG002 (a line a cell, none a step)
        self._cell = name
        self._sweep.worker_line(f"{self._worker}: {name}")

    def phase(self, name: str) -> None:
        if not self._cell:
            self._sweep.worker_line(f"{self._worker}: {name}")

    def step(self, done: int, total: int) -> None:
        self._sweep.worker_line(f"{self._worker}: {self._cell}: step {done} of {total}", is_step=True)
