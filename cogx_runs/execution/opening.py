"""A store that is opened on a thread of its own, while another one imports torch and loads a model."""

from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from threading import Thread
from types import TracebackType

from cogx_runs.tracking.store import RunStore

SHARED = ("anyio.to_thread", "numpy.fft", "numpy.random", "requests", "tqdm.auto", "unittest")
"""Packages that both MLflow and torch's libraries import, and whose modules import each other: two threads that come
upon one from two sides are handed half of it."""


class OpeningStore:
    """Opens a store to be written, which imports MLflow and may make its tables; a context manager whose end waits for
    it, but after an interrupt. The thread is a daemon, so that it holds up no end of the process either."""

    def __init__(self, uri: str | None) -> None:
        """Begins to open the store at `uri`, by default the usual one."""
        for name in SHARED:
            with suppress(ImportError):  # of another MLflow, which does without
                import_module(name)
        self._store: Future[RunStore] = Future()
        self._thread = Thread(target=self._open, args=(uri,), name="opening", daemon=True)
        self._thread.start()

    def __enter__(self) -> "OpeningStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, KeyboardInterrupt):
            self._thread.join()

    def check(self) -> None:
        """Raises what `store` raises where that is known by now."""
        if self._store.done():
            self._store.result()

    def store(self) -> RunStore:
        """Waits for the store. Raises CogxError where it cannot be reached, opened or written."""
        return self._store.result()

    def _open(self, uri: str | None) -> None:
        try:
            store = RunStore(uri)
            store.connect()
        except BaseException as error:
            self._store.set_exception(error)
        else:
            self._store.set_result(store)
