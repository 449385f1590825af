"""What nothing refers to in a tracking store and among its artifacts."""

import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import yaml

from cogx_runs.cleanup.garbage import Garbage, Kind, of_path, remove_path
from cogx_runs.system.disk import size_bytes
from cogx_runs.tracking import artifacts, tags
from cogx_runs.tracking.liveness import is_alive
from cogx_runs.tracking.locations import path_of
from cogx_runs.tracking.reader import RecordedRun
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import is_server, sqlite_path

_REFERENCES = (tags.REUSED_FROM, tags.LATENTS_FROM, tags.PROMOTED_FROM)
"""Tags by which a run names another one."""
_OURS = {artifacts.VIDEO, artifacts.LATENTS, artifacts.CONFIG, artifacts.TRACEBACK, artifacts.REPORT}
"""Artifacts by which a folder is known as a run's of this tool."""
_MAGIC = b"SQLite format 3\0"
_RUN_ID = re.compile(r"[0-9a-f]{32}")


def store_garbage(store: RunStore) -> Iterator[Garbage]:
    """Finds the store's own: runs and experiments that were deleted in MLflow, half files of runs that have ended,
    artifacts without a run. A tracking server keeps its own in order (`mlflow gc` on its host).

    What a finished run names stays, and so does what a living process has begun.
    """
    if is_server(store.uri):
        return
    folders = list(_run_folders(store))  # before the runs are read: a run is there before its folder
    runs = list(store.recorded())
    yield from _deleted(store, runs)
    yield from _partial(store, runs)
    yield from _orphaned(store, folders, {found.run.run_id for found in runs})


def _deleted(store: RunStore, runs: Sequence[RecordedRun]) -> Iterator[Garbage]:
    finished = [found.run for found in runs if found.run.state.is_finished and not found.is_deleted]
    named = {run.tags.get(tag) for run in finished for tag in _REFERENCES}
    kept = set()
    for found in runs:
        is_at_work = found.run.state is RunState.RUNNING and is_alive(found.run.tags)
        if not found.is_deleted or is_at_work or found.run.run_id in named or tags.KIND not in found.run.tags:
            kept.add(found.run.experiment_id)
            continue
        folder = _folder(found)
        what = f"run {found.run.run_id} ({found.run.name}) of {found.run.experiment}"
        size = 0 if folder is None else size_bytes(folder)
        yield Garbage(Kind.DELETED, what, size, partial(_remove_run, store, found, folder))
    for name, experiment_id in store.deleted_experiments().items():
        if experiment_id not in kept and tags.SWEEP_FILE in store.experiment_tags(experiment_id):
            yield Garbage(
                Kind.DELETED, f"experiment {name}", 0, partial(store.remove_experiment_for_good, experiment_id)
            )


def _is_dead(run: TrackedRun) -> bool:
    """Whether a run is open although its process is gone."""
    return run.state is RunState.RUNNING and not is_alive(run.tags)


def _remove_run(store: RunStore, found: RecordedRun, folder: Path | None) -> None:
    """Removes a run's artifacts and then the run: what is interrupted between them is done again."""
    if folder is not None:
        remove_path(folder)
    store.remove_run_for_good(found.run.run_id)


def _partial(store: RunStore, runs: Sequence[RecordedRun]) -> Iterator[Garbage]:
    """Finds files that no tag vouches for: latents whose run has ended before they were whole, and half a new store."""
    for found in runs:
        folder = _folder(found)
        is_over = found.run.state in {RunState.FAILED, RunState.KILLED} or _is_dead(found.run)
        if folder is None or not is_over or found.is_deleted or tags.LATENTS in found.run.tags:
            continue
        latents = folder / "artifacts" / artifacts.LATENTS
        if latents.is_file() and tags.KIND in found.run.tags:
            yield of_path(Kind.PARTIAL, latents)
    path = sqlite_path(store.uri)
    if path is not None:
        for file in sorted(path.resolve().parent.glob(f"{path.resolve().name}.unfinished*")):
            yield of_path(Kind.PARTIAL, file)


def _orphaned(store: RunStore, folders: Sequence[tuple[Path, str]], own: Collection[str]) -> Iterator[Garbage]:
    """Finds artifacts of runs that neither the store, whose run ids are `own`, nor a database beside it knows."""
    path = sqlite_path(store.uri)
    if path is None or not folders:
        return
    known = set(own)
    for beside in sorted({path.parent, path.resolve().parent, *(folder.parents[2] for folder, _ in folders)}):
        for file in filter(_is_database, sorted(beside.iterdir())):
            try:
                known |= _run_ids(file)
            except sqlite3.DatabaseError:  # whose the artifacts are cannot be told
                return
    since = store.begun_ms() / 1000
    for folder, experiment in folders:
        # Artifacts that are older than the store are those of one that was there before it.
        if folder.name not in known and folder.stat().st_mtime >= since and _is_of(folder, experiment):
            yield of_path(Kind.ORPHANED, folder)


def _run_folders(store: RunStore) -> Iterator[tuple[Path, str]]:
    """Lists the folders of runs in the places of the store's experiments, with the name of each one's experiment."""
    for experiment, location in store.locations().items():
        place = path_of(location)
        if place is not None and place.is_dir():
            for folder in sorted(place.iterdir()):
                if re.fullmatch(_RUN_ID, folder.name) and folder.is_dir():
                    yield folder, experiment


def _is_of(folder: Path, experiment: str) -> bool:
    """Whether a run's folder holds artifacts of this tool, made in an experiment of this name as far as they say."""
    inside = folder / "artifacts"
    names = {file.name for file in inside.iterdir()} if inside.is_dir() else set()
    if not names & _OURS:
        return False
    if artifacts.CONFIG not in names:
        return True
    try:
        made = yaml.safe_load((inside / artifacts.CONFIG).read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        return False
    return isinstance(made, dict) and made.get("sweep") == experiment


def _is_database(file: Path) -> bool:
    """Whether a file is one of SQLite, whatever it is called, or is called as one."""
    if not file.is_file():
        return False
    with file.open("rb") as reading:
        return file.suffix == ".db" or reading.read(len(_MAGIC)) == _MAGIC


def _run_ids(file: Path) -> set[str]:
    """Reads the ids of all runs of a SQLite file; none where it is no store."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchall():
            return set()
        return {run_id for (run_id,) in database.execute("SELECT run_uuid FROM runs")}


def _folder(found: RecordedRun) -> Path | None:
    """The folder of a run, which holds its `artifacts`; None where it is not on this machine's disks."""
    place = path_of(found.location)
    return None if place is None or place.parent.name != found.run.run_id else place.parent
