"""The file of a SQLite store: whether it is one, looked at without MLflow, which would try a bad one for 90 s."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from cogx_runs.errors import StoreError
from cogx_runs.formatting import count

ARTIFACTS = "mlruns"
"""MLflow's folder of artifacts, beside the file of a store made in the working folder."""
_TABLES = frozenset({"experiments", "runs", "params", "metrics", "tags"})
"""The tables without which a store is none."""
_UNRECOVERED = frozenset({"SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_READONLY_CANTLOCK"})
_DAMAGES = ("malformed", "not a database")
"""SQLite's words for a file that it cannot read as a database."""


def holds_store(path: Path) -> bool:
    """Checks whether a store is there; False where a new one may be made.

    Raises StoreError, in one line, for what can be neither: a link to what is not there, a folder, a file that cannot
    be read or is no store, an empty file beside artifacts.
    """
    try:
        if path.is_symlink() and not path.exists():
            raise StoreError(f"{path}: links to {path.readlink()}, which is not there; mount its disk, or remove it")
        if not path.exists():
            return False
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no file"
            raise StoreError(f"{path}: is {kind} and no tracking store; move it away, or set MLFLOW_TRACKING_URI")
        tables = _tables(path) if path.stat().st_size else set()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); work in another folder") from error
    if not tables:
        _refuse_lost(path)
        return False
    if not tables & _TABLES:
        raise StoreError(f"{path}: is a database of another program; name another file in MLFLOW_TRACKING_URI")
    if missing := sorted(_TABLES - tables):
        raise StoreError(f"{path}: lacks the tables {', '.join(missing)}{_advice(path)}")
    return True


def is_writable(path: Path) -> bool:
    """Checks whether a store can be written: its file, and the folder in which SQLite keeps its journal."""
    return all(os.access(place, os.W_OK) for place in (path, path.resolve().parent))


def needs_recovery(error: sqlite3.Error) -> bool:
    """Checks whether a file cannot be read for a transaction that a killed process left half written: whoever only
    reads cannot take it back."""
    return getattr(error, "sqlite_errorname", "") in _UNRECOVERED


def recover(path: Path) -> None:
    """Takes back the transaction that a killed process left half written. Raises StoreError for a damaged file."""
    _tables(path)


def advice_on_damage(message: str, path: Path) -> str:
    """Returns what to do about a damaged database, by what SQLite says of it; empty for any other fault."""
    return _advice(path) if any(damage in message for damage in _DAMAGES) else ""


def _advice(path: Path) -> str:
    return (
        f"; the database is damaged: put back a copy of {path}, or save what is whole by `sqlite3 {path.name} .recover "
        f"| sqlite3 recovered.db` and give that file its name (the artifacts in {ARTIFACTS} are files of their own)"
    )


def _tables(path: Path) -> set[str]:
    """Reads the names of a database's tables; creates none."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=0.2)) as database:
            return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname == "SQLITE_BUSY":  # MLflow waits for longer
            return set(_TABLES)
        raise StoreError(f"{path}: {error}{advice_on_damage(str(error), path)}") from error


def _refuse_lost(path: Path) -> None:
    """Raises StoreError for an empty file whose runs' artifacts lie beside it."""
    runs = sum(1 for _ in path.parent.glob(f"{ARTIFACTS}/*/*/artifacts"))
    if runs:
        raise StoreError(
            f"{path}: is empty, while {path.parent / ARTIFACTS} holds the artifacts of {count(runs, 'run')}: the "
            "database was lost; put back a copy of it, or remove the file to begin anew"
        )
