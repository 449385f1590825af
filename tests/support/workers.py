"""Workers that generate nothing, behind the package's own protocol."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.models.cards import ModelCard
from cogx_runs.progress import Progress
from cogx_runs.system.hardware import Device
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore


class FakeWorker:
    """Ends each cell's run at once, as finished or, where its seed is among `failing`, as failed."""

    def __init__(self, store: RunStore, failing: Sequence[int] = ()) -> None:
        self._store = store
        self._failing = failing
        self.events: list[str] = []
        """What the worker was asked for, in order."""
        self.cells: list[ClaimedCell] = []
        """The cells that were begun."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.events.append("closed")

    def prepare(
        self,
        cells: Sequence[RunSpec],
        generated: Sequence[RunSpec],
        cards: Mapping[tuple[str, str], ModelCard],  # noqa: ARG002 (of the protocol)
        progress: Progress,  # noqa: ARG002
    ) -> None:
        self.events.append(f"prepared for {len(cells)} cells, {len(generated)} of them generated")

    def provenance(self, device: Device) -> Mapping[str, str]:
        return {"cogx.env.device_name": device}

    def begin(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> Callable[[], Outcome]:  # noqa: ARG002
        self.events.append(f"began {cell.spec.seed}")
        self.cells.append(cell)
        cell.describe(self._store)
        progress.step(1, cell.spec.num_inference_steps)
        return lambda: self.end(cell)

    def end(self, cell: ClaimedCell) -> Outcome:
        """The rest of the work, done in the background."""
        failed = cell.spec.seed in self._failing
        state, status = (
            (RunState.FAILED, OutcomeStatus.FAILED) if failed else (RunState.FINISHED, OutcomeStatus.FINISHED)
        )
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "video.mp4").write_bytes(b"video")
            self._store.finish(cell.run_id, Path(folder), {}, {"clip_score": 30.0}, {}, status=state)
        self.events.append(f"ended {cell.spec.seed}")
        return Outcome(cell.spec, status, cell.run_id)
