"""How a plan's cells are brought to their end: the protocol that a local loop, a cluster or a test implements."""

from types import TracebackType
from typing import Protocol, Self

from cogx_runs.execution.outcomes import Outcome
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress


class Executor(Protocol):
    """Brings a plan's cells to their end; a context manager, so that models live as long as the block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def run(self, plan: Plan, progress: Progress, *, fail_fast: bool = False) -> list[Outcome]:
        """Brings every cell of the plan to its end, once. Returns the outcomes in the plan's order.

        Raises CogxError where no cell can run.
        """
