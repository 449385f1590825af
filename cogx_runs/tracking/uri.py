"""Which tracking store is meant, told without importing MLflow."""

import os
from pathlib import Path

DEFAULT_URI = "sqlite:///mlflow.db"


def tracking_uri(uri: str | None = None) -> str:
    """The given URI, else MLFLOW_TRACKING_URI, else `mlflow.db` in the working folder, as MLflow itself has it."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def store_exists(uri: str | None = None) -> bool:
    """Whether there is a store to ask; opening a SQLite one that is not there would create it."""
    resolved = tracking_uri(uri)
    if not resolved.startswith("sqlite:///"):
        return True
    return Path(resolved.removeprefix("sqlite:///").partition("?")[0]).is_file()
