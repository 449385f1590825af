"""Work that goes on while the GPU does: videos encoded, scored and logged by other threads."""

from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Background(Generic[_T]):
    """Does pieces of work by threads of its own, and holds what they came to until `collect`.

    A context manager whose end waits for all of them.
    """

    def __init__(self, waiting: int) -> None:
        """At most `waiting` pieces, those at work with them, are there when `make_room` returns."""
        self._waiting = waiting
        self._pool = ThreadPoolExecutor(waiting, thread_name_prefix="background")
        self._pending: dict[Future[_T], int] = {}

    def __enter__(self) -> "Background[_T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def submit(self, place: int, work: Callable[[], _T]) -> None:
        """Has the work of cell `place` done."""
        self._pending[self._pool.submit(work)] = place

    @property
    def at_work(self) -> list[int]:
        """The cells whose work is being done or waits for it."""
        return sorted(place for future, place in self._pending.items() if not future.done())

    def make_room(self) -> None:
        """Waits until no more than `waiting` pieces are left to do."""
        while len(left := [future for future in self._pending if not future.done()]) > self._waiting:
            wait(left, return_when=FIRST_COMPLETED)

    def wait_for_one(self) -> None:
        """Waits until a piece of work is done, if there is one."""
        wait(self._pending, return_when=FIRST_COMPLETED)

    def drain(self, places: Collection[int] | None = None) -> None:
        """Waits until the work of these cells is done, by default all. What it came to, errors too, is for
        `collect`."""
        wait([future for future, place in self._pending.items() if places is None or place in places])

    def discard(self) -> None:
        """Waits until all work is done, and forgets what came of it, as an interrupted plan leaves it."""
        self.drain()
        self._pending.clear()

    def collect(self, ended: Callable[[int, _T], None]) -> None:
        """Hands on what has come of each cell's work since the last time; then raises the first error of a piece."""
        errors = []
        for future in [future for future in self._pending if future.done()]:
            place = self._pending.pop(future)
            if (error := future.exception()) is not None:
                errors.append(error)
            else:
                ended(place, future.result())
        if errors:
            raise errors[0]
