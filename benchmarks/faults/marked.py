"""`cogx-runs` with its phases marked in a file, for who injects a fault into one of them.

    FAULTS_MARKS=marks FAULTS_HOLD=denoising:2 python -m benchmarks.faults.marked sweep sweep.yaml

Each phase is a line when it begins, and the line `between` when it ends. With FAULTS_HOLD the process waits at the
beginning of the second denoising until the file `marks.go` is there. With FAULTS_KILL=denoising:2:0.04 it sends itself
SIGKILL 0.04 s after the second denoising has begun, if that has not ended by then. Nothing else of it is changed.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

START, BETWEEN, HELD = "start", "between", "held"
ENCODING, DENOISING, DECODING, WRITING, SCORING, LOGGING = (
    "encoding text", "denoising", "decoding", "writing mp4", "scoring", "logging",
)  # fmt: skip
OF_A_CELL = (DENOISING, DECODING, WRITING, SCORING, LOGGING)
PHASES = (START, ENCODING, *OF_A_CELL)
MARKS, HOLD, KILL = "FAULTS_MARKS", "FAULTS_HOLD", "FAULTS_KILL"
HOLDS_AT_MOST_S = 300
_WORK = {
    "cogx_runs.generation.text": {"TextEncoding._encode": ENCODING},
    "cogx_runs.generation.generate": {"denoise": DENOISING, "decode": DECODING},
    "cogx_runs.video": {"write_mp4": WRITING},
    "cogx_runs.metrics.scoring": {"Scorer.score": SCORING},
    "cogx_runs.tracking.delivery": {"Delivery.keep_latents": LOGGING, "Delivery.end": LOGGING},
}
"""The function that does the work of each phase, by its module."""


class _Kill:
    """The end of the process by SIGKILL, so many seconds after a phase has begun for the N-th time, while it lasts."""

    def __init__(self, described: str) -> None:
        self._phase, number, seconds = described.split(":") if described else ("", "0", "0")
        self._left = int(number)
        self._timer = threading.Timer(float(seconds), self._kill)
        self._timer.daemon = True

    def begin(self, phase: str) -> None:
        if phase == self._phase:
            self._left -= 1
            if self._left == 0:
                self._timer.start()

    def end(self, phase: str) -> None:
        if phase == self._phase and self._left == 0:
            self._timer.cancel()

    @staticmethod
    def _kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class _Marks:
    """The file of marks."""

    def __init__(self, path: str, hold: str, kill: _Kill) -> None:
        self._path = path
        self._kill = kill
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._held, _, number = hold.partition(":")
        self._left = int(number or 1)

    def begin(self, phase: str) -> None:
        self.write(phase)
        self._kill.end(START)
        self._kill.begin(phase)
        if phase != self._held:
            return
        self._left -= 1
        if self._left == 0:
            self.write(f"{HELD} {os.getpid()}")
            ends = time.monotonic() + HOLDS_AT_MOST_S
            while not os.path.exists(f"{self._path}.go") and time.monotonic() < ends:  # noqa: PTH110
                time.sleep(0.01)

    def end(self, phase: str) -> None:
        self._kill.end(phase)
        self.write(BETWEEN)

    def write(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())


def _marked(marks: _Marks, phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(work)
    def marked(*arguments: Any, **options: Any) -> Any:
        marks.begin(phase)
        try:
            return work(*arguments, **options)
        finally:
            marks.end(phase)

    return marked


class _MarkingFinder(MetaPathFinder):
    """Marks the work of a module when that is imported, so that the process starts as it does without marks."""

    def __init__(self, marks: _Marks) -> None:
        self._marks = marks

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _WORK:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _MarkingLoader(spec.loader, self._marks, _WORK[fullname])
        return spec


class _MarkingLoader(Loader):
    def __init__(self, loader: Loader, marks: _Marks, work: dict[str, str]) -> None:
        self._loader = loader
        self._marks = marks
        self._work = work

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for name, phase in self._work.items():
            owner, _, function = name.rpartition(".")
            holder = getattr(module, owner) if owner else module
            setattr(holder, function, _marked(self._marks, phase, getattr(holder, function)))


class Held:
    """A process that waits at a phase, as its marks tell, for who has it wait."""

    def __init__(self, marks: Path) -> None:
        self.marks = marks

    @property
    def lines(self) -> list[str]:
        """The marks so far."""
        return self.marks.read_text().split("\n")[:-1] if self.marks.exists() else []

    @property
    def pid(self) -> int:
        """The first process that waits, or waited; 0 while none does."""
        return next((int(line.split()[1]) for line in self.lines if line.startswith(f"{HELD} ")), 0)

    def wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Waits until a process is held; False where the command ends before."""
        ends = time.monotonic() + HOLDS_AT_MOST_S
        while time.monotonic() < ends:
            if self.pid:
                return True
            if process.poll() is not None:
                return False
            time.sleep(0.002)
        raise AssertionError(f"not held in {HOLDS_AT_MOST_S} s")

    def go_on(self) -> None:
        """Lets who is held go on."""
        self.marks.with_name(f"{self.marks.name}.go").touch()


def mark() -> None:
    """Marks the phases of this process from now on, as the environment asks for."""
    kill = _Kill(os.environ.get(KILL, ""))
    kill.begin(START)
    marks = _Marks(os.environ[MARKS], os.environ.get(HOLD, ""), kill)
    marks.write(START)
    sys.meta_path.insert(0, _MarkingFinder(marks))


def main() -> None:
    mark()
    from cogx_runs.cli import main as command_line

    sys.argv[0] = "cogx-runs"
    command_line()


if __name__ == "__main__":
    main()
