"""Which tracking store is meant, told without importing MLflow."""

import os
from pathlib import Path

SQLITE = "sqlite:///"
DEFAULT_URI = "sqlite:///mlflow.db"


def tracking_uri(uri: str | None = None) -> str:
    """The given URI, else MLFLOW_TRACKING_URI, else `mlflow.db` in the working folder, as MLflow itself has it.

    The path of a SQLite file is made absolute: MLflow keeps one store a URI for as long as the process lives, and a
    relative one would go on meaning the folder in which it was first used.
    """
    asked = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    path = sqlite_path(asked)
    return asked if path is None else f"{SQLITE}{path}"


def is_server(uri: str) -> bool:
    """Whether a store is a tracking server, which is only pointed at."""
    return uri.startswith(("http://", "https://"))


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of a SQLite store's file; None for a store of another kind."""
    if not uri.startswith(SQLITE):
        return None
    return Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute()


def store_exists(uri: str | None = None) -> bool:
    """Whether there is a store to ask; opening a SQLite one that is not there would create it."""
    path = sqlite_path(tracking_uri(uri))
    return path is None or path.is_file()
