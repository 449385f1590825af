"""Opens a store, by a function for each kind of address: a server's, a database's, a SQLite file's."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient

from cogx_runs.errors import CogxError, StoreUnavailableError
from cogx_runs.system.disk import cache_directory
from cogx_runs.tracking.answers import NOBODY_BEHIND, health
from cogx_runs.tracking.client import MLFLOW, call_store, open_client
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.locations import Locations, set_right, settle
from cogx_runs.tracking.sqlite_file import holds_store
from cogx_runs.tracking.uri import is_server, sqlite_path, sqlite_uri, without_password

ANSWER_WITHIN_S = 10


@dataclass(frozen=True)
class OpenedStore:
    """A store that has answered."""

    client: MlflowClient
    locations: Locations = Locations()  # noqa: RUF009 (frozen)
    """The places of artifacts that are wrong in a store that can only be read."""


def open_store(uri: str, lock: FileLock) -> OpenedStore:
    """Opens the store at a resolved address; a SQLite file that does not exist yet is made.

    Raises CogxError, in one line, where it cannot be reached or opened.
    """
    path = sqlite_path(uri)
    if path is not None:
        return _open_sqlite(path, lock)
    return _open_server(uri) if is_server(uri) else _open_database(uri, lock)


@contextmanager
def served_uri(uri: str) -> Iterator[str]:
    """Gives the address that a server of a store is to read from: the store's own, or that of a copy for as long as the
    block runs, where the artifacts were moved with a store that can only be read."""
    path = sqlite_path(uri)
    wrong = Locations() if path is None else MLFLOW.call(partial(settle, path))
    if path is None or not (wrong.runs or wrong.experiments):
        yield uri
        return
    with temporary_folder() as folder:
        copy = folder / path.name
        shutil.copyfile(path, copy)
        MLFLOW.call(partial(set_right, copy, wrong))
        yield sqlite_uri(copy)


def store_lock(uri: str) -> FileLock:
    """Returns the lock that all processes of this host share for one store, by whichever link they name its file."""
    path = sqlite_path(uri)
    name = without_password(uri) if path is None else sqlite_uri(path.resolve())
    file = cache_directory() / "locks" / f"{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:16]}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(file)


def _open_server(uri: str) -> OpenedStore:
    status = call_store(uri, partial(health, uri, ANSWER_WITHIN_S))
    if status in NOBODY_BEHIND:
        raise StoreUnavailableError(
            f"tracking store {without_password(uri)}: no server behind the proxy (HTTP {status})"
        )
    return OpenedStore(_checked(open_client(uri)))


def _open_database(uri: str, lock: FileLock) -> OpenedStore:
    with lock:
        return OpenedStore(_checked(open_client(uri)))


def _open_sqlite(path: Path, lock: FileLock) -> OpenedStore:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise CogxError(f"{path!r}: is not UTF-8, in which MLflow keeps paths; work in another folder") from error
    with lock:
        if not holds_store(path):
            _create(path.resolve())
        return OpenedStore(_checked(open_client(sqlite_uri(path))), MLFLOW.call(partial(settle, path)))


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
    _checked(open_client(sqlite_uri(unfinished)))
    unfinished.replace(path)


def _checked(client: MlflowClient) -> MlflowClient:
    """Has the store answer once."""
    client.search_experiments(max_results=1)
    return client
