"""What the command line answered of the cells of a sweep."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

from cogx_runs.tracking.store import RunStore

Invoke = Callable[..., Result]


def artifacts(run_id: str, folder: Path) -> Path:
    return RunStore().download(run_id, "", folder)


def statuses(result: Result) -> list[str]:
    return [outcome["status"] for outcome in json.loads(result.stdout)["runs"]]


def one(result: Result) -> dict[str, Any]:
    run: dict[str, Any]
    (run,) = json.loads(result.stdout)["runs"]
    return run
