"""Where the artifacts of a SQLite store lie, set right after its folder was moved or copied.

MLflow keeps absolute places and has no call that changes one, so that its rows are written here.
"""

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlparse

from cogx_runs.errors import CogxError, StoreError
from cogx_runs.formatting import count
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.sqlite_file import advice_on_damage, is_writable
from cogx_runs.tracking.tags import LATENTS

_log = logging.getLogger(__name__)
_EXPERIMENTS = "SELECT experiment_id, artifact_location FROM experiments WHERE artifact_location IS NOT NULL"
_OF_RUNS = """SELECT DISTINCT substr(artifact_uri, 1, length(artifact_uri) - length(run_uuid) - length('//artifacts'))
    FROM runs WHERE artifact_uri LIKE '%/' || run_uuid || '/artifacts'"""
"""The folders that hold those of runs, each once."""
_RUNS = f"""SELECT run_uuid, artifact_uri,
    status = '{RunState.FINISHED}' OR run_uuid IN (SELECT run_uuid FROM tags WHERE key = '{LATENTS}')
    FROM runs WHERE substr(artifact_uri, 1, ?) = ?"""
"""Each run whose place begins so, with its place, and whether it is known to keep anything there."""


def location_of(path: Path) -> str:
    """Writes a folder as MLflow keeps the place of artifacts: it resolves escapes in plain paths too."""
    return str(path).replace("%", "%25")


def path_of(location: str) -> Path | None:
    """Reads the place of artifacts as MLflow does; None for one that is not on this machine's disks."""
    if location.startswith("file:///"):
        return Path(unquote(urlparse(location).path))
    return Path(unquote(location)) if location.startswith("/") else None


@dataclass(frozen=True)
class Locations:
    """The places of artifacts that are not where the store says."""

    experiments: Mapping[str, str] = field(default_factory=dict)
    """The right place by the id of an experiment."""
    runs: Mapping[str, str] = field(default_factory=dict)
    """The right place by the id of a run."""
    notes: tuple[str, ...] = ()
    """What a user should know of them, a line each."""


def settle(path: Path) -> Locations:
    """Sets right the places of artifacts that were moved or copied with the store, and says so.

    Returns those that stay wrong because the store can only be read. Raises StoreError for a damaged database.
    """
    can_write = is_writable(path)
    try:
        with closing(_connect(path)) as database:
            found = find_moved(database, path)
            if can_write:
                _write(database, found)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {error}{advice_on_damage(str(error), path)}") from error
    for note in found.notes:
        _tell(f"{path}: {note}")
    return Locations() if can_write else found


def set_right(path: Path, right: Locations) -> None:
    """Writes the right places of artifacts into a store."""
    with closing(_connect(path)) as database:
        _write(database, right)


def check_location(experiment: str, location: str, path: Path | None) -> None:
    """Raises CogxError where the folder is gone in which an experiment's artifacts would be made, unless it is that of
    the store's file."""
    place = path_of(location)
    is_beside = path is not None and place is not None and place.is_relative_to(path.parent)
    if place is not None and not is_beside and not place.parent.parent.exists():
        raise CogxError(
            f"experiment {experiment!r}: its artifacts are in {place}, which is not there; mount its disk, copy the "
            f"folder {place.parent.name} beside the store's file, or give the sweep another name"
        )


def missing_disk(place: Path) -> Path | None:
    """Finds where the disk of a folder is not mounted: an empty folder, hidden files aside, or a link to what is not
    there, at the folder itself or the nearest above it. None where it is there, or was removed from among others."""
    for folder in (place, *place.parents):
        try:
            if folder.is_dir():
                return None if any(not one.name.startswith(".") for one in folder.iterdir()) else folder
        except OSError:  # it is there, and cannot be read
            return None
        if folder.is_symlink():
            return folder
    return None


@dataclass
class _Root:
    """What the store says to lie below one folder elsewhere."""

    experiments: dict[str, Path] = field(default_factory=dict)
    """The place by the id of an experiment."""
    places: dict[str, Path] = field(default_factory=dict)
    """The folders that hold those of runs, by what the store writes for them."""
    runs: dict[str, Path] = field(default_factory=dict)
    """The place by the id of a run."""
    keeps: bool = False
    """Whether any of the runs is known to keep something there."""

    def read_runs(self, database: sqlite3.Connection) -> None:
        """Reads the runs, of which there may be many thousand."""
        for location in self.places:
            for run_id, uri, keeps in database.execute(_RUNS, [len(location) + 1, f"{location}/"]):
                place = path_of(uri)
                if place is not None:
                    self.runs[run_id] = place
                    self.keeps |= bool(keeps)


