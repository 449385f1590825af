"""A small study that faults are injected into: its folders, the command at work in it, and what is right in the end."""

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import yaml
from mlflow import MlflowClient

from benchmarks.faults.marked import HOLD, KILL, MARKS, Held
from cogx_runs.errors import CogxError
from cogx_runs.tracking.artifacts import LATENTS, VIDEO
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import KIND, OVERVIEW_KIND
from cogx_runs.tracking.uri import sqlite_uri
from cogx_runs.video import examine_video

ROOT = Path(__file__).parents[2]
SECRET = "s3cret-of-the-faults"
"""The password of every service here; it must be found nowhere."""
SWEEP = "faults"
SEEDS = (1, 2)
ENDS_WITHIN_S = 400
ENDING_S = 5.0
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
    """Cells that are finished exactly once, with nothing logged twice."""
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
        self._held = Held(marks)
        self._log = log

    @property
    def marks(self) -> list[str]:
        """The phases that have begun so far, with `between` where one has ended."""
        return self._held.lines

    def is_held(self) -> bool:
        """Waits until the command is held at its phase; False where it ends before."""
        return self._held.wait(self.process)

    def go_on(self) -> None:
        """Lets a command that is held go on."""
        self._held.go_on()

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

    def folders_of(self, host: str) -> dict[str, str]:
        """The variables by which a command has the folders, and so the locks and the spool, of another host."""
        places = {"XDG_CACHE_HOME": self.folder / f"cache-{host}", "XDG_STATE_HOME": self.folder / f"state-{host}"}
        for place in places.values():
            place.mkdir(exist_ok=True)
        return {name: str(place) for name, place in places.items()}

    def start(
        self, *arguments: str, hold: str = "", kill: str = "", environment: Mapping[str, str] = MappingProxyType({})
    ) -> Command:
        """Starts `cogx-runs` in the project.

        `hold` is the phase that it waits at, as `denoising:2`; `kill` where it kills itself, as `denoising:2:0.04`.
        `environment` is what it gets beside the study's.
        """
        self._commands += 1
        marks, log = (self.logs / f"{self._commands:03}.{name}" for name in ("marks", "log"))
        with log.open("wb") as writing:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.faults.marked", *arguments],
                cwd=self.project,
                env={**self.environment, **environment, MARKS: str(marks), HOLD: hold, KILL: kill},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
            )
        return Command(process, marks, log)

    def sweep(self, *options: str, **how: Any) -> Command:
        """Starts the sweep, or goes on with it, as `start` does."""
        return self.start("sweep", "sweep.yaml", "--device", "cpu", *options, **how)

    def finish(self, *options: str, tries: int = 3, **how: Any) -> list[str]:
        """Runs the same command until it succeeds. Returns what is wrong with that."""
        for _ in range(tries):
            command = self.sweep(*options, **how)
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
        expected = {} if reference is None else reference.logged
        twice_logged = {
            signature: more
            for signature, ids in finished.items()
            if expected and (more := logged(self.uri, ids[0]) - expected[signature, fps])
        }
        found.once = sum(len(ids) == 1 and signature not in twice_logged for signature, ids in finished.items())
        found.notes += [
            f"{signature[:8]}: logged twice: {sorted(more)[:3]}" for signature, more in twice_logged.items()
        ]
        if twice := [ids for ids in finished.values() if len(ids) > 1]:
            found.notes.append(f"{len(twice)} cells are finished more than once")
        if (kept := overviews(self.uri)) > 1:
            found.notes.append(f"{kept} overviews")
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
        left = [*map(str, sorted(self.leftovers())), *self.processes()]
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
        states, caches = sorted(self.folder.glob("state*")), sorted(self.folder.glob("cache*"))
        for state in states:
            yield from (state / "cogx-runs" / "spool").glob("*/*")
        for cache in caches:
            yield from (cache / "cogx-runs").rglob("*.part")
            yield from (cache / "cogx-runs" / "locks").glob("*.holder")
        for place in (self.project, *caches, *states):
            yield from place.rglob("*.unfinished")
            yield from place.rglob(".cogx-runs-*")

    def processes(self) -> Iterator[str]:
        """Finds the processes that the study's commands have left behind; those that are ending have some seconds."""
        own = [process for process in psutil.process_iter() if self._has_begun(process)]
        for process in psutil.wait_procs(own, timeout=ENDING_S)[1]:
            with suppress(psutil.Error):
                yield f"process {process.pid}: {' '.join(process.cmdline())[:100]}"

    def _has_begun(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.environ().get("TMPDIR") == str(self.tmp)
        return False

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
        self.logged: dict[tuple[str, int], Counter[str]] = {}
        """What was logged of each cell, by its signature and frame rate."""

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
                self.logged[run.signature, fps] = logged(self._study.uri, run.run_id)

    def knows(self, fps: int) -> bool:
        """Tells whether it has the cells of this frame rate."""
        return any(known == fps for _, known in self._files)

    def is_same(self, signature: str, fps: int, files: Path) -> bool:
        """Tells whether a cell's files are byte for byte the same, latents where it has its own."""
        expected, found = self._files.get((signature, fps), {}), _digests(files)
        return VIDEO in found and all(expected.get(name, digest) == digest for name, digest in found.items())


def logged(uri: str, run_id: str) -> Counter[str]:
    """Counts what a run has of each metric and step, and the files of each of its folders. Steps of the denoising that
    are told while it lasts are left out: they are written anew by who takes a cell over."""
    client = MlflowClient(tracking_uri=uri)
    found: Counter[str] = Counter()
    for key in client.get_run(run_id).data.metrics.keys() - {"current_step"}:
        found.update(f"{key} at step {point.step}" for point in client.get_metric_history(run_id, key))
    folders: list[str | None] = [None]
    while folders:
        for entry in client.list_artifacts(run_id, folder := folders.pop()):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                found[f"file of {folder or 'the run'}"] += 1
    return found


def overviews(uri: str) -> int:
    """Counts the overviews of the experiment."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(SWEEP)
    assert experiment is not None, "a study has its experiment"
    return len(client.search_runs([experiment.experiment_id], f"tags.`{KIND}` = '{OVERVIEW_KIND}'"))


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
