"""The URI of the tracking store, resolved without importing MLflow."""

import os
from pathlib import Path
from urllib.parse import unquote

from cogx_runs.credentials import without_credentials
from cogx_runs.errors import CogxError
from cogx_runs.tracking.sqlite_file import holds_store

SQLITE = "sqlite:///"
SQLITE_ESCAPED = "sqlite+pysqlite:///"
"""The same driver. MLflow makes the parent folder of an address with `SQLITE` before it resolves its escapes."""
DEFAULT_URI = "sqlite:///mlflow.db"


def tracking_uri(uri: str | None = None) -> str:
    """Resolves the given URI, else MLFLOW_TRACKING_URI, else `mlflow.db` in the working folder, as MLflow does.

    The path of a SQLite file is made absolute: MLflow keeps one store per URI for as long as the process lives, and a
    relative one would stay bound to the folder in which it was first used. Raises CogxError for a SQLite URI that
    names no file.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    path = sqlite_path(chosen)
    return chosen if path is None else sqlite_uri(path)


def is_server(uri: str) -> bool:
    """Checks whether a store is a tracking server."""
    return uri.startswith(("http://", "https://"))


def sqlite_path(uri: str) -> Path | None:
    """Returns the absolute path of a SQLite store's file, as SQLAlchemy reads it; None for any other store.

    Raises CogxError for a SQLite URI that names no file.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.partition("+")[0] != "sqlite":
        return None
    name, question, _ = rest.removeprefix("///").partition("?")
    if scheme not in {"sqlite", "sqlite+pysqlite"} or not rest.startswith("///") or question:
        raise CogxError(
            f"tracking store {without_password(uri)}: names no SQLite file; write sqlite:////folder/mlflow.db "
            "or, for one in the working folder, sqlite:///mlflow.db, with a ? in a name as %3F and a % as %25"
        )
    if name in {"", ":memory:"}:
        raise CogxError(
            f"tracking store {without_password(uri)}: would be gone with this process; name a file, as sqlite:///mlflow.db"
        )
    path = unquote(name)
    return Path("/" + path.lstrip("/") if path.startswith("/") else path).absolute()


def sqlite_uri(path: Path) -> str:
    """Writes the URI by which SQLAlchemy and MLflow find a SQLite file with this absolute path."""
    escaped = str(path).replace("%", "%25").replace("?", "%3F")
    return f"{SQLITE if escaped == str(path) else SQLITE_ESCAPED}{escaped}"


def without_password(uri: str) -> str:
    """Returns the address of a store as it may be shown and kept: without the user's name and password."""
    return without_credentials(uri)


def store_exists(uri: str | None = None) -> bool:
    """Checks whether a store exists, since opening a missing SQLite store would create it.

    Raises CogxError for a SQLite file that cannot be one.
    """
    path = sqlite_path(tracking_uri(uri))
    return path is None or holds_store(path)


def require_store(uri: str | None = None) -> None:
    """Raises CogxError where there is no store to read; none is created."""
    if not store_exists(uri):
        raise CogxError("no runs yet: there is no tracking store here; `cogx-runs sweep FILE` creates one")
