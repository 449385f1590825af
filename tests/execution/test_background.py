"""Work in the background: how much of it waits, and who is told what it came to."""

import threading
from collections.abc import Callable

import pytest

from cogx_runs.execution.background import Background


def waits(gate: threading.Event, result: str) -> Callable[[], str]:
    def work() -> str:
        assert gate.wait(60)
        return result

    return work


def fails() -> str:
    raise ConnectionError("gone")


def test_room_is_made_by_waiting_until_no_more_than_two_pieces_are_left() -> None:
    ended: dict[int, str] = {}
    gates = [threading.Event() for _ in range(3)]

    with Background[str](2) as background:
        for place, gate in enumerate(gates):
            background.submit(place, waits(gate, f"video {place}"))
        threading.Timer(0.2, gates[1].set).start()
        background.make_room()
        background.collect(ended.__setitem__)
        assert (ended, background.at_work) == ({1: "video 1"}, [0, 2])
        gates[0].set()
        gates[2].set()
        background.drain()
        background.collect(ended.__setitem__)

    assert ended == {0: "video 0", 1: "video 1", 2: "video 2"}


def test_who_waits_for_the_background_does_not_get_the_error_of_a_cell_but_who_collects_does() -> None:
    ended: dict[int, str] = {}
    gate = threading.Event()
    gate.set()

    with Background[str](2) as background:
        background.submit(0, fails)
        background.submit(1, waits(gate, "video 1"))
        background.drain()
        assert background.at_work == []
        with pytest.raises(ConnectionError, match="gone"):
            background.collect(ended.__setitem__)
        background.collect(ended.__setitem__)

    assert ended == {1: "video 1"}
