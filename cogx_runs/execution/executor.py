"""How a plan's cells are brought to their end: the protocols that a local loop, a cluster or a test implements."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.models.cards import ModelCard
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress
from cogx_runs.system.hardware import Device

More = Callable[[Mapping[int, Outcome], int], Plan | None]
"""Gives the plan that follows, from the outcomes until then and the number of workers; None where none does for now.

The outcomes are by their cells' places, counted over all plans that were given.
"""


class Executor(Protocol):
    """Brings a plan's cells to their end; a context manager, so that models live as long as the block."""

    @property
    def tracking_uri(self) -> str | None:
        """The store that runs go to; None for the usual one."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def run(
        self, plan: Plan, progress: Progress, *, fail_fast: bool = False, more: More | None = None
    ) -> list[Outcome]:
        """Brings every cell of the plan to its end, once. Returns the outcomes in the plan's order.

        `more` is asked for a further plan, of the same sweeps, wherever a worker would have nothing to do, and again
        after each end of a cell; its cells are run with those at work, and the outcomes are those of all plans in
        turn. With `fail_fast` no cell of a plan is begun after one of it has failed. Raises CogxError where no cell
        can run.
        """


class CellWorker(Protocol):
    """Takes an executor's claimed cells to their end on one device."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def prepare(
        self,
        cells: Sequence[RunSpec],
        generated: Sequence[RunSpec],
        cards: Mapping[tuple[str, str], ModelCard],
        progress: Progress,
    ) -> None:
        """Loads what cells to come need; `generated` are those of them that are denoised.

        Raises CogxError where none of them can run.
        """

    def provenance(self, device: Device) -> Mapping[str, str]:
        """Tells on what machine and by which versions cells are computed here, as tags of their runs."""

    def begin(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> Callable[[], Outcome]:
        """Describes the cell's run, does what needs the device, and returns the rest of the work on the cell, for any
        thread to call once."""


MakeWorker = Callable[[str, float | None, Callable[[], None]], CellWorker]
"""Makes a worker from the store's address, the most GPU memory in GiB, and what it calls before it loads weights."""
