"""The progress of a study on a terminal, written anew every few seconds."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from cogx_runs.analysis.at_work import StudyProgress, SweepProgress, Watch, worker_of
from cogx_runs.cli.columns import Column, fit_table
from cogx_runs.cli.consoles import stdout
from cogx_runs.errors import StoreUnavailableError, first_line
from cogx_runs.formatting import count, write_duration, write_rough_duration
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.signs import last_sign_ms, now_ms
from cogx_runs.tracking.tags import DEVICE_NAME
from cogx_runs.tracking.uri import require_store

INTERVAL_S = 2.0
"""Time between two looks."""
SILENT_S = 150.0
"""How long a run may be without a sign of life, of which each minute has one, before that is said."""


def watch_runs(sweep: str | None, wait: Callable[[float], None] = time.sleep) -> None:
    """Shows who is at which cell of a sweep, or of all that have cells left, until KeyboardInterrupt.

    In a file or a pipe each change of the totals is a line. Raises CogxError where there is no store or no such sweep.
    """
    require_store(None)
    store = RunReader()
    watch = Watch(store, None if sweep is None else experiments_of(sweep, store))
    console = stdout()
    if not console.is_terminal:
        _print_changes(watch, console, wait)
        return
    with Live(console=console, auto_refresh=False) as live:
        shown: RenderableType = Text()
        while True:
            try:
                shown = progress_table(watch.look(), console)
                live.update(shown, refresh=True)
            except StoreUnavailableError as error:
                live.update(Group(shown, Text(first_line(error), style="yellow")), refresh=True)
            wait(INTERVAL_S)


def _print_changes(watch: Watch, console: Console, wait: Callable[[float], None]) -> None:
    last: list[str] = []
    while True:
        with suppress(StoreUnavailableError):
            found = watch.look()
            lines = [f"{sweep.name}: {sweep}" for sweep in found.sweeps] or ["no sweep has cells left"]
            for line in lines:
                if line not in last:
                    console.print(line, soft_wrap=True, markup=False)
            last = lines
        wait(INTERVAL_S)


def progress_table(found: StudyProgress, console: Console) -> Group:
    """Writes a table of the sweeps, one of those at work, and a line on the whole."""
    parts: list[RenderableType] = [fit_table(console, _sweep_columns(found.sweeps))[0]] if found.sweeps else []
    if found.at_work:
        parts += [Text(), fit_table(console, _worker_columns(found.at_work, len(found.sweeps) > 1))[0]]
    return Group(*parts, Text(), Text.from_markup(_whole(found)))


def _whole(found: StudyProgress) -> str:
    finished, total = sum(one.finished for one in found.sweeps), sum(one.total for one in found.sweeps)
    text = f"[bold]{finished} of {total}[/] finished" if found.sweeps else "no sweep has cells left"
    if found.workers:
        text += f", {count(found.workers, 'worker')} at work"
    elif any(sweep.left for sweep in found.sweeps):
        text += ", nobody at work"
    if found.seconds_left is not None:
        text += f", about [bold]{write_rough_duration(found.seconds_left)}[/] left"
    return f"{text}  [dim]{time.strftime('%H:%M:%S')}, Ctrl-C leaves[/]"


def _sweep_columns(sweeps: Sequence[SweepProgress]) -> list[Column]:
    return [
        Column("sweep", [escape(sweep.name) for sweep in sweeps], may_fold=True),
        Column("", [_bar(sweep) for sweep in sweeps], is_spare=True),
        Column("finished", [f"{sweep.finished} of {sweep.total}" for sweep in sweeps], is_number=True),
        Column("failed", [f"[red]{sweep.failed}[/]" if sweep.failed else "" for sweep in sweeps], is_number=True),
        Column("running", [str(len(sweep.at_work) or "") for sweep in sweeps], is_number=True),
        Column("time left", [_left(sweep) for sweep in sweeps], is_number=True),
    ]


def _worker_columns(runs: Sequence[TrackedRun], several: bool) -> list[Column]:
    now = now_ms()
    workers = [worker_of(run) for run in runs]
    return [
        Column("worker", [escape(worker) for _, worker, _ in workers]),
        Column("host", [escape(host) for host, _, _ in workers], may_fold=True),
        Column("device", [_device(run) for run in runs], may_fold=True),
        *([Column("sweep", [escape(run.experiment) for run in runs], may_fold=True)] * several),
        Column("cell", [escape(run.name) for run in runs], may_fold=True),
        Column("step", [_step(run) for run in runs], is_number=True),
        Column("since", [write_duration(max(0, now - run.start_time_ms) / 1000) for run in runs], is_number=True),
        Column("", [_silence(run, now) for run in runs]),
    ]


def _bar(sweep: SweepProgress) -> str:
    width = 20
    done, failed = (round(width * number / max(1, sweep.total)) for number in (sweep.finished, sweep.failed))
    return f"[green]{'━' * done}[/][red]{'━' * failed}[/][dim]{'━' * max(0, width - done - failed)}[/]"


def _left(sweep: SweepProgress) -> str:
    return "" if sweep.seconds_left is None or not sweep.left else f"about {write_rough_duration(sweep.seconds_left)}"


def _device(run: TrackedRun) -> str:
    """Writes the device's name, and of a GPU the beginning of its UUID, by which those of a host differ."""
    device_id = worker_of(run)[2].removeprefix("GPU-")
    is_gpu = device_id != worker_of(run)[2]
    return escape(run.tags.get(DEVICE_NAME, "") + (f" {device_id[:4]}" if is_gpu else ""))


def _step(run: TrackedRun) -> str:
    done = run.metrics.get("current_step")
    return "" if done is None else f"{done:.0f} of {run.params.get('num_inference_steps', '?')}"


def _silence(run: TrackedRun, now: int) -> str:
    silent_s = (now - max(run.start_time_ms, last_sign_ms(run) or 0)) / 1000
    return f"[yellow]no sign of life for {write_rough_duration(silent_s)}[/]" if silent_s > SILENT_S else ""
