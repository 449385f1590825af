"""Signs of life that a process gives of the runs that it has claimed."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType

from cogx_runs.tracking import tags
from cogx_runs.tracking.signs import now_ms
from cogx_runs.tracking.store import RunStore

BEAT_S = 60.0
"""Time between two signs of life of an open run."""


class Heartbeat:
    """Writes a sign of life of each open run of a holder every BEAT_S while the block lasts."""

    def __init__(self, store: RunStore, holder: str, clock_ms: Callable[[], int] = now_ms) -> None:
        self._store = store
        self._holder = holder
        self._clock_ms = clock_ms
        self._ended = threading.Event()

    def __enter__(self) -> "Heartbeat":
        # A daemon, and not waited for: a store that does not answer cannot hold up the end of the process.
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()

    @property
    def tags(self) -> Mapping[str, str]:
        """The first sign of a run, which it is created with."""
        return {tags.PROCESS_SEEN: str(self._clock_ms())}

    def beat(self) -> None:
        """Writes one sign of life of each open run of the holder."""
        for run in self._store.open_runs(about={tags.PROCESS_LOCK: self._holder}):
            self._store.seen(run.run_id, self._clock_ms())

    def _run(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(Exception):  # a store that is away misses a sign; the next one follows
                self.beat()
