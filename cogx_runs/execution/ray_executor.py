"""Plans run by the workers of a Ray cluster, one a GPU, or on machines without one a share of the CPUs."""

import math
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cogx_runs.errors import CogxError, first_line
from cogx_runs.execution.background import Background
from cogx_runs.execution.local import make_worker
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress
from cogx_runs.tracking.store import RunStore

if TYPE_CHECKING:
    from cogx_runs.execution.executor import MakeWorker, More
    from cogx_runs.execution.ray_crew import RayCrew, Resources


class RayExecutor:
    """Brings plans to their end by actors that each keep a worker warm for as long as the block lasts.

    The driver claims each cell and writes the boards; an actor is sent the cell and writes what it comes to. Ray is
    started on this machine where no cluster is named, and ended with the block.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        address: str | None = None,
        workers: int | None = None,
        worker: "MakeWorker | None" = None,
    ) -> None:
        """`address` is that of a Ray cluster to join; by default RAY_ADDRESS, else Ray is started here. `workers` is
        the number of actors: by default one for each GPU, on CPUs one for each node. `worker` makes an actor's worker,
        as that of `LocalExecutor`. Raises CogxError where Ray is not installed."""
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise CogxError("--executor ray: Ray is not installed; pip install 'cogx-runs[ray]'") from error
        self.tracking_uri = tracking_uri
        self._address = address or os.environ.get("RAY_ADDRESS")
        self._workers = workers
        self._make_worker = worker or make_worker
        self._left = ExitStack()
        self._of_crew = ExitStack()
        self._crew: RayCrew | None = None
        self._key: tuple[object, ...] | None = None
        self._store: RunStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._of_crew.__exit__(kind, error, traceback)
        finally:
            self._left.close()

    def run(
        self, plan: Plan, progress: Progress, *, fail_fast: bool = False, more: "More | None" = None
    ) -> list[Outcome]:
        """Brings every cell of the plan to its end, once. Returns the outcomes in the plan's order.

        A cell whose actor dies is ended as that of a crashed process, and given to another one. `more` gives further
        plans, as `Executor` says. Raises CogxError where no cell can run, or Ray cannot be started or joined.
        """
        from cogx_runs.execution.loop import CellLoop

        self._store = self._store or RunStore(self.tracking_uri)
        uri = self._store.uri
        most_at_once = len(plan.runs) + plan.cells_to_come
        with Background[Outcome](max(1, most_at_once)) as background:

            def crew() -> "RayCrew":
                return self._crew_for(plan, uri)

            def following(ended: Mapping[int, Outcome]) -> Plan | None:
                assert more is not None, "only then is it asked"
                return more(ended, crew().workers)

            loop = CellLoop(
                plan,
                self._store,
                crew,
                background,
                progress,
                overlaps=True,
                choose=lambda cells: crew().choose(cells),
                wait_for_device=lambda: crew().wait_for_free(),
                interrupted=self._stop,
                more=None if more is None else following,
            )
            return loop.run(fail_fast)

    def _stop(self) -> None:
        if self._crew is not None:
            self._crew.stop()

    def _crew_for(self, plan: Plan, uri: str) -> "RayCrew":
        """The actors of the plans before this one, or new ones where the plan runs elsewhere or allows another share of
        the GPU."""
        from cogx_runs.execution.ray_crew import RayCrew

        is_on_cpu = all(planned.spec.device == "cpu" for planned in plan.runs)
        key = (plan.max_vram_gib, is_on_cpu)
        if self._crew is None or self._key != key:
            self._crew = None
            self._of_crew.close()
            self._connect()
            resources = resources_of(self._workers, is_on_cpu)
            crew = RayCrew(self._make_worker, uri, plan.max_vram_gib, resources, is_on_cpu)
            self._crew, self._key = self._of_crew.enter_context(crew), key
        self._crew.most_cells = len(plan.runs) + plan.cells_to_come
        return self._crew

    def _connect(self) -> None:
        """Starts Ray, or joins a cluster, unless this process has done so before."""
        import ray

        if ray.is_initialized():
            return
        options: dict[str, Any] = {
            "address": self._address or "local",
            "log_to_driver": False,
            "logging_level": "ERROR",
        }
        if self._address is None:
            cpus = max(self._workers or 1, os.cpu_count() or 1)
            options |= {"include_dashboard": False, "num_cpus": cpus}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            with _same_signals():
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = "Ray cannot be started" if self._address is None else f"--ray-address {self._address}"
            raise CogxError(f"{where}: {first_line(error)}") from error
        self._left.callback(ray.shutdown)


def resources_of(workers: int | None, is_on_cpu: bool) -> "Resources":
    """What each actor asks for: all of its share of a node's CPUs, as it would have alone, and a GPU.

    Ray gives a process as many threads as CPUs, so that a share's size can change pixels that are made on a CPU.
    """
    import ray

    from cogx_runs.execution.ray_crew import Resources

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if is_on_cpu:
        count = workers or len(nodes)
        shares = math.ceil(count / len(nodes))
        cpus = max(1, math.floor(min(node.get("CPU", 1) for node in nodes) / shares))
        return Resources(count, cpus, 0)
    gpus = [node for node in nodes if node.get("GPU", 0)]
    if not gpus:
        raise CogxError("no node of the Ray cluster has a GPU; --device cpu runs on CPUs")
    found = int(sum(node["GPU"] for node in gpus))
    if workers is not None and workers > found:
        raise CogxError(f"--workers {workers}: the Ray cluster has {found} GPU{'s' * (found > 1)}, one for each worker")
    cpus = max(1, math.floor(min(node.get("CPU", 1) / node["GPU"] for node in gpus)))
    return Resources(workers or found, cpus, 1)


@contextmanager
def _same_signals() -> Iterator[None]:
    """Keeps the handlers of signals, which Ray replaces by its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
