"""MLflow's server with a login, and a proxy that serves it under a path."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

USER = "admin"
PASSWORD = "planted/pass@word-1"
ESCAPED = "planted%2Fpass%40word-1"
"""The same in an address."""


@contextmanager
def server_with_login(folder: Path) -> Iterator[str]:
    """Runs `mlflow server --app-name basic-auth` in a folder, which keeps its artifacts too. Gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "signs the cookies of the login",
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    arguments = ["--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    output = folder / "server.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *arguments, *places],
            cwd=folder, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_ready(url, process, output)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(30)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    """Waits for a server that was started to answer; else shows what it has printed."""
    for _ in range(600):
        assert process.poll() is None, output.read_text(errors="replace")
        with suppress(OSError):
            urlopen(f"{url}/health", timeout=5).close()
            return
        time.sleep(0.2)
    raise AssertionError(output.read_text(errors="replace"))


@contextmanager
def proxy(target: str, path: str) -> Iterator[str]:
    """Runs a reverse proxy that serves a server under a path, and nothing else. Gives the address under that path."""
    host = target.removeprefix("http://")

    class Proxy(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            if not self.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
            connection = http.client.HTTPConnection(host, timeout=60)
            try:
                connection.request(self.command, self.path.removeprefix(path), body, sent)
                answer = connection.getresponse()
                content = answer.read()
            except OSError:
                self.send_error(502)
                return
            finally:
                connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{path}"
        finally:
            server.shutdown()
            thread.join()


def with_login(url: str, password: str = ESCAPED) -> str:
    """The address with the user and the password in it."""
    return url.replace("://", f"://{USER}:{password}@")
