"""A worker in a process of its own, which Ray starts: takes the cells that it is sent to their end, one by one."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import StoreUnavailableError
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.local import VIDEOS_WAITING
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.execution.waiting import WaitingRuns
from cogx_runs.models.cards import ModelCard
from cogx_runs.progress import SilentProgress
from cogx_runs.system.disk import keep_compiled_code
from cogx_runs.system.hardware import Device, avoid_fragmentation
from cogx_runs.system.threads import sleep_while_waiting
from cogx_runs.tracking import spool
from cogx_runs.tracking.delivery import deliver_left_behind
from cogx_runs.tracking.liveness import HeldLock
from cogx_runs.tracking.spool import ClaimRecord
from cogx_runs.tracking.store import RunStore

if TYPE_CHECKING:  # torch, whose allocator is set up before it is imported
    from cogx_runs.execution.executor import CellWorker, MakeWorker

Event = tuple[str, tuple[Any, ...]]
"""What an actor tells of a cell: a name of a method of Progress, BEGUN, or at last ENDED or RAISED, and arguments."""
BEGUN, ENDED, RAISED = "begun", "ended", "raised"
STEP_INTERVAL_S = 0.25
"""Shortest time between two steps that are told of."""


class Events(SilentProgress):
    """Puts what a worker reports of a cell into a queue."""

    def __init__(self, put: Callable[[Event], None]) -> None:
        self._put = put
        self._told = 0.0

    def note(self, message: str) -> None:
        self._put(("note", (message,)))

    def phase(self, name: str) -> None:
        self._put(("phase", (name,)))

    def step(self, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._told >= STEP_INTERVAL_S:
            self._told = time.monotonic()
            self._put(("step", (done, total)))


class WorkerActor:
    """One warm worker. Its device is at one cell at a time; up to VIDEOS_WAITING videos are ended meanwhile."""

    def __init__(self, make: "MakeWorker", uri: str, max_vram_gib: float | None, is_on_cpu: bool) -> None:
        """Makes the worker by `make`, for the store at `uri`."""
        avoid_fragmentation()
        keep_compiled_code()
        if is_on_cpu:
            sleep_while_waiting()
        self._left = ExitStack()
        self._held = self._left.enter_context(HeldLock())
        self._left.callback(lambda: spool.remove_holder(self._held.name))
        self._notes: list[str] = []
        self._numbers = count()
        self._store = RunStore(uri)
        self._waiting = WaitingRuns(self._store, self._notes.append)
        self._device = self._left.enter_context(ThreadPoolExecutor(1, thread_name_prefix="device"))
        self._rests = self._left.enter_context(ThreadPoolExecutor(VIDEOS_WAITING, thread_name_prefix="background"))
        self._pending: set[Future[None]] = set()
        made = self._device.submit(lambda: make(uri, max_vram_gib, self._drain).__enter__())
        self._worker: CellWorker = made.result()

    def prepare(
        self,
        cells: Sequence[RunSpec],
        generated: Sequence[RunSpec],
        cards: Mapping[tuple[str, str], ModelCard],
        devices: Sequence[Device],
    ) -> tuple[dict[Device, Mapping[str, str]], list[Event]]:
        """Loads what cells to come need, as a worker's `prepare`. Returns the provenance on each of the devices, and
        what was to be noted."""
        told: list[Event] = []
        with suppress(StoreUnavailableError):  # what a worker that died on this host has left
            told += [("note", (delivered.told,)) for delivered in deliver_left_behind(self._store)]
        self._device.submit(self._worker.prepare, cells, generated, cards, Events(told.append)).result()
        return {device: self._worker.provenance(device) for device in devices}, told

    def run(self, cell: ClaimedCell, claim: ClaimRecord | None, card: ModelCard) -> Iterator[Event]:
        """Takes a cell to its end, and tells of it meanwhile. `claim` is what its entry in the spool began with, by
        which an entry is made here where the driver's is on another host."""
        events: SimpleQueue[Event] = SimpleQueue()
        is_own = claim is not None and cell.spooled.claim is None
        if is_own:
            assert claim is not None
            cell = replace(cell, spool=self._held.name)
            cell.spooled.create(claim)
        self._device.submit(self._begin, cell, card, events, is_own)
        while True:
            event = events.get()
            yield event
            if event[0] in {ENDED, RAISED}:
                return

    def _begin(self, cell: ClaimedCell, card: ModelCard, events: SimpleQueue[Event], is_own: bool) -> None:
        try:
            rest = self._worker.begin(cell, card, Events(events.put))
        except BaseException as error:
            events.put((RAISED, (error,)))
            return
        while len(self._pending) >= VIDEOS_WAITING:
            _, self._pending = wait(self._pending, return_when=FIRST_COMPLETED)
        self._pending.add(self._rests.submit(self._end, cell, rest, events, is_own))
        events.put((BEGUN, ()))

    def _end(self, cell: ClaimedCell, rest: Callable[[], Outcome], events: SimpleQueue[Event], is_own: bool) -> None:
        try:
            outcome = rest()
            if is_own:
                self._waiting.add(next(self._numbers), cell.spooled)
                self._waiting.deliver()
            events.put((ENDED, (outcome,)))
        except BaseException as error:
            events.put((RAISED, (error,)))

    def _drain(self) -> None:
        """Waits until all videos are ended: before weights are loaded, which changes torch's default dtype."""
        wait(self._pending)

    def close(self) -> None:
        """Ends what is in the background, brings to the store what waits here, and frees what is loaded."""
        self._drain()
        with suppress(StoreUnavailableError):  # the next process of this host delivers it
            self._waiting.deliver_all()
        self._device.submit(self._worker.__exit__, None, None, None).result()
        self._left.close()
