"""The one thread that talks to the tracking store: an interrupt falls into the wait for it, not into a transaction."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from cogx_runs.errors import StoreUnavailableError

_T = TypeVar("_T")
INTERRUPTED_S = 5.0
"""How long a store is waited for after an interrupt."""
_TICK_S = 0.5


@dataclass
class _Call:
    """A piece of work for the thread, and what came of it."""

    work: Callable[[], Any]
    ended: SimpleQueue[None]
    """Has one item once the work has ended."""
    result: Any = None
    error: BaseException | None = None
    is_done: bool = False

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error
        self.is_done = True
        self.ended.put(None)


class StoreThread:
    """The one thread of a process that talks to its stores, started by the first call.

    It is a daemon: a server that does not answer cannot hold up the end of the process.
    """

    def __init__(self) -> None:
        # Written in C: a signal's handler cannot leave them locked, as it can the locks of `concurrent.futures`.
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._limit_s: float | None = None

    def call(self, work: Callable[[], _T]) -> _T:
        """Returns what the work returns, or raises what it raises. Work may make calls of its own: no call of another
        thread falls between them.

        An interrupt is raised after the work has ended, or INTERRUPTED_S later; a second one at once: an interrupted
        transaction would keep SQLite locked while its exception is being handled. Raises TimeoutError within `hurried`
        where the work takes longer than that.
        """
        if threading.current_thread() is self._thread:
            return work()
        self._start()
        call = _Call(work, SimpleQueue())
        self._calls.put(call)
        try:
            self._wait(call)
        except KeyboardInterrupt:
            with suppress(Empty):
                if not call.is_done:
                    call.ended.get(timeout=INTERRUPTED_S)
            raise
        if call.error is not None:
            raise call.error
        return cast(_T, call.result)

    @contextmanager
    def hurried(self, limit_s: float = INTERRUPTED_S) -> Iterator[None]:
        """Gives every call, also those that wait already, at most this many seconds while the block lasts."""
        self._limit_s, before = limit_s, self._limit_s
        try:
            yield
        finally:
            self._limit_s = before

    def _wait(self, call: _Call) -> None:
        waited_s = 0.0
        while True:
            try:
                call.ended.get(timeout=_TICK_S)
                return
            except Empty:
                waited_s = waited_s + _TICK_S if self._limit_s is not None else 0.0
            if self._limit_s is not None and waited_s >= self._limit_s:
                raise TimeoutError(f"no answer in {self._limit_s:.0f} s")

    def _start(self) -> None:
        """Starts the thread where there is none, as in a process that was forked from one with it."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._calls = SimpleQueue()
                self._thread = threading.Thread(target=_serve, args=(self._calls,), name="store", daemon=True)
                self._thread.start()


def _serve(calls: SimpleQueue[_Call]) -> None:
    while True:
        calls.get().run()


STORE_THREAD = StoreThread()
"""A process has one: MLflow itself keeps one store an address for all of it."""


def if_answered(ask: Callable[[], _T | None]) -> _T | None:
    """Returns the store's answer to a question that work can go on without; None where it does not answer."""
    try:
        return ask()
    except StoreUnavailableError:
        return None
