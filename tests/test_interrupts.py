"""Interrupts wait for what must not be cut short, once."""

import os
import signal
import threading

import pytest

from cogx_runs.interrupts import Undisturbed, undisturbed


def test_an_interrupt_waits_for_the_end_of_the_block_and_is_delivered_then() -> None:
    done = []

    @undisturbed()
    def block() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        block()

    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


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
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_methods_of_an_undisturbed_object_end_before_the_interrupt_and_other_threads_are_left_alone() -> None:
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
    seen = []

    def elsewhere() -> None:
        with undisturbed():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
