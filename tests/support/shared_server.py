"""The shared tracking server as `make server` starts it: MLflow with a login on a real PostgreSQL."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.login_server import PASSWORD, wait_until_ready
from tests.support.paths import ROOT

NAME = "mlflow.example.org"
"""Its name behind a proxy."""


@contextmanager
def shared_server(folder: Path, workers: int = 2) -> Iterator[str]:
    """Runs it with its files in a folder. Gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = {
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": str(workers),
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port}, {NAME}",
    }
    unset = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | settings
    output = folder / "server.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "server/start.py", str(folder / "data")],
            cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_ready(url, process, output)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
