"""Interrupts of the whole command: each signal that ends it, and none of them lost."""

import _thread
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S = 0.1
"""After which an interrupt that Python dropped comes again."""


def install() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, so that a process that is told to end, or whose terminal is closed,
    cleans up; those that were ignored from the start, as under nohup, stay so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _deliver_again


def _deliver_again(dropped: "UnraisableHookArgs") -> None:
    """Python drops an exception of a finalizer, or of a callback of fork, through which imageio starts ffmpeg: a
    signal that arrives while a process of many GiB is being forked falls into the first of these callbacks."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    if getattr(dropped.object, "__name__", None) == "_releaseLock":  # that first callback, up to Python 3.12
        logging._releaseLock()  # type: ignore[attr-defined]
    threading.Timer(AGAIN_S, _thread.interrupt_main, [signal.SIGTERM]).start()
