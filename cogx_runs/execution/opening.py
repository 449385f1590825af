"""A store that is opened on a thread of its own, while another one imports torch and loads a model."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.thread import STORE_THREAD


class OpeningStore:
    """Opens a store to be written, which imports MLflow and may make its tables; a context manager whose end waits for
    it, after an interrupt for a few seconds."""

    def __init__(self, uri: str | None) -> None:
        """Begins to open the store at `uri`, by default the usual one."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="opening")
        self._store: Future[RunStore] = self._pool.submit(_open, uri)

    def __enter__(self) -> "OpeningStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            with STORE_THREAD.hurried():
                self._pool.shutdown()
        else:
            self._pool.shutdown()

    def check(self) -> None:
        """Raises what `store` raises where that is known by now."""
        if self._store.done():
            self._store.result()

    def store(self) -> RunStore:
        """Waits for the store. Raises CogxError where it cannot be reached, opened or written."""
        return self._store.result()


def _open(uri: str | None) -> RunStore:
    store = RunStore(uri)
    store.connect()
    return store
