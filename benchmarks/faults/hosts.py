"""Two hosts at one sweep, of which one is killed, or stands still until the other has made its cell."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Literal

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import OF_A_CELL
from benchmarks.faults.services import MlflowServer
from benchmarks.faults.study import Command, Study, Tally
from cogx_runs.tracking.signs import UNCHANGED_S

End = Literal["killed", "frozen"]
CELLS = 2
WITHIN_S = 0.1
"""The end falls into so many seconds from the beginning of the phase."""
OTHER_HOST = "other-host"
WAITING = "waiting for a sign of life of the host"
ROUNDS_S = 60.0
"""What making the cell may take beside the wait, on a machine that is busy."""


def lose_host(bench: Bench, end: End) -> Tally:
    """Loses a host in each phase of a cell. The other one has to take the cell over within the time that is stated; one
    that stood still goes on then, and one that was killed begins again."""
    tally = Tally()
    bench.reference(CELLS)
    with ThreadPoolExecutor(bench.parallel) as pool:  # they wait for most of their time
        for found in pool.map(lambda phase: _lose(bench, end, phase), OF_A_CELL):
            tally.add(found)
    return tally


def _lose(bench: Bench, end: End, phase: str) -> Tally:
    name = f"host-{end}-{phase.replace(' ', '-')}"
    with ExitStack() as running:
        server = running.enter_context(MlflowServer(bench.folder / f"{name}-service"))
        study = bench.study(name, CELLS, server.url)
        lost = study.sweep(hold=f"{phase}:1")
        if not lost.is_held():
            return Tally(injected=1, notes=[f"{name}: ended before {phase}"])
        lost.go_on()
        time.sleep(random.Random(name).random() * WITHIN_S)
        lost.process.send_signal(signal.SIGKILL if end == "killed" else signal.SIGSTOP)
        notes = _take_over(bench, study, name)
        lost.process.send_signal(signal.SIGCONT)
        code = lost.end()
        if end == "frozen" and code != 0:
            notes.append(f"the host that stood still: exit code {code}: {lost.told.strip()[-200:]}")
        notes += study.finish()
        tally = study.check(bench.reference(CELLS))
    return bench.concluded(study, name, tally, notes)


def _take_over(bench: Bench, study: Study, name: str) -> list[str]:
    """Runs the sweep on the other host. Returns what is wrong with that."""
    other = study.sweep(environment=study.folders_of(OTHER_HOST))
    waited_s = _waited_s(other)
    code = other.end()
    bench.tell(f"{name}: taken over {waited_s:.0f} s after the other host had nothing else to do")
    notes = [] if code == 0 else [f"the other host: exit code {code}: {other.told.strip()[-200:]}"]
    if waited_s > UNCHANGED_S + ROUNDS_S:
        notes.append(f"taken over after {waited_s:.0f} s")
    return notes


def _waited_s(command: Command) -> float:
    """Measures the time from where a command waits for another host to its end; 0 where it does not wait."""
    began = 0.0
    while command.process.poll() is None:
        if not began and WAITING in command.told:
            began = time.monotonic()
        time.sleep(0.5)
    return time.monotonic() - began if began else 0.0
