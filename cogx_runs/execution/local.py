"""Plans run on this machine, in this process, by one worker."""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cogx_runs.errors import CogxError
from cogx_runs.execution.background import Background
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.models import hub
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress
from cogx_runs.system.disk import check_disk, keep_compiled_code
from cogx_runs.system.hardware import avoid_fragmentation
from cogx_runs.system.threads import sleep_while_waiting
from cogx_runs.tracking.uri import tracking_uri as resolve_uri

if TYPE_CHECKING:  # torch, whose allocator is set up before it is imported
    from cogx_runs.execution.executor import CellWorker, Executor, MakeWorker, More
    from cogx_runs.tracking.store import RunStore

VIDEOS_WAITING = 2
"""Videos that may wait for their encoding, scores and logging while the GPU goes on: one holds 50 MB of frames."""


class LocalExecutor:
    """Brings plans to their end one after the other; what they share stays loaded for as long as the block lasts."""

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        store: "RunStore | None" = None,
        worker: "MakeWorker | None" = None,
        overlaps: bool | None = None,
    ) -> None:
        """`worker` makes the worker from the store's address, the most GPU memory in GiB, and what it is to call before
        it loads weights. `overlaps` is whether the next cell is begun while a video is encoded, scored and logged; by
        default, on a GPU."""
        self.tracking_uri = tracking_uri
        self._store = store
        self._make_worker = worker
        self._overlaps = overlaps
        self._left = ExitStack()
        self._background: Background[Outcome] = Background(VIDEOS_WAITING)
        self._of_worker = ExitStack()
        self._worker: CellWorker | None = None
        self._max_vram_gib: float | None = None

    def __enter__(self) -> Self:
        avoid_fragmentation()
        keep_compiled_code()
        self._left.enter_context(self._of_worker)
        self._left.enter_context(self._background)  # ended first, since its work needs the worker's scorers
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.close()

    def run(
        self, plan: Plan, progress: Progress, *, fail_fast: bool = False, more: "More | None" = None
    ) -> list[Outcome]:
        """Brings every cell of the plan to its end, once. Returns the outcomes in the plan's order.

        `more` gives further plans, as `Executor` says. Raises CogxError where no cell can run.
        """
        if all(planned.spec.device == "cpu" for planned in plan.runs):
            sleep_while_waiting()  # before torch is imported
        from cogx_runs.execution.loop import CellLoop
        from cogx_runs.tracking.store import RunStore

        self._background.discard()
        if self._store is None and self._make_worker is None:
            _check_weights(plan)  # before a store is made
            self._start(plan, progress)
        self._store = self._store or RunStore(self.tracking_uri)
        worker = partial(self._worker_for, plan, self._store.uri)
        following = None if more is None else partial(_for_one_worker, more)
        loop = CellLoop(plan, self._store, worker, self._background, progress, overlaps=self._overlaps, more=following)
        return loop.run(fail_fast)

    def _start(self, plan: Plan, progress: Progress) -> None:
        """Loads what the plan's cells need, and opens the store meanwhile on another thread. Neither where no cell is
        to be run."""
        cells = [planned.spec for planned in plan.runs if planned.action.is_open]
        if not cells:
            return
        check_disk()
        generated = [planned.spec for planned in plan.runs if planned.action is Action.RUN]
        progress.phase("importing torch and diffusers")
        from cogx_runs.execution.opening import OpeningStore

        with ExitStack() as left, OpeningStore(self.tracking_uri) as opening:
            with _uncollected():
                import cogx_runs.metrics.clip  # noqa: F401 (which the metrics import at their first use)
                from cogx_runs.execution.session import Session
                from cogx_runs.execution.worker import Worker

            opening.check()
            session = left.enter_context(Session(plan.max_vram_gib, self._background.drain))
            session.prepare(cells, generated, plan.cards, progress)
            self._store = opening.store()
            self._worker_for(plan, self._store.uri, partial(Worker, session=lambda *_: session))
            left.pop_all()  # it is the worker that ends the session

    def _worker_for(self, plan: Plan, uri: str, make: "MakeWorker | None" = None) -> "CellWorker":
        """The worker of the plans before this one, or a new one where the plan allows it another share of the GPU."""
        if self._worker is None or self._max_vram_gib != plan.max_vram_gib:
            self._worker = None
            self._of_worker.close()
            make = make or self._make_worker or make_worker
            self._worker = self._of_worker.enter_context(make(uri, plan.max_vram_gib, self._background.drain))
            self._max_vram_gib = plan.max_vram_gib
        return self._worker


@contextmanager
def _uncollected() -> Iterator[None]:
    """Has the garbage collector pass over what the block makes: of imports next to nothing is garbage, and looking for
    it takes some 10% of their time."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def _for_one_worker(more: "More", ended: Mapping[int, Outcome]) -> Plan | None:
    return more(ended, 1)


def _check_weights(plan: Plan) -> None:
    """Raises WeightsUnavailableError where a model of cells to run can be had neither from the cache nor the hub."""
    keys = {planned.spec.model_key for planned in plan.runs if planned.action is Action.RUN}
    for card in (plan.cards[key] for key in keys):
        if not (card.is_local or hub.cached_file(card.source, "vae/config.json", card.revision)):
            hub.require(card.source, "model_index.json", card.revision)


def make_worker(uri: str, max_vram_gib: float | None, before_loading: Callable[[], None]) -> "CellWorker":
    """Makes the worker that generates videos, which imports torch."""
    from cogx_runs.execution.worker import Worker

    return Worker(uri, max_vram_gib, before_loading)


@contextmanager
def entered(executor: "Executor | None", tracking_uri: str | None) -> "Iterator[Executor]":
    """Gives the executor that the caller has entered, else one on this machine for as long as the block lasts.

    Raises CogxError where the caller's tracks in another store than the plan was made with.
    """
    if executor is None:
        with LocalExecutor(tracking_uri) as own:
            yield own
        return
    if resolve_uri(executor.tracking_uri) != resolve_uri(tracking_uri):
        raise CogxError(
            f"tracking_uri {resolve_uri(tracking_uri)}: the executor tracks in {resolve_uri(executor.tracking_uri)}; "
            "give both the same"
        )
    yield executor
