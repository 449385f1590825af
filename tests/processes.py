"""`cogx-runs` in processes of their own, forked from one that has imported torch and MLflow: each starts at once."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from cogx_runs.cli import main

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["cogx_runs.study", "cogx_runs.runner", "mlflow.store.tracking.sqlalchemy_store"])

Death = tuple[str, str, int]
"""Kill itself with SIGKILL "before" or "after" the N-th call of this method of MlflowClient."""


def start(folder: Path, *arguments: str, dies: Death | None = None) -> BaseProcess:
    """`cogx-runs` with these arguments in a folder; what it tells stands in `told_by` it."""
    process = _FORKING.Process(target=_run, args=(folder, arguments, dict(os.environ), dies), daemon=True)
    process.start()
    return process


def ended(process: BaseProcess, timeout_s: float = 120) -> int | None:
    """The exit code, waited for; minus the signal that killed it; None where it is still at work."""
    process.join(timeout_s)
    return process.exitcode


def told_by(process: BaseProcess, folder: Path) -> str:
    """The standard error of a process in this folder, as far as it is written."""
    path = _told(folder, process.pid)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _told(folder: Path, pid: int | None) -> Path:
    return folder / f"{pid}.stderr"


def _run(folder: Path, arguments: Sequence[str], environment: dict[str, str], dies: Death | None) -> None:
    os.environ.update(environment)  # else that of the test which began the process that all are forked from
    os.chdir(folder)
    for stream, path in ((sys.stdout, Path(os.devnull)), (sys.stderr, _told(folder, os.getpid()))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
    if dies is not None:
        _kill_at(*dies)
    sys.argv = ["cogx-runs", *arguments]
    main()


def _kill_at(when: str, method: str, count: int) -> None:
    from mlflow import MlflowClient

    write = getattr(MlflowClient, method)
    calls = 0

    def counted(client: MlflowClient, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if "KILLED" in arguments:  # ending the runs of an earlier process is no write of this one's cells
            return write(client, *arguments, **options)
        calls += 1
        if when == "before" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        result = write(client, *arguments, **options)
        if when == "after" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(MlflowClient, method, counted)
