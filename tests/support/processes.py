"""`cogx-runs` in processes of their own, forked from one that has imported torch and MLflow: each starts at once."""

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from cogx_runs.cli import main
from cogx_runs.tracking.spool import spool_directory
from tests.support.fsync import do_without_fsync

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    ["cogx_runs.api", "cogx_runs.execution.local", "mlflow.store.tracking.sqlalchemy_store"]
)

Death = tuple[str, str, int]
"""Kill itself with SIGKILL "before" or "after" the N-th call of this method of MlflowClient."""


def start(*arguments: str, dies: Death | None = None) -> BaseProcess:
    """`cogx-runs` with these arguments in the current folder."""
    process = _FORKING.Process(target=_run, args=(Path.cwd(), arguments, dict(os.environ), dies), daemon=True)
    process.start()
    return process


def ended(process: BaseProcess, timeout_s: float = 120) -> int | None:
    """The exit code, waited for; minus the signal that killed it; None where it is still at work."""
    process.join(timeout_s)
    return process.exitcode


def told_by(process: BaseProcess) -> str:
    """What a process that was started in the current folder has told so far."""
    told = Path(f"{process.pid}.stderr")
    return told.read_text(encoding="utf-8") if told.exists() else ""


def _run(folder: Path, arguments: Sequence[str], environment: dict[str, str], dies: Death | None) -> None:
    gc.freeze()  # these two as in conftest
    do_without_fsync()
    os.chdir(folder)
    os.environ.update(environment)  # else that of the test which began the process that all are forked from
    for stream, name in ((sys.stdout, os.devnull), (sys.stderr, f"{os.getpid()}.stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), stream.fileno())
    if dies is not None:
        _kill_at(*dies)
    sys.argv = ["cogx-runs", *arguments]
    main()


def _kill_at(when: str, method: str, count: int) -> None:
    from mlflow import MlflowClient
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    writer = LocalArtifactRepository if method.startswith("log_artifact") else MlflowClient
    write = getattr(writer, method)
    calls = 0

    def counted(client: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        is_of_cell = writer is MlflowClient or str(spool_directory()) in str(arguments[0])  # not of the overview
        if "KILLED" in arguments or not is_of_cell:  # ending the runs of an earlier process is none of its cells either
            return write(client, *arguments, **options)
        calls += 1
        if when == "before" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        result = write(client, *arguments, **options)
        if when == "after" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    # The command line opens its store itself, and what is to die is a process of it as a user starts one.
    setattr(writer, method, counted)
