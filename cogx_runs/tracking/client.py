"""MLflow's client on a thread of its own: an interrupt falls into the wait for a call, never into its transaction.

What MLflow raises becomes the project's own errors here, and only here.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cogx_runs.errors import StoreError, StoreUnavailableError
from cogx_runs.tracking.answers import NOBODY_BEHIND, health, is_absent, is_unanswered, refusal, told
from cogx_runs.tracking.sqlite_file import advice_on_damage
from cogx_runs.tracking.uri import is_server, sqlite_path, without_password

_T = TypeVar("_T")
INTERRUPTED_S = 5.0
"""How long a store is waited for after an interrupt."""
_TICK_S = 0.5
RETRY_S = 10.0
"""How long a store that did not answer is not asked again."""
PROBE_S = 3.0
"""How long its server is then waited for."""
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""MLflow's own retries last minutes: what cannot be written waits in the spool instead."""
for _name, _value in _PATIENCE.items():
    os.environ.setdefault(_name, _value)


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
                self._thread = threading.Thread(target=_serve, args=(self._calls,), name="mlflow", daemon=True)
                self._thread.start()


def _serve(calls: SimpleQueue[_Call]) -> None:
    while True:
        calls.get().run()


MLFLOW = MlflowThread()
"""A process has one: MLflow itself keeps one store an address for all of it."""


class _ThreadedClient:
    """Has every method of a client called on the thread, and turns what it raises into the project's errors."""

    def __init__(self, client: MlflowClient, uri: str) -> None:
        self._client = client
        self._uri = uri

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def called(*arguments: Any, **options: Any) -> Any:
            return call_store(self._uri, partial(method, *arguments, **options))

        return called


def open_client(uri: str) -> MlflowClient:
    """Opens a client of a tracking store on the one thread, which also makes all its calls.

    Every call raises StoreError for what the store refuses, StoreUnavailableError where it does not answer.
    """
    return cast(MlflowClient, _ThreadedClient(call_store(uri, partial(MlflowClient, tracking_uri=uri)), uri))


def call_store(uri: str, work: Callable[[], _T]) -> _T:
    """Returns what a piece of work on the thread returns.

    Raises StoreError for what the store at `uri` refuses, StoreUnavailableError where it does not answer. One that did
    not is not asked again for RETRY_S, so that nobody waits for it at every call.
    """
    _AWAY.check(uri)
    try:
        return MLFLOW.call(work)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        found = _store_error(error, uri)
        if found is None:
            raise
        if isinstance(found, StoreUnavailableError):
            _AWAY.add(uri, found)
        raise found from error


def answers(uri: str, timeout_s: float) -> bool:
    """Checks whether a tracking server gives any answer of HTTP in time; any other store is taken to."""
    if not is_server(uri):
        return True
    try:
        return health(uri, timeout_s) not in NOBODY_BEHIND
    except MlflowException:
        return False


def if_answered(ask: Callable[[], _T | None]) -> _T | None:
    """Returns the store's answer to a question that work can go on without; None where it does not answer."""
    try:
        return ask()
    except StoreUnavailableError:
        return None


class _Away:
    """The stores that did not answer lately."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, str]] = {}

    def add(self, uri: str, error: StoreUnavailableError) -> None:
        self._until[uri] = (time.monotonic() + RETRY_S, str(error))

    def check(self, uri: str) -> None:
        """Raises StoreUnavailableError for a store that did not answer within RETRY_S, or whose server still does
        not."""
        if uri not in self._until:
            return
        until, message = self._until[uri]
        if time.monotonic() >= until:
            if answers(uri, PROBE_S):
                self._until.pop(uri, None)
                return
            self._until[uri] = (time.monotonic() + RETRY_S, message)
        raise StoreUnavailableError(message)


_AWAY = _Away()


_UNANSWERED = frozenset({"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"})
"""MLflow's codes for a server that is away, that fails, or whose database does."""
_OUR_MISTAKES = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS"})


def _store_error(error: Exception, uri: str) -> StoreError | None:
    """The project's error for one of MLflow's; None for a mistake of the caller's, which keeps its traceback."""
    refused = refusal(error)
    if refused is not None:
        return StoreError(f"tracking store {without_password(uri)}: {refused}")
    if isinstance(error, MlflowException) and error.error_code in _OUR_MISTAKES:
        return None
    path = sqlite_path(uri)
    advice = "" if path is None else advice_on_damage(str(error), path)
    cause = error.__cause__
    said = cause.orig if isinstance(cause, DBAPIError) and cause.orig is not None else error  # without the statement
    message = f"tracking store {without_password(uri)}: {told(said)}{advice}"
    is_away = (
        isinstance(error, ConnectionError | TimeoutError)
        or is_unanswered(error)
        or (isinstance(error, MlflowException) and error.error_code in _UNANSWERED and not is_absent(error))
    )
    return StoreUnavailableError(message) if is_away and path is None else StoreError(message)
