"""The URI of the tracking store, resolved without importing MLflow."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from cogx_runs.errors import CogxError

SQLITE = "sqlite:///"
DEFAULT_URI = "sqlite:///mlflow.db"


def tracking_uri(uri: str | None = None) -> str:
    """Resolves the given URI, else MLFLOW_TRACKING_URI, else `mlflow.db` in the working folder, as MLflow does.

    The path of a SQLite file is made absolute: MLflow keeps one store per URI for as long as the process lives, and a
    relative one would stay bound to the folder in which it was first used.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    path = sqlite_path(chosen)
    return chosen if path is None else f"{SQLITE}{path}"


def is_server(uri: str) -> bool:
    """Checks whether a store is a tracking server."""
    return uri.startswith(("http://", "https://"))


def sqlite_path(uri: str) -> Path | None:
    """Returns the absolute path of a SQLite store's file; None for any other store."""
    if not uri.startswith(SQLITE):
        return None
    return Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute()


def without_password(uri: str) -> str:
    """Returns the address of a store as it may be shown and kept: without the user's name and password."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return uri if host == parts.netloc else parts._replace(netloc=host).geturl()


def store_exists(uri: str | None = None) -> bool:
    """Checks whether a store exists, since opening a missing SQLite store would create it."""
    path = sqlite_path(tracking_uri(uri))
    return path is None or path.is_file()


def require_store(uri: str | None = None) -> None:
    """Raises CogxError where there is no store to read; none is created."""
    if not store_exists(uri):
        raise CogxError("no runs yet: there is no tracking store here; `cogx-runs sweep FILE` creates one")
