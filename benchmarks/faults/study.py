"""A small study that faults are injected into: its folders, the command at work in it, and what is right in the end."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.faults.marked import HELD, HOLD, KILL, MARKS
from cogx_runs.errors import CogxError
from cogx_runs.tracking.artifacts import LATENTS, VIDEO
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.uri import sqlite_uri
from cogx_runs.video import examine_video

ROOT = Path(__file__).parents[2]
SECRET = "s3cret-of-the-faults"
"""The password of every service here; it must be found nowhere."""
SWEEP = "faults"
SEEDS = (1, 2)
ENDS_WITHIN_S = 400
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""MLflow's own settings for a short wait: the same path is taken as with long ones, sooner."""


@dataclass(frozen=True)
class Models:
    """The folders of the models that all studies share."""

    model: Path
    clip: Path


@dataclass
class Tally:
    """What was found in the end, summed up over studies."""

    injected: int = 0
    cells: int = 0
    once: int = 0
    """Cells that are finished exactly once."""
    decoded: int = 0
    right: int = 0
    """Cells whose video and latents are byte for byte those of a run that nothing disturbed."""
    running: int = 0
    leftovers: int = 0
    credentials: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Adds the counts of another one."""
        for name in ("injected", "cells", "once", "decoded", "right", "running", "leftovers", "credentials"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.notes += other.notes

    @property
    def is_right(self) -> bool:
        """Whether nothing is lost, wrong or left."""
        whole = self.cells == self.once == self.decoded == self.right
        return whole and not (self.running or self.leftovers or self.credentials or self.notes)


class Command:
    """One `cogx-runs` at work, whose phases are known."""

    def __init__(self, process: subprocess.Popen[bytes], marks: Path, log: Path) -> None:
        self.process = process
        self.began = time.monotonic()
        self._marks = marks
        self._log = log

    @property
    def marks(self) -> list[str]:
        """The phases that have begun so far, with `between` where one has ended."""
        return self._marks.read_text().split("\n")[:-1] if self._marks.exists() else []

    @property
    def phase(self) -> str:
        """The phase that it is in."""
        found = self.marks
        return found[-1] if found else "start"

    def is_held(self) -> bool:
        """Waits until the command is held at its phase; False where it ends before."""
        ends = time.monotonic() + ENDS_WITHIN_S
        while time.monotonic() < ends:
            if HELD in self.marks:
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        raise AssertionError(f"not held in {ENDS_WITHIN_S} s: {self.told[-300:]}")

    def go_on(self) -> None:
        """Lets a command that is held go on."""
        self._marks.with_name(f"{self._marks.name}.go").touch()

    def kill(self) -> None:
        """Kills it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def end(self, within_s: float = ENDS_WITHIN_S) -> int:
        """Waits for its end; returns the exit code, or kills what does not end and returns -9."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    @property
    def told(self) -> str:
        """What it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")


