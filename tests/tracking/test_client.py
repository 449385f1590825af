"""Calls of MLflow on a thread of their own, and interrupts that fall into the wait for one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from sqlalchemy import Engine, event

from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.thread import STORE_THREAD


@pytest.fixture(autouse=True)
def handled() -> Iterator[list[int]]:
    """The interrupts that this process has handled, each by raising KeyboardInterrupt."""
    numbers: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        numbers.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    yield numbers
    signal.signal(signal.SIGINT, before)


def interrupting(
    times: int, handled: list[int], ended: list[str], gate: threading.Event | None = None
) -> Callable[[], None]:
    """Work in the midst of which this process is interrupted."""

    def work() -> None:
        for number in range(times):
            time.sleep(0.2)  # the main thread waits by then: a signal just before its wait would not end it
            os.kill(os.getpid(), signal.SIGINT)
            while len(handled) == number:
                time.sleep(0.01)
        if gate is not None:
            assert gate.wait(60)
        ended.append("the call")

    return work


def test_all_calls_are_made_on_one_thread_whoever_makes_them() -> None:
    threads = []
    others = [
        threading.Thread(target=lambda: threads.append(STORE_THREAD.call(threading.current_thread))) for _ in range(3)
    ]
    for other in others:
        other.start()
    for other in others:
        other.join()

    assert {*threads} == {STORE_THREAD.call(threading.current_thread)}
    assert threads[0].name == "store"


def test_work_of_the_thread_makes_calls_of_its_own() -> None:
    assert STORE_THREAD.call(lambda: STORE_THREAD.call(threading.current_thread)) == STORE_THREAD.call(
        threading.current_thread
    )


def test_a_store_is_created_opened_and_written_on_the_thread(project: Path) -> None:
    threads = set()

    def note(*connection: object) -> None:
        threads.add(threading.current_thread().name)

    event.listen(Engine, "connect", note)
    try:
        RunStore("sqlite:///new.db").tag_experiment("0", {"new": "tag"})
    finally:
        event.remove(Engine, "connect", note)

    assert threads == {"store"}


def test_what_a_call_raises_is_raised_where_it_was_asked_for() -> None:
    def fails() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        STORE_THREAD.call(fails)
    assert STORE_THREAD.call(lambda: "the next") == "the next"


def test_an_interrupt_is_raised_after_the_end_of_the_call(handled: list[int]) -> None:
    ended: list[str] = []

    with pytest.raises(KeyboardInterrupt):
        STORE_THREAD.call(interrupting(1, handled, ended))

    assert ended == ["the call"]
    assert STORE_THREAD.call(lambda: "the next") == "the next"


def test_a_second_interrupt_is_raised_at_once_and_the_call_ends_by_itself(handled: list[int]) -> None:
    ended: list[str] = []
    gate = threading.Event()

    with pytest.raises(KeyboardInterrupt):
        STORE_THREAD.call(interrupting(2, handled, ended, gate))

    assert ended == []
    gate.set()
    assert STORE_THREAD.call(lambda: list(ended)) == ["the call"]


def test_a_call_of_another_thread_holds_up_no_interrupt() -> None:
    entered, leave = threading.Event(), threading.Event()

    def waits() -> None:
        entered.set()
        assert leave.wait(60)

    thread = threading.Thread(target=STORE_THREAD.call, args=[waits])
    thread.start()
    assert entered.wait(60)

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)

    leave.set()
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_gets_a_thread_of_its_own() -> None:
    STORE_THREAD.call(lambda: None)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        STORE_THREAD.call(lambda: None)
        os._exit(7)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
