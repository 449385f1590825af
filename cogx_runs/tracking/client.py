"""MLflow's client on a thread of its own: an interrupt falls into the wait for a call, never into its transaction."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar, cast

from mlflow import MlflowClient

_T = TypeVar("_T")


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


class MlflowThread:
    """The one thread of a process that calls MLflow, started by the first call.

    It is a daemon: a server that does not answer cannot hold up the end of the process.
    """

    def __init__(self) -> None:
        # Written in C: a signal's handler cannot leave them locked, as it can the locks of `concurrent.futures`.
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], _T]) -> _T:
        """Returns what the work returns, or raises what it raises. Work may make calls of its own: no call of another
        thread falls between them.

        An interrupt is raised after the work has ended, a second one at once: an interrupted transaction would keep
        SQLite locked while its exception is being handled.
        """
        if threading.current_thread() is self._thread:
            return work()
        self._start()
        call = _Call(work, SimpleQueue())
        self._calls.put(call)
        try:
            call.ended.get()
        except KeyboardInterrupt:
            if not call.is_done:
                call.ended.get()
            raise
        if call.error is not None:
            raise call.error
        return cast(_T, call.result)

    def _start(self) -> None:
        """Starts the thread where there is none, as in a process that was forked from one with it."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._calls = SimpleQueue()
                self._thread = threading.Thread(target=_serve, args=(self._calls,), name="mlflow", daemon=True)
                self._thread.start()


def _serve(calls: SimpleQueue[_Call]) -> None:
    while True:
        calls.get().run()


MLFLOW = MlflowThread()
"""A process has one: MLflow itself keeps one store an address for all of it."""


class _ThreadedClient:
    """Has every method of a client called on the thread."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def called(*arguments: Any, **options: Any) -> Any:
            return MLFLOW.call(partial(method, *arguments, **options))

        return called


def open_client(uri: str) -> MlflowClient:
    """Opens a client of a tracking store on the one thread, which also makes all its calls."""
    return cast(MlflowClient, _ThreadedClient(MLFLOW.call(partial(MlflowClient, tracking_uri=uri))))
