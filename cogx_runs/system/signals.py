"""Signals that end a command, and that none of them is lost."""

import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.1
"""After which an interrupt that Python dropped comes again."""


def install() -> None:
    """Has SIGTERM and SIGHUP do what Ctrl-C does, so that a process that is told to end, or whose terminal is closed,
    cleans up. Those that were ignored from the start, as under nohup, stay so."""
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _deliver_again


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (what a handler is given)
    raise KeyboardInterrupt


def _deliver_again(dropped: "UnraisableHookArgs") -> None:
    """Sends an interrupt again that Python dropped, because it fell into a finalizer or a callback of fork."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    # A real signal: `_thread.interrupt_main` would wait for the end of a sleep or of a wait for a lock.
    handled = next(number for number in INTERRUPTS if signal.getsignal(number) is _interrupt)
    threading.Timer(AGAIN_S, signal.pthread_kill, [threading.main_thread().ident, handled]).start()
