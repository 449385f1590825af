"""MLflow's server as the dashboard, and the addresses in it."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from cogx_runs.errors import CogxError
from cogx_runs.hardware import cache_directory
from cogx_runs.tracking.uri import is_server, tracking_uri

READY_WITHIN_S = 90
USUAL_PORT = 5050
LIGHT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Without its job runners and their processes the server takes a fifth of the memory."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Never by a proxy to this very host."""


@dataclass(frozen=True)
class Dashboard:
    """A server that answers."""

    address: str
    """The page to open."""
    url: str
    """That of the server."""
    process: subprocess.Popen[bytes] | None
    """None for a server that was there already."""

    def wait(self) -> None:
        """Return when the server has ended; at once for one that was there already."""
        if self.process is not None:
            self.process.wait()


@contextmanager
def serve(page: str = "/#/experiments", *, uri: str | None = None, port: int | None = None) -> Iterator[Dashboard]:
    """MLflow's server for a tracking store, on 127.0.0.1, ended with the block; a store that is itself a server is
    only pointed at.

    Its `address` is that of the page. Raises CogxError where it does not answer.
    """
    resolved = tracking_uri(uri)
    if is_server(resolved):
        url = resolved.rstrip("/")
        yield Dashboard(url + page, url, None)
        return
    port = _free_port() if port is None else _check_port(port)
    arguments = ["--backend-store-uri", resolved, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *arguments],
            env=os.environ | LIGHT,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url, said)
            _record(resolved).write_text(url, encoding="utf-8")
            yield Dashboard(url + page, url, process)
        finally:
            _record(resolved).unlink(missing_ok=True)
            _end(process)


def running(uri: str) -> str | None:
    """The address of a server for this store: the store itself, or one that `serve` has started and that answers."""
    if is_server(uri):
        return uri.rstrip("/")
    record = _record(uri)
    try:
        url = record.read_text(encoding="utf-8")
        with _DIRECT.open(f"{url}/health", timeout=2):
            return url
    except (OSError, ValueError):
        return None


def comparison(experiment_ids: Sequence[str]) -> str:
    """The page of the runs of several experiments, after the address of the server."""
    return f"/#/compare-experiments/s?experiments={quote(json.dumps(list(experiment_ids)))}"


def _record(uri: str) -> Path:
    """Where the address of the store's server is kept while it runs."""
    folder = cache_directory() / "servers"
    folder.mkdir(exist_ok=True)
    return folder / hashlib.sha256(uri.encode()).hexdigest()[:16]


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, said: IO[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise CogxError(f"mlflow server ended at once: {lines[-1] if lines else 'it said nothing'}")
        try:
            with _DIRECT.open(f"{url}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise CogxError(f"mlflow server did not answer within {READY_WITHIN_S} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and the workers that it started, which share its session."""
    for signal_number in (15, 9):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    """The usual one where it is free, since browsers keep what a user closed or chose for an address."""
    with suppress(CogxError):
        return _check_port(USUAL_PORT)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CogxError(f"--port {port}: cannot be used ({error.strerror}); leave it out for a free one") from error
    return port
