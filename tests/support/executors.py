"""Executors that make no video, behind the package's own protocol."""

from types import TracebackType
from typing import Self

from cogx_runs.execution.executor import More
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress


class FakeExecutor:
    """Stands in for running: `finish` says what a plan's cells come to."""

    tracking_uri: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def run(
        self,
        plan: Plan,
        progress: Progress,  # noqa: ARG002
        *,
        fail_fast: bool = False,  # noqa: ARG002
        more: More | None = None,
    ) -> list[Outcome]:
        outcomes = self.finish(plan)
        while more is not None and (following := more(dict(enumerate(outcomes)), 1)) is not None:
            outcomes += self.finish(following)
        return outcomes

    def finish(self, plan: Plan) -> list[Outcome]:
        raise AssertionError(f"{len(plan.runs)} cells were to be run")