class Study:
    """A folder with one sweep of so many cells, with a cache, a state and a folder for temporary files of its own."""

    def __init__(self, folder: Path, models: Models, cells: int, uri: str | None = None) -> None:
        self.folder = folder
        self.cells = cells
        self.project, self.cache, self.state, self.tmp = (
            folder / name for name in ("project", "cache", "state", "tmp")
        )
        self.logs = folder / "logs"
        self._uri = uri
        self._commands = 0
        for place in (self.project / "prompts", self.cache, self.state, self.tmp, self.logs):
            place.mkdir(parents=True)
        for number in range(cells // len(SEEDS)):
            text = f"A panda plays guitar number {number}.\n"
            (self.project / "prompts" / f"p{number:02}.txt").write_text(text)
        base = {
            "model": str(models.model), "clip_model": str(models.clip), "num_inference_steps": 3, "num_frames": 9,
        }  # fmt: skip
        sweep = {"name": SWEEP, "prompts": "all", "base": base, "axes": {"seed": [*SEEDS]}}
        (self.project / "sweep.yaml").write_text(yaml.safe_dump(sweep))

    @property
    def uri(self) -> str:
        """The address of its tracking store."""
        return self._uri or sqlite_uri(self.project / "mlflow.db")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        own = {
            "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self.cache), "XDG_STATE_HOME": str(self.state),
            "TMPDIR": str(self.tmp), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200",
            "MLFLOW_TRACKING_PASSWORD": SECRET, "MLFLOW_TRACKING_USERNAME": "faults",
        }  # fmt: skip
        if self._uri is not None:
            own |= {"MLFLOW_TRACKING_URI": self._uri, **PATIENCE}
        return {**os.environ, **own}

    def start(self, *arguments: str, hold: str = "", kill: str = "") -> Command:
        """Starts `cogx-runs` in the project.

        `hold` is the phase that it waits at, as `denoising:2`; `kill` where it kills itself, as `denoising:2:0.04`.
        """
        self._commands += 1
        marks, log = (self.logs / f"{self._commands:03}.{name}" for name in ("marks", "log"))
        with log.open("wb") as writing:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.faults.marked", *arguments],
                cwd=self.project,
                env={**self.environment, MARKS: str(marks), HOLD: hold, KILL: kill},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
            )
        return Command(process, marks, log)

    def sweep(self, *options: str, hold: str = "", kill: str = "") -> Command:
        """Starts the sweep, or goes on with it."""
        return self.start("sweep", "sweep.yaml", "--device", "cpu", *options, hold=hold, kill=kill)

    def finish(self, *options: str, tries: int = 3) -> list[str]:
        """Runs the same command until it succeeds. Returns what is wrong with that."""
        for _ in range(tries):
            command = self.sweep(*options)
            if command.end() == 0:
                return []
        return [f"the same command does not end well after {tries} tries: {command.told.strip()[-200:]}"]

    def forget_embeddings(self) -> None:
        """Clears the cache of embeddings, so that the next start encodes texts."""
        for path in (self.cache / "cogx-runs" / "embeddings").glob("*"):
            path.unlink()

    def check(self, reference: "Reference | None" = None, fps: int = 8) -> Tally:
        """Counts what is right in the end."""
        found = Tally(cells=self.cells)
        store = RunReader(self.uri)
        runs = [run for run in store.runs([SWEEP]) if run.config.get("fps", fps) == fps]
        found.running = sum(run.state is RunState.RUNNING for run in runs)
        finished: dict[str, list[str]] = {}
        for run in runs:
            if run.state.is_finished:
                finished.setdefault(run.signature, []).append(run.run_id)
        found.once = sum(len(ids) == 1 for ids in finished.values())
        if twice := [ids for ids in finished.values() if len(ids) > 1]:
            found.notes.append(f"{len(twice)} cells are finished more than once")
        for signature, ids in finished.items():
            files = self.folder / "check" / signature
            files.mkdir(parents=True, exist_ok=True)
            try:
                examine_video(store.download(ids[0], VIDEO, files))
                found.decoded += 1
            except CogxError as error:
                found.notes.append(str(error))
            with suppress(CogxError):  # decoded from another run's latents, it has none of its own
                store.download(ids[0], LATENTS, files)
            found.right += reference is None or reference.is_same(signature, fps, files)
        left = sorted(self.leftovers())
        found.leftovers = len(left)
        found.notes += [f"left: {path}" for path in left[:5]]
        found.credentials = len(places := list(self.credentials()))
        found.notes += [f"credential in {place}" for place in places[:5]]
        tracebacks = [path.name for path in self.logs.glob("*.log") if "Traceback (most" in path.read_text()]
        found.notes += [f"traceback in {name}" for name in tracebacks]
        return found

    def leftovers(self) -> Iterator[Path]:
        """Finds temporary files and folders, entries of the spool, and files that are not whole."""
        yield from self.tmp.iterdir()
        yield from (self.state / "cogx-runs" / "spool").glob("*/*")
        yield from (self.cache / "cogx-runs").rglob("*.part")
        yield from (self.cache / "cogx-runs" / "locks").glob("*.holder")
        for place in (self.project, self.cache, self.state):
            yield from place.rglob("*.unfinished")
            yield from place.rglob(".cogx-runs-*")

    def credentials(self) -> Iterator[Path]:
        """Finds the files that hold the password."""
        for path in self.folder.rglob("*"):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and SECRET.encode() in path.read_bytes():
                    yield path


class Reference:
    """The same study, disturbed by nothing."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._files: dict[tuple[str, int], Mapping[str, str]] = {}

    def make(self, *options: str, fps: int = 8) -> None:
        """Runs the study, and keeps the digests of its files."""
        wrong = self._study.finish(*options, tries=1)
        assert not wrong, wrong
        store = RunReader(self._study.uri)
        for run in store.runs([SWEEP], finished_only=True):
            if run.config["fps"] == fps:
                files = self._study.folder / "files" / run.run_id
                files.mkdir(parents=True, exist_ok=True)
                with suppress(CogxError):
                    store.download(run.run_id, LATENTS, files)
                store.download(run.run_id, VIDEO, files)
                self._files[run.signature, fps] = _digests(files)

    def knows(self, fps: int) -> bool:
        """Tells whether it has the cells of this frame rate."""
        return any(known == fps for _, known in self._files)

    def is_same(self, signature: str, fps: int, files: Path) -> bool:
        """Tells whether a cell's files are byte for byte the same, latents where it has its own."""
        expected, found = self._files.get((signature, fps), {}), _digests(files)
        return VIDEO in found and all(expected.get(name, digest) == digest for name, digest in found.items())


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
