"""MLflow's client on the thread of the store.

What MLflow raises becomes the project's own errors here, and only here.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cogx_runs.errors import StoreError, StoreUnavailableError
from cogx_runs.tracking.answers import NOBODY_BEHIND, health, is_absent, is_unanswered, refusal, told
from cogx_runs.tracking.sqlite_file import advice_on_damage
from cogx_runs.tracking.thread import STORE_THREAD
from cogx_runs.tracking.uri import is_server, sqlite_path, without_password

_T = TypeVar("_T")
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
    """Opens a client of a tracking store on the thread of the store, which also makes all its calls.

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
        return STORE_THREAD.call(work)
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
