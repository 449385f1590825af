"""Signals that end the process: none is lost, and none falls into the middle of a call to the tracking store."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.1
"""After which an interrupt that Python dropped comes again."""


def install() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, so that a process that is told to end, or whose terminal is closed,
    cleans up; those that were ignored from the start, as under nohup, stay so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _deliver_again


@contextmanager
def undisturbed() -> Iterator[None]:
    """A block that an interrupt ends only after its end; the second one at once, as where a server does not answer.

    Signals reach the main thread alone; in any other the block is a plain one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Any] = {number: found for number in INTERRUPTS if callable(found := signal.getsignal(number))}
    waiting: list[tuple[int, FrameType | None]] = []

    def wait(number: int, frame: FrameType | None) -> None:
        if waiting:
            handlers[number](number, frame)
        waiting.append((number, frame))

    for handled in handlers:
        signal.signal(handled, wait)
    try:
        yield
    finally:
        for handled, handler in handlers.items():
            signal.signal(handled, handler)
        for number, frame in waiting[:1]:
            handlers[number](number, frame)


class Undisturbed:
    """An object whose methods are interrupted only after their end."""

    def __init__(self, of: object) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        return undisturbed()(getattr(self._of, name))


def _deliver_again(dropped: "UnraisableHookArgs") -> None:
    """Python drops an exception of a finalizer, or of a callback of fork, through which imageio starts ffmpeg: a
    signal that arrives while a process of many GiB is being forked falls into the first of these callbacks."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    if getattr(dropped.object, "__name__", None) == "_releaseLock":  # that first callback, up to Python 3.12
        logging._releaseLock()  # type: ignore[attr-defined]
    # A real signal: `_thread.interrupt_main` would wait for the end of a sleep or of a wait for a lock.
    threading.Timer(AGAIN_S, signal.pthread_kill, [threading.main_thread().ident, signal.SIGTERM]).start()
