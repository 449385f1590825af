"""The executor on this machine over several plans: one store, one worker, nothing left over from the plan before."""

import errno
import os
import threading
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from cogx_runs.errors import CogxError
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.local import LocalExecutor, entered
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import SilentProgress
from cogx_runs.system.disk import DISK_FULL
from cogx_runs.tracking.store import RunStore
from tests.support.executors import FakeExecutor
from tests.support.running import run
from tests.support.workers import FakeWorker


@pytest.fixture
def store(plan: Plan) -> RunStore:
    return RunStore()


class Interrupted(FakeWorker):
    """Is interrupted at its second cell while the first is in the background, and again in waiting for that."""

    def __init__(self, store: RunStore) -> None:
        super().__init__(store)
        self.may_end = threading.Event()

    def begin(self, cell: ClaimedCell, *others: Any) -> Any:
        if cell.spec.seed == 2:
            raise KeyboardInterrupt
        return super().begin(cell, *others)

    def end(self, cell: ClaimedCell) -> Outcome:
        assert self.may_end.wait(60)
        return super().end(cell)


class Ended(SilentProgress):
    def __init__(self) -> None:
        self.names: list[str] = []

    def cell_ended(self, name: str, status: str, error: str | None = None) -> None:  # noqa: ARG002
        self.names.append(name)


def test_what_an_interrupted_plan_left_in_the_background_is_none_of_the_next_plans(plan: Plan, store: RunStore) -> None:
    worker, ended = Interrupted(store), Ended()
    with LocalExecutor(worker=lambda *_: worker, overlaps=True) as executor:
        drain = executor._background.drain
        executor._background.drain = Mock(side_effect=KeyboardInterrupt)  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            executor.run(replace(plan, runs=plan.runs[:2]), SilentProgress())
        executor._background.drain = drain  # type: ignore[method-assign]
        worker.may_end.set()
        (outcome,) = executor.run(replace(plan, runs=plan.runs[3:]), ended)

    assert (outcome.spec.seed, outcome.status) == (4, "finished")
    assert ended.names == ["seed=4 panda"]


def test_a_worker_that_cannot_be_made_leaves_none_that_is_closed(plan: Plan, store: RunStore) -> None:
    one, made = replace(plan, runs=plan.runs[:1]), []

    def make(uri: str, max_vram_gib: float | None, wait: object) -> FakeWorker:
        if max_vram_gib == 1:
            raise CogxError("no room")
        made.append(FakeWorker(store))
        return made[-1]

    with LocalExecutor(worker=make) as executor:
        executor.run(one, SilentProgress())
        with pytest.raises(CogxError, match="no room"):
            executor.run(replace(plan, runs=plan.runs[1:2], max_vram_gib=1), SilentProgress())
        executor.run(replace(plan, runs=plan.runs[2:3]), SilentProgress())

    assert [worker.events[-2:] for worker in made] == [["ended 1", "closed"], ["ended 3", "closed"]]


def test_an_executor_keeps_the_store_that_it_began_with(
    plan: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = []

    def make(uri: str, *_: object) -> FakeWorker:
        addresses.append(uri)
        return FakeWorker(store)

    with LocalExecutor(worker=make) as executor:
        executor.run(replace(plan, runs=plan.runs[:1]), SilentProgress())
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
        (outcome,) = executor.run(replace(plan, runs=plan.runs[1:2]), SilentProgress())

    assert addresses == [store.uri]
    finished = store.find_finished(outcome.spec.output_hash)
    assert finished is not None
    assert finished.run_id == outcome.run_id


def test_an_executor_that_tracks_elsewhere_than_the_plan_is_refused() -> None:
    other = FakeExecutor()
    other.tracking_uri = "sqlite:////other/mlflow.db"

    with pytest.raises(CogxError, match=r"the executor tracks in sqlite:////other/mlflow\.db; give both the same"):
        entered(other, None).__enter__()
    with entered(other, "sqlite:////other/mlflow.db") as used:
        assert used is other


def test_threads_sleep_while_they_wait_in_plans_on_a_cpu(
    plan: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def policy_of(one: Plan) -> str | None:
        for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
            monkeypatch.setenv(name, "")  # so that what is set is undone
            monkeypatch.delenv(name)
        with LocalExecutor(worker=lambda *_: FakeWorker(store)) as executor:
            executor.run(one, SilentProgress())
        return os.environ.get("OMP_WAIT_POLICY")

    on_gpu = replace(plan.runs[1], spec=plan.runs[1].spec.replace(device="cuda"))

    assert policy_of(replace(plan, runs=plan.runs[:1])) == "passive"
    assert policy_of(replace(plan, runs=(on_gpu,))) is None


class FullStore(RunStore):
    def describe(self, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_full_when_a_run_is_described_is_one_clear_line(plan: Plan) -> None:
    with pytest.raises(CogxError, match=DISK_FULL):
        run(plan, store=FullStore())
