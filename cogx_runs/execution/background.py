"""Videos finished by other threads while the GPU goes on."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import TypeVar

from cogx_runs.execution.outcomes import Outcome

_T = TypeVar("_T")


class FinishingError(Exception):
    """A piece of work has failed, as its `__cause__` says; raised in the thread of the block."""


class Finishing:
    """A `with` block in which up to `waiting` videos are finished beside what the block does; with 0, each in turn.

    `ended` is told of each cell's outcome, always by the thread of the block. The block's end waits for every video,
    also when it ends with an exception.

    What waits for videos raises FinishingError where one of them could not be finished.
    """

    def __init__(self, waiting: int, ended: Callable[[int, Outcome], None]) -> None:
        self.ended = ended
        self._waiting = waiting
        # One thread more than videos, for what must not wait behind them.
        self._pool = ThreadPoolExecutor(waiting + 1, thread_name_prefix="finishing") if waiting else None
        self._pending: dict[Future[Outcome], int] = {}

    def __enter__(self) -> "Finishing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.drain()
        finally:
            if self._pool is not None:
                self._pool.shutdown()

    def submit(self, place: int, work: Callable[[], Outcome]) -> None:
        """Have the video of cell `place` finished; there must be room."""
        if self._pool is None:
            self.ended(place, work())
        else:
            self._pending[self._pool.submit(work)] = place

    def make_room(self) -> None:
        """Wait until one more video may wait."""
        self._collect(room_for=1)

    def beside(self, work: Callable[[], _T]) -> Future[_T]:
        """Have a short piece of work done, not counted as a video; its result or exception is in the future."""
        if self._pool is not None:
            return self._pool.submit(work)
        done: Future[_T] = Future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        return done

    @property
    def at_work(self) -> list[int]:
        """The cells whose videos are being finished or wait for it."""
        return sorted(place for future, place in self._pending.items() if not future.done())

    def collect(self) -> None:
        """Tell of the videos that are finished by now."""
        self._collect(room_for=0)

    def drain(self) -> None:
        """Wait until every video is finished, and tell of them."""
        self._collect(room_for=self._waiting)

    def _collect(self, room_for: int) -> None:
        while self._pending:
            crowded = len(self._pending) + room_for > self._waiting
            done, _ = wait(self._pending, timeout=None if crowded else 0, return_when=FIRST_COMPLETED)
            if not done:
                return
            for future in done:
                place = self._pending.pop(future)
                if (error := future.exception()) is not None:
                    raise FinishingError from error
                self.ended(place, future.result())
