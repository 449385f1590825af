"""A real MLflow server that a test kills and starts again, with the same store and port."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from cogx_runs.dashboard.server import LIGHT
from cogx_runs.tracking.client import answers

STARTS_WITHIN_S = 60


class KillableServer:
    """`mlflow server` on a SQLite file of a folder, with artifacts by way of the server; a context manager that ends
    it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "KillableServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db",
                "--artifacts-destination", str(self._folder / "artifacts"), "--host", "127.0.0.1",
                "--port", str(self._port), "--workers", "1",
            ],
            env=os.environ | LIGHT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not answers(self.url, 1):
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.1)

    def kill(self) -> None:
        """Kills the server with all its workers, as the loss of its machine would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Has the server accept connections and answer nothing, as a network does that swallows packets."""
        self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)