def find_moved(database: sqlite3.Connection, path: Path) -> Locations:
    """Finds the artifacts of a store that lie below its own folder, while the store names another one."""
    experiments: dict[str, str] = {}
    runs: dict[str, str] = {}
    notes = []
    for root, there in _elsewhere(database, path.parent).items():
        new_root = _new_root(database, path, root, there)
        if new_root is None:
            if there.keeps and not root.parent.exists():
                notes.append(f"the artifacts of {count(len(there.runs), 'run')} are in {root}, which is not there")
            continue
        moved = {run_id: place for run_id, place in there.runs.items() if _is_moved(new_root, root, place)}
        for found, places in ((experiments, there.experiments), (runs, moved)):
            found |= {key: location_of(new_root / place.relative_to(root)) for key, place in places.items()}
        left = len(there.runs) - len(moved)
        also = f"; those of {count(left, 'run')} are only there, and are left alone" * bool(left)
        if moved or (there.runs and there.experiments):
            notes.append(f"the folder was moved or copied: artifacts are taken from {new_root}, not from {root}{also}")
    remote = [location for _, location in database.execute(_EXPERIMENTS) if path_of(location) is None]
    if experiments and remote:
        notes.append(f"artifacts that are not on this machine's disks are left alone: {', '.join(remote)}")
    return Locations(experiments, runs, tuple(notes))


def _new_root(database: sqlite3.Connection, path: Path, root: Path, there: _Root) -> Path | None:
    """Finds the folder in the store's own one that is to be taken in the place of one elsewhere; None for none.

    It is one that holds a run of the other. Where there is none, new runs belong beside the store if the other folder
    is that of another store, of which this one is a copy, or if it is gone and nothing was kept in it.
    """
    candidates = list(_candidates(path.parent, root, there))
    other = root.parent / path.name
    if not candidates and root.parent.exists() and not other.is_file():
        return None
    there.read_runs(database)
    for new in candidates:
        if any(_is_here(new, root, place) for place in there.runs.values()):
            return new
    is_mine = _is_copied(path, other, there) if root.parent.exists() else not there.keeps
    return path.parent / root.name if is_mine else None


def _elsewhere(database: sqlite3.Connection, own: Path) -> dict[Path, _Root]:
    """Reads the places that are not below the store's own folder, by the folder that holds those of the experiments."""
    here = {own, own.resolve()}
    roots: dict[Path, _Root] = {}
    for key, location in [*database.execute(_EXPERIMENTS), *((None, found) for (found,) in database.execute(_OF_RUNS))]:
        place = path_of(location)
        if place is not None and not any(map(place.is_relative_to, here)):
            root = roots.setdefault(place.parent, _Root())
            root.places[location] = place
            if key is not None:
                root.experiments[str(key)] = place
    return roots


def _candidates(own: Path, root: Path, there: _Root) -> Iterator[Path]:
    """Lists the folders in the store's own one that may be the other one, by the ends of its path, longest first."""
    for start in range(1, len(root.parts) + 1):
        new = own.joinpath(*root.parts[start:])
        is_same = root.exists() and new.is_dir() and new.samefile(root)
        if not is_same and any((new / place.name).is_dir() for place in there.places.values()):
            yield new


def _is_moved(new_root: Path, root: Path, place: Path) -> bool:
    """Whether a run's artifacts are here, or at neither place."""
    return _is_here(new_root, root, place) or not place.exists()


def _is_here(new_root: Path, root: Path, place: Path) -> bool:
    """Whether a run's folder, which holds its `artifacts`, is below the new one."""
    return (new_root / place.relative_to(root)).parent.is_dir()


def _is_copied(path: Path, other: Path, there: _Root) -> bool:
    """Whether the store beside the old folder is another file with the same runs."""
    if not there.runs or not other.is_file() or other.samefile(path):
        return False
    try:
        with closing(_connect(other, "ro")) as database:
            return bool(database.execute("SELECT 1 FROM runs WHERE run_uuid = ?", [next(iter(there.runs))]).fetchall())
    except sqlite3.DatabaseError:
        return False


def _connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Opens the database of a store; one that does not exist is not created."""
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=20)


def _write(database: sqlite3.Connection, found: Locations) -> None:
    with database:  # one transaction
        for table, column, key, places in (
            ("experiments", "artifact_location", "experiment_id", found.experiments),
            ("runs", "artifact_uri", "run_uuid", found.runs),
        ):
            rows = [(place, name) for name, place in places.items()]
            database.executemany(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", rows)


@cache
def _tell(message: str) -> None:
    """Says it once in the life of a process, which opens a store several times."""
    _log.warning(message)
