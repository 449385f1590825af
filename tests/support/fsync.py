"""SQLite that does not wait for the disk: the stores of tests need to outlive a process, not a power cut."""

import sqlite3
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, event


def do_without_fsync() -> None:
    """Make it so for every connection that this process opens; waiting took more time than the tests of a store."""
    event.listen(Engine, "connect", _without_fsync)


def _without_fsync(connection: Any, _: object) -> None:
    with suppress(sqlite3.DatabaseError):  # of a file that is no database, which MLflow is to find out
        connection.execute("PRAGMA synchronous = OFF")
