"""What the driver of an executor adds to a cell: many cells of a worker that sleeps and logs nothing but the end.

python -m benchmarks.executor_overhead --cells 200 --workers 2
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from cogx_runs import plan_sweeps
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.executor import Executor
from cogx_runs.execution.local import LocalExecutor
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.execution.ray_executor import RayExecutor
from cogx_runs.progress import SilentProgress
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore

WORK_S = 0.05


class SleepingWorker:
    """Sleeps for WORK_S a cell, and ends its run."""

    def __init__(self, uri: str) -> None:
        self._store = RunStore(uri)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def prepare(self, *_: Any) -> None: ...

    def provenance(self, device: str) -> Mapping[str, str]:
        return {"cogx.env.device_name": device, "cogx.env.device_id": f"{device} of {os.getpid()}"}

    def begin(self, cell: ClaimedCell, *_: object) -> Callable[[], Outcome]:
        cell.describe(self._store)
        time.sleep(WORK_S)
        self._store.finish(cell.run_id, cell.spooled.files, {}, {"clip_score": 30.0}, {}, status=RunState.FINISHED)
        return lambda: Outcome(cell.spec, OutcomeStatus.FINISHED, cell.run_id)


def make(uri: str, *_: object) -> SleepingWorker:
    return SleepingWorker(uri)


class Clock(SilentProgress):
    """Keeps the times at which cells ended."""

    def __init__(self) -> None:
        self.ended: list[tuple[float, float]] = []

    def cell_ended(self, name: str, status: str, error: str | None = None) -> None:  # noqa: ARG002
        self.ended.append((time.monotonic(), time.process_time()))


def measure(name: str, executor: Executor, cells: int, workers: int) -> None:
    """Runs a plan of so many cells, and prints what it took from the first tenth of its ends to the last."""
    sweep = {
        "name": name,
        "prompts": ["panda"],
        "base": {"model": "toy"},
        "axes": {"seed": {"count": cells, "start": 1}},
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(sweep), encoding="utf-8")
    plan, clock = plan_sweeps([f"{name}.yaml"], device="cpu"), Clock()
    with executor as used:
        statuses = {outcome.status for outcome in used.run(plan, clock)}
    assert statuses == {OutcomeStatus.FINISHED}, statuses
    warm = clock.ended[max(workers, cells // 10) :]
    wall, cpu = ((warm[-1][at] - warm[0][at]) / (len(warm) - 1) for at in (0, 1))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    work = 1000 * WORK_S / workers
    print(
        f"{name}: {cells} cells, {workers} workers: {1000 * wall:.1f} ms between two ends ({work:.1f} of work); "
        f"the driver computes {1000 * cpu:.1f} ms a cell; its peak is {memory:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {f"XDG_{kind}_HOME": f"{folder}/{kind.lower()}" for kind in ("CACHE", "STATE")}
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        Path(folder, "prompts").mkdir()
        Path(folder, "prompts", "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")
        os.chdir(folder)
        measure("local", LocalExecutor(worker=make), given.cells, 1)
        measure("ray", RayExecutor(workers=given.workers, worker=make), given.cells, given.workers)


if __name__ == "__main__":
    main()
