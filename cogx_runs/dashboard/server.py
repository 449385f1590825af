"""MLflow's server, and addresses of its pages."""

import ctypes
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

import psutil

from cogx_runs.credentials import without_credentials
from cogx_runs.errors import CogxError
from cogx_runs.system.disk import cache_directory
from cogx_runs.tracking.columns import CELLS, metric_column, quoted
from cogx_runs.tracking.liveness import HeldLock, is_alive
from cogx_runs.tracking.opening import served_uri
from cogx_runs.tracking.uri import is_server, tracking_uri

READY_WITHIN_S = 90
"""Longest wait for a started server to answer."""
USUAL_PORT = 5050
PR_SET_PDEATHSIG = 1
ALL_EXPERIMENTS = "#/experiments"
LIGHT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Environment of the server; without its job runners it takes a fifth of the memory."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses of this host, never through a proxy."""


@dataclass(frozen=True)
class Dashboard:
    """A running MLflow server."""

    address: str
    """Address of the page to open."""
    url: str
    """Address of the server."""
    process: subprocess.Popen[bytes] | None
    """The server's process; None where it ran already."""

    def wait(self) -> None:
        """Waits until the server has ended; returns at once where it ran already."""
        if self.process is not None:
            self.process.wait()


@contextmanager
def serve(page: str = ALL_EXPERIMENTS, *, uri: str | None = None, port: int | None = None) -> Iterator[Dashboard]:
    """Runs MLflow's server for a tracking store on 127.0.0.1 until the block ends; a store that is itself a server is
    used as it is.

    The `address` is that of `page`. Raises CogxError where the server does not answer.
    """
    resolved = tracking_uri(uri)
    if is_server(resolved):
        url = without_credentials(resolved).rstrip("/")
        yield Dashboard(f"{url}/{page}", url, None)
        return
    with tempfile.TemporaryFile() as output, HeldLock() as held, served_uri(resolved) as served:
        process, url = _start(served, port, output)
        record = json.dumps({"url": url, **held.tags})
        try:
            _record(resolved).write_text(record, encoding="utf-8")
            yield Dashboard(f"{url}/{page}", url, process)
        finally:
            if _read(resolved) == record:  # not that of another server for the same store
                _record(resolved).unlink(missing_ok=True)
            _end(process)


def running(uri: str) -> str | None:
    """Returns the address of a server for this store: the store itself, or one that a living process of `serve` runs.

    None where there is no such server.
    """
    if is_server(uri):
        return without_credentials(uri).rstrip("/")
    try:
        record = json.loads(_read(uri))
        return str(record["url"]) if is_alive(record) else None
    except (ValueError, KeyError):
        return None


def _start(uri: str, port: int | None, output: IO[bytes]) -> tuple[subprocess.Popen[bytes], str]:
    """Starts a server on this port or a free one, waits until it answers, and returns it with its address."""
    ports = [_free_port(USUAL_PORT), _free_port(0)] if port is None else [_check_port(port)]
    for chosen in ports:
        arguments = ["--host", "127.0.0.1", "--port", str(chosen), "--workers", "1"]
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *arguments],
            env=os.environ | LIGHT | {"MLFLOW_BACKEND_STORE_URI": uri},  # an argument is seen by every user of the host
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        url = f"http://127.0.0.1:{chosen}"
        try:
            _wait_until_ready(process, url, output)
        except BaseException as error:
            _end(process)
            if not isinstance(error, CogxError) or chosen == ports[-1] or _is_free(chosen):
                raise
        else:
            return process, url
    raise AssertionError("the last port either answers or raises")


def comparison(experiment_ids: Sequence[str]) -> str:
    """Returns the place of the page that shows the runs of several experiments, best CLIP score first.

    MLflow keeps views for single experiments only.
    """
    query = {
        "experiments": json.dumps(list(experiment_ids)),
        "searchFilter": CELLS,
        "orderByKey": quoted(metric_column("clip_score")),
        "orderByAsc": "false",
        "startTime": "ALL",
        "compareRunsMode": "CHART",
        "workflowType": "machine_learning",
    }
    return f"#/compare-experiments/s?{urlencode(query, quote_via=quote)}"


def _read(uri: str) -> str:
    try:
        return _record(uri).read_text(encoding="utf-8")
    except OSError:
        return ""


def _record(uri: str) -> Path:
    """Returns the file that holds the address of the store's server while it runs."""
    folder = cache_directory() / "servers"
    folder.mkdir(exist_ok=True)
    return folder / hashlib.sha256(uri.encode()).hexdigest()[:16]


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, output: IO[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines()
            raise CogxError(f"mlflow server ended at once: {lines[-1] if lines else 'no output'}")
        try:
            with _DIRECT.open(f"{url}/health", timeout=2):
                if _listens(process, url):
                    return
        except (OSError, HTTPException):
            pass
        time.sleep(0.1)
    raise CogxError(f"mlflow server did not answer within {READY_WITHIN_S} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and the workers that it started, which share its session."""
    for signal_number in (15, 9):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _end_with_parent() -> None:
    """Has Linux end this process when the thread that started it is gone, however it died (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _listens(process: subprocess.Popen[bytes], url: str) -> bool:
    """Tests whether this process or one of its children listens there, and not another server."""
    port = int(url.rpartition(":")[2])
    with suppress(psutil.Error):
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        return any(found.laddr.port == port for member in family for found in member.net_connections("tcp"))
    return False


def _free_port(usual: int) -> int:
    """Returns the usual port where it is free, since browsers store a user's choices by address; else any free one."""
    if usual and _is_free(usual):
        return usual
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with suppress(CogxError):
        _check_port(port)
        return True
    return False


def _check_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CogxError(f"--port {port}: cannot be used ({error.strerror}); leave it out for a free one") from error
    return port
