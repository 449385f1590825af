"""Opens a store, by a function for each kind of address: a server's, a database's, a SQLite file's."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock

from cogx_runs.errors import CogxError
from cogx_runs.system.disk import cache_directory
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.locations import Locations, set_right, settle
from cogx_runs.tracking.sqlite_file import holds_store
from cogx_runs.tracking.stored import StoredRuns
from cogx_runs.tracking.tables import SqliteDatabase, Tables
from cogx_runs.tracking.thread import STORE_THREAD
from cogx_runs.tracking.uri import is_server, sqlite_path, sqlite_uri, without_password


@dataclass(frozen=True)
class OpenedStore:
    """A store that has answered."""

    stored: StoredRuns
    """Reads it."""
    locations: Locations = Locations()  # noqa: RUF009 (frozen)
    """The places of artifacts that are wrong in a store that can only be read."""


def open_store(uri: str, lock: FileLock) -> OpenedStore:
    """Opens the store at a resolved address; a SQLite file that does not exist yet is made.

    Raises CogxError, in one line, where it cannot be reached or opened.
    """
    path = sqlite_path(uri)
    if path is not None:
        return _open_sqlite(path, lock)
    from cogx_runs.tracking.mlflow_api import open_database, open_server

    return OpenedStore(open_server(uri) if is_server(uri) else open_database(uri, lock))


@contextmanager
def served_uri(uri: str) -> Iterator[str]:
    """Gives the address that a server of a store is to read from: the store's own, or that of a copy for as long as the
    block runs, where the artifacts were moved with a store that can only be read."""
    path = sqlite_path(uri)
    wrong = Locations() if path is None else STORE_THREAD.call(partial(settle, path))
    if path is None or not (wrong.runs or wrong.experiments):
        yield uri
        return
    with temporary_folder() as folder:
        copy = folder / path.name
        shutil.copyfile(path, copy)
        STORE_THREAD.call(partial(set_right, copy, wrong))
        yield sqlite_uri(copy)


def store_lock(uri: str) -> FileLock:
    """Returns the lock that all processes of this host share for one store, by whichever link they name its file."""
    path = sqlite_path(uri)
    name = without_password(uri) if path is None else sqlite_uri(path.resolve())
    file = cache_directory() / "locks" / f"{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:16]}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(file)


def _open_sqlite(path: Path, lock: FileLock) -> OpenedStore:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise CogxError(f"{path!r}: is not UTF-8, in which MLflow keeps paths; work in another folder") from error
    with lock:
        if not holds_store(path):
            _create(path.resolve())
        settled = STORE_THREAD.call(partial(settle, path))
        return OpenedStore(_reads_sqlite(path), settled)


def _reads_sqlite(path: Path) -> StoredRuns:
    """Reads a SQLite store by its tables, or where those are another MLflow's, by its API."""
    uri = sqlite_uri(path)
    tables = Tables(SqliteDatabase(path, uri), uri)
    if tables.are_known():
        return tables
    from cogx_runs.tracking.mlflow_api import open_checked

    return open_checked(uri)


def _create(path: Path) -> None:
    """Makes a SQLite store: in a second file first, so that a crash leaves no incomplete one."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:  # MLflow would retry for minutes
        unfinished.unlink(missing_ok=True)
        unfinished.touch()
    except OSError as error:
        raise CogxError(
            f"{path.parent}: cannot be written ({error.strerror}); work in another folder, or set MLFLOW_TRACKING_URI"
        ) from error
    from cogx_runs.tracking.mlflow_api import open_checked

    open_checked(sqlite_uri(unfinished))
    unfinished.replace(path)
