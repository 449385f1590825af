"""What a server answers that takes nothing, each in one line."""

import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from cogx_runs.errors import StoreError, StoreUnavailableError
from cogx_runs.tracking.client import call_store
from cogx_runs.tracking.reader import RunReader
from tests.support.certificates import self_signed
from tests.support.login_server import proxy, with_login

Answering = Callable[..., str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Start a server that answers its health and everything else so; returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(health: int, status: int, body: str = "", certificate: Path | None = None) -> str:
        class Answer(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.send_response(health if self.path == "/health" else status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_POST = do_PUT = _answer  # noqa: N815 (http.server's names)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Answer))
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            servers[-1].socket = context.wrap_socket(servers[-1].socket, server_side=True)
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,)).start()
        return f"{'http' if certificate is None else 'https'}://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("health", [200, 401, 403, 404, 500])
def test_whatever_a_server_answers_of_its_health_it_is_there(answering: Answering, health: int) -> None:
    assert RunReader(answering(health, 200, "{}")).experiment_names() == []


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, "no", r"does not accept the login \(HTTP 401\); set MLFLOW_TRACKING_USERNAME and "),
        (403, "no", r"the login may not do this \(HTTP 403\)"),
        (
            403,
            "Invalid Host header - possible",
            r"is not known there by this name \(HTTP 403\); add it to MLFLOW_SERVER_A",
        ),
        (404, "<html>\n", "answers with a web page, as no tracking server does; check the address"),
        (200, "<html>\n", "answers with a web page, as no tracking server does; check the address"),
    ],
)
def test_what_a_server_refuses_is_one_line_without_the_password(
    answering: Answering, status: int, body: str, message: str
) -> None:
    url = answering(200, status, body)

    with pytest.raises(StoreError, match=f"^tracking store {url}: {message}") as raised:
        RunReader(with_login(url, "pl4nted"))

    assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # as asked for
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_INSECURE_TLS"])
def test_a_server_with_a_certificate_of_its_own_is_used_where_that_is_trusted(
    answering: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    certificate = self_signed(tmp_path / "own.pem")
    url = answering(200, 200, "{}", certificate)
    message = f"^tracking store {url}: its certificate is not trusted .*MLFLOW_TRACKING_SERVER_CERT_PATH$"
    with pytest.raises(StoreError, match=message):
        RunReader(url)

    monkeypatch.setenv(variable, "true" if variable.endswith("TLS") else str(certificate))

    assert RunReader(url).experiment_names() == []


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [(404, StoreError, "has no such file (HTTP 404)"), (500, StoreUnavailableError, "The following failures")],
)
def test_a_server_without_an_artifact_is_not_away(
    tmp_path: Path, status: int, kind: type[StoreError], said: str
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"files": []}' if "?path=" in self.path else b"{}"
            self.send_response(200 if "?path=" in self.path else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        artifacts = get_artifact_repository(f"{url}/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts")
        with pytest.raises(StoreError) as raised:
            call_store(url, partial(artifacts.download_artifacts, "video.mp4", str(tmp_path)))
        server.shutdown()

    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"tracking store {url}: {said}")


def test_a_file_that_the_proxy_takes_for_too_large_is_one_line(answering: Answering, tmp_path: Path) -> None:
    url = answering(200, 413)
    artifacts = get_artifact_repository(f"{url}/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts")
    (tmp_path / "video.mp4").write_bytes(b"video")

    with pytest.raises(StoreError, match=r"takes no file of this size \(HTTP 413\).*client_max_body_size") as raised:
        call_store(url, partial(artifacts.log_artifact, str(tmp_path / "video.mp4")))

    assert type(raised.value) is StoreError, "tried again it would be refused again"


def test_a_proxy_whose_server_is_away_is_no_server() -> None:
    with proxy("http://127.0.0.1:1", "/mlflow") as url:
        message = f"^tracking store {url}: no server behind the proxy \\(HTTP 502\\)"
        with pytest.raises(StoreUnavailableError, match=message):
            RunReader(url)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://me:pl4nted@127.0.0.1:1", "http://127.0.0.1:1: .*Connection refused"),
        ("http://me:pl4nted@no-such.invalid", "http://no-such.invalid: .*"),
        ("http://me:pl4nted@[::1", r"http://\[::1: is no address"),
    ],
)
def test_an_address_where_nobody_is_is_told_without_the_password(address: str, said: str) -> None:
    with pytest.raises(StoreError, match=f"^tracking store {said}") as raised:
        RunReader(address)

    assert "pl4nted" not in str(raised.value)
