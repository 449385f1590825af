"""Signals that end a command do so once, and none is lost."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from cogx_runs.system.signals import INTERRUPTS, install


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = sys.__unraisablehook__


@pytest.mark.parametrize("sent", INTERRUPTS)
def test_each_of_the_signals_interrupts(sent: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(sent)


def test_a_signal_that_was_ignored_from_the_start_stays_so_and_a_dropped_one_comes_as_another() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    install()

    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    with pytest.raises(KeyboardInterrupt):
        _drop_one_and_wait()


def _drop_one_and_wait() -> None:
    sys.unraisablehook(SimpleNamespace(exc_type=KeyboardInterrupt, object=None))
    time.sleep(60)


def test_an_interrupt_that_python_drops_comes_again() -> None:
    script = """
import os, signal, subprocess, time
from cogx_runs.system import signals
signals.install()
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
subprocess.run(["true"], preexec_fn=os.setpgrp)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)

    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)
