"""Signals that end a command: none is lost, and none falls into the middle of a call to the tracking store."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.1
"""After which an interrupt that Python dropped comes again."""
_undisturbed = 0
"""How many blocks that are not to be disturbed the main thread is in."""
_is_waiting = False
"""Whether an interrupt waits for their end."""


def install() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, so that a process that is told to end, or whose terminal is closed,
    cleans up, and all of them wait for the end of `undisturbed` blocks. Those that were ignored from the start, as
    under nohup, stay so."""
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _deliver_again


@contextmanager
def undisturbed() -> Iterator[None]:
    """A block that an interrupt ends only after its end; the second one at once, as where a server does not answer.

    Signals reach the main thread alone; in any other, and where `install` was not called, the block is a plain one.
    """
    global _undisturbed, _is_waiting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _undisturbed += 1
    try:
        yield
    finally:
        _undisturbed -= 1
        if _is_waiting and not _undisturbed:
            _is_waiting = False
            raise KeyboardInterrupt


class Undisturbed:
    """An object whose methods are interrupted only after their end."""

    def __init__(self, of: object) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        return undisturbed()(getattr(self._of, name))


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (what a handler is given)
    global _is_waiting
    if _undisturbed and not _is_waiting:
        _is_waiting = True
        return
    _is_waiting = False
    raise KeyboardInterrupt


def _deliver_again(dropped: "UnraisableHookArgs") -> None:
    """Python drops an exception of a finalizer, or of a callback of fork, through which imageio starts ffmpeg: a
    signal that arrives while a process of many GiB is being forked falls into the first of these callbacks."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    # A real signal: `_thread.interrupt_main` would wait for the end of a sleep or of a wait for a lock.
    handled = next(number for number in INTERRUPTS if signal.getsignal(number) is _interrupt)
    threading.Timer(AGAIN_S, signal.pthread_kill, [threading.main_thread().ident, handled]).start()
    if getattr(dropped.object, "__name__", None) == "_releaseLock":  # that first callback, up to Python 3.12
        with suppress(RuntimeError):  # the signal came after the release
            logging._releaseLock()  # type: ignore[attr-defined]
