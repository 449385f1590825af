"""Plans run by a real Ray on this machine."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray

from cogx_runs import load_runs
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.execution.ray_executor import RayExecutor
from cogx_runs.models.cards import ModelCard
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.system.hardware import Device
from cogx_runs.tracking.store import RunStore
from tests.support.running import Notes
from tests.support.workers import FakeWorker

pytestmark = pytest.mark.slow  # Ray and its workers take 15 s to start

WORKERS = 2


class Recording(FakeWorker):
    """Says in its runs' provenance which process it is; dies at a cell whose file `die-SEED` is there."""

    def provenance(self, device: Device) -> dict[str, str]:
        return {"cogx.env.device_name": f"{device} of {os.getpid()}"}

    def begin(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> Callable[[], Outcome]:
        wait = Path(os.environ["TEST_RAY_FOLDER"], f"wait-{cell.spec.seed}")
        while wait.exists():
            time.sleep(0.01)
        die = Path(os.environ["TEST_RAY_FOLDER"], f"die-{cell.spec.seed}")
        if die.exists():
            if die.read_text() == "once":
                die.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().begin(cell, card, progress)


def make(uri: str, *_: object) -> FakeWorker:
    return Recording(RunStore(uri))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[None]:
    """Ray with two CPUs, which all tests of this file use."""
    os.environ["TEST_RAY_FOLDER"] = str(folder)
    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    del os.environ["TEST_RAY_FOLDER"]


def run(plan: Plan, progress: Progress | None = None) -> list[str]:
    with RayExecutor(workers=WORKERS, worker=make) as executor:
        return [outcome.status for outcome in executor.run(plan, progress or SilentProgress())]


def test_two_workers_share_the_cells_of_a_plan(plan: Plan, cluster: None, folder: Path) -> None:
    assert run(plan) == ["finished"] * 4

    runs = load_runs("exp", sort="seed")
    assert list(runs["status"]) == ["FINISHED"] * 4
    assert runs["tags.cogx.env.device_name"].nunique() <= WORKERS


def test_a_cell_whose_worker_dies_is_ended_as_killed_and_goes_to_another(
    plan: Plan, cluster: None, folder: Path
) -> None:
    (folder / "die-2").write_text("once")
    notes = Notes()

    assert run(plan, notes) == ["finished"] * 4

    runs = load_runs("exp", sort="seed")
    assert sorted(runs["status"]) == ["FINISHED"] * 4 + ["KILLED"]
    assert any("died" in note and "the cell is run again" in note for note in notes.notes)
