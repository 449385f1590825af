"""One device that takes claimed cells to their end, in the process of the sweep or in one of its own."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import TypeVar

from cogx_runs.credentials import without_credentials
from cogx_runs.dashboard.notes import failed_tags
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, StoreError, first_line
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.inference import InferenceStage
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.execution.postprocess import PostprocessStage
from cogx_runs.execution.session import Session
from cogx_runs.models.cards import ModelCard
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.system.disk import DISK_FULL, is_disk_full
from cogx_runs.system.hardware import Device
from cogx_runs.tracking import artifacts, spool
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.record import failure_tags, params, spec_metrics, write_definition
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.thread import if_answered

_T = TypeVar("_T")


class Worker:
    """Takes claimed cells to their end on one device; a context manager that frees what is loaded.

    It knows no plan, no board and no neighbour. All that it is built from and given can be sent to another process.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        max_vram_gib: float | None = None,
        before_loading: Callable[[], None] = lambda: None,
        *,
        store: RunStore | None = None,
        session: Callable[[float | None, Callable[[], None]], Session] = Session,
        inference: Callable[[Session, RunStore, Delivery], InferenceStage] = InferenceStage,
        postprocess: Callable[[Session, RunStore, Delivery], PostprocessStage] = PostprocessStage,
    ) -> None:
        """Opens the store; loads nothing yet. `max_vram_gib` is what torch may take of the GPU, None all of it.

        `before_loading` is called before weights are loaded, which changes torch's default dtype meanwhile for all
        threads: it waits for those that compute something.
        """
        self._store = store or RunStore(tracking_uri)
        self._session = session(max_vram_gib, before_loading)
        self._delivery = Delivery(self._store)
        self._inference = inference(self._session, self._store, self._delivery)
        self._postprocess = postprocess(self._session, self._store, self._delivery)
        self._left = ExitStack()

    def __enter__(self) -> "Worker":
        self._left.enter_context(self._session)
        self._left.callback(self._inference.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.close()

    def prepare(
        self,
        cells: Sequence[RunSpec],
        generated: Sequence[RunSpec],
        cards: Mapping[tuple[str, str], ModelCard],
        progress: Progress,
    ) -> None:
        """Loads what cells to come need, so that what is missing is known before the first one; `generated` are those
        of them that are denoised.

        Raises CogxError where none of them can run.
        """
        self._postprocess.forget_notes()
        self._session.prepare(cells, generated, cards, progress)

    def provenance(self, device: Device) -> dict[str, str]:
        """Tells on what machine and by which versions cells are computed here, as tags of their runs."""
        return self._session.provenance(device)

    def run(self, cell: ClaimedCell, card: ModelCard, progress: Progress | None = None) -> Outcome:
        """Takes a cell to its end, and tracks it. A cell that fails is tracked as FAILED with its traceback.

        Raises CogxError where the disk is full: no other cell could be tracked either.
        """
        return self.begin(cell, card, progress)()

    def begin(self, cell: ClaimedCell, card: ModelCard, progress: Progress | None = None) -> Callable[[], Outcome]:
        """Brings a cell to its pixels, and returns the rest of what `run` does, for any thread to call once."""
        progress = progress or SilentProgress()
        with ExitStack() as stack:
            stack.callback(cell.spooled.close)
            begun = self._settle(cell, lambda: self._begin(cell, card, progress))
            if isinstance(begun, Outcome):
                return lambda: begun
            left = stack.pop_all()

        def rest() -> Outcome:
            with left:
                return self._settle(cell, begun)

        return rest

    def _begin(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> Callable[[], Outcome]:
        """Brings a cell to its pixels, where they cannot be copied from a finished run of any experiment. Returns what
        is left to do."""
        write_definition(cell.spec, cell.spooled.files)
        finished = if_answered(lambda: self._store.find_finished(cell.spec.output_hash))
        if finished is not None:
            series = self._postprocess.copy_files(finished, cell, progress)
            if series is not None:
                return partial(self._postprocess.copy, finished, series, cell)
        video = self._inference.run(cell, card, progress)
        return partial(self._postprocess.run, cell, card, video, progress)

    def _settle(self, cell: ClaimedCell, work: Callable[[], _T]) -> _T | Outcome:
        """Returns the result of work on a cell; where it fails, the cell's outcome, tracked with its traceback.

        What the store refuses is no cell's failure.
        """
        try:
            return work()
        except StoreError as error:
            if is_disk_full(error):
                raise StoreError(DISK_FULL) from error
            raise
        except Exception as error:
            if is_disk_full(error):
                raise CogxError(DISK_FULL) from error
            if cell.spooled.ended is not None:  # the cell is whole; what failed is its delivery
                raise
            told = without_credentials(traceback.format_exc())
            with spool.access():  # where that fails too, it was no fault of the cell
                (cell.spooled.files / artifacts.TRACEBACK).write_text(told, encoding="utf-8")
            values, about = spec_metrics(cell.spec), failure_tags(error) | failed_tags(cell.spec, error)
            run_id = self._delivery.end(cell.spooled, params(cell.spec), values, about, RunState.FAILED)
            return Outcome(cell.spec, OutcomeStatus.FAILED, run_id, error=first_line(error))
