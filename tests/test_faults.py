"""The bench of docs/reliability.md: its rows, its document, and the marks by which faults find their phase."""

import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest
import requests

from benchmarks.faults.__main__ import DOCUMENT, chosen, written_into
from benchmarks.faults.marked import DECODING, DENOISING, ENCODING, HELD, LOGGING, SCORING, START, WRITING
from benchmarks.faults.network import Cut, Proxy
from benchmarks.faults.rows import HEADER, all_rows
from benchmarks.faults.study import Models, Study, Tally


class Answering(ThreadingHTTPServer):
    """Answers every request, and counts them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.heard = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Answering)
        self.server.heard += 1
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_each_row_has_a_name_of_its_own_and_is_chosen_by_how_it_begins() -> None:
    names = [row.name for row in all_rows()]

    assert len(set(names)) == len(names)
    assert [row.name for row in chosen(["server", "runners-2"])] == [
        "server-never", "server-again", "server-silent", "runners-2",
    ]  # fmt: skip
    assert [row.name for row in chosen([])] == names


def test_rows_are_put_into_the_document_in_order_and_others_stay() -> None:
    kills, *_, runners = all_rows()
    tally = Tally(injected=105, cells=12, once=12, decoded=12, right=11)

    first = written_into("# Title\n<!-- faults -->\n<!-- end -->\nrest\n", {runners.name: runners.written(tally)})
    both = written_into(first, {kills.name: kills.written(tally)})

    head, _, rest = both.partition("<!-- faults -->\n")
    assert (head, rest.partition("<!-- end -->")[2]) == ("# Title\n", "\nrest\n")
    lines = rest.partition("\n<!-- end -->")[0].splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {kills.fault}", f"| {runners.fault}"]
    assert lines[2].endswith("| 105 | 12 | 12 | 12 | 11 | 0 | 0 | 0 | `make faults ONLY=kills` |")
    assert {line.count(" | ") for line in lines[2:]} == {len(HEADER) - 1}
    assert "<!-- faults -->\n| fault |" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize(("cut", "heard"), [("reset", [1, 2]), ("unanswered", [2, 3]), ("swallowed", [1, 3])])
def test_the_network_is_cut_at_the_request_that_was_drawn_until_it_is_mended(cut: Cut, heard: list[int]) -> None:
    with Answering() as server, Proxy(server.server_address[1]) as proxy:
        proxy.lose(cut, after=1)

        assert requests.get(proxy.url, timeout=5).status_code == 200
        with pytest.raises(requests.RequestException):
            requests.get(proxy.url, timeout=0.1)
        assert (server.heard, proxy.cuts) == (heard[0], 1)
        proxy.mend()
        assert requests.get(proxy.url, timeout=5).status_code == 200
        ends = time.monotonic() + 5
        while server.heard < heard[1] and time.monotonic() < ends:  # what was held comes late
            time.sleep(0.01)
        assert server.heard == heard[1]


@pytest.mark.slow
def test_a_real_command_marks_each_of_its_phases_and_waits_at_the_one_that_is_held(
    tmp_path: Path, tiny_model: Path, tiny_clip: Path
) -> None:
    study = Study(tmp_path / "study", Models(tiny_model, tiny_clip), cells=2)

    command = study.sweep(hold=f"{DECODING}:2")

    assert command.is_held()
    assert command.marks[0] == START
    assert command.marks[-1] == f"{HELD} {command.process.pid}"
    assert {ENCODING, DENOISING, DECODING, WRITING, SCORING, LOGGING} <= set(command.marks)
    assert command.marks.count(DECODING) == 2
    command.go_on()
    assert command.end() == 0
    assert study.check() == Tally(cells=2, once=2, decoded=2, right=2)


@pytest.mark.slow
def test_a_real_command_kills_itself_while_the_phase_lasts_and_not_after_it(
    tmp_path: Path, tiny_model: Path, tiny_clip: Path
) -> None:
    study = Study(tmp_path / "study", Models(tiny_model, tiny_clip), cells=2)

    command = study.sweep(kill=f"{DENOISING}:2:0.001")

    assert command.end() == -signal.SIGKILL
    assert command.marks.count(DENOISING) == 2
    assert study.sweep(kill=f"{SCORING}:1:60").end() == 0
    assert study.check() == Tally(cells=2, once=2, decoded=2, right=2)
