"""Interrupts wait for what must not be cut short, once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from cogx_runs.system.signals import INTERRUPTS, Undisturbed, install, undisturbed


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = sys.__unraisablehook__


def interrupts_now() -> bool:
    """Whether an interrupt is delivered at once, and none still waits."""
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    with undisturbed():
        return True


def test_an_interrupt_waits_for_the_end_of_the_block_and_is_delivered_then() -> None:
    done = []

    @undisturbed()
    def block() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        block()

    assert done == ["the rest"]
    assert interrupts_now()


def test_a_second_interrupt_ends_the_block_at_once() -> None:
    done = []

    @undisturbed()
    def block() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        block()

    assert done == []
    assert interrupts_now()


def test_methods_of_an_undisturbed_object_end_before_the_interrupt() -> None:
    class Counter:
        def __init__(self) -> None:
            self.counted = 0

        def count(self) -> int:
            os.kill(os.getpid(), signal.SIGINT)
            self.counted += 1
            return self.counted

    counter = Counter()

    with pytest.raises(KeyboardInterrupt):
        Undisturbed(counter).count()

    assert counter.counted == 1
    assert interrupts_now()


def test_a_block_of_another_thread_holds_up_no_interrupt() -> None:
    entered, leave = threading.Event(), threading.Event()

    def elsewhere() -> None:
        with undisturbed():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    entered.wait(60)

    assert interrupts_now()

    leave.set()
    thread.join()


def test_a_signal_that_was_ignored_from_the_start_stays_so_and_a_dropped_one_comes_as_another() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    install()

    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    with pytest.raises(KeyboardInterrupt):
        _drop_one_and_wait()


def _drop_one_and_wait() -> None:
    sys.unraisablehook(SimpleNamespace(exc_type=KeyboardInterrupt, object=None))
    time.sleep(60)
