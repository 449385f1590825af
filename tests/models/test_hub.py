"""Whether the hub answers, and for how long an answer holds."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from cogx_runs.models.hub import KEPT_S, Reachability


class Nothing(BaseHTTPRequestHandler):
    """Answers that there is nothing here, and counts how often it was asked."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Stays quiet."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(port: int) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", port), Nothing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_hub_that_comes_back_is_seen_and_one_that_answers_is_asked_once_in_a_while() -> None:
    port, now = free_port(), 1000.0
    hub = Reachability(f"http://127.0.0.1:{port}", clock=lambda: now)
    away = f"http://127.0.0.1:{port} does not answer (ConnectionRefusedError)"
    assert hub.fault() == away

    with serving(port):
        now += KEPT_S
        assert hub.fault() == away
        now += 1
        assert [hub.fault() for _ in range(3)] == [None, None, None]
        assert Nothing.asked == 1

    now += KEPT_S + 1
    assert hub.fault() == away
