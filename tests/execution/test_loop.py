"""The loop over a plan's cells, on a real store, with a worker that generates nothing."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.executor import CellWorker
from cogx_runs.execution.local import LocalExecutor
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import SilentProgress
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.store import RunStore
from tests.support.running import Notes, again
from tests.support.tracked import finish
from tests.support.workers import FakeWorker


@pytest.fixture
def store(plan: Plan) -> RunStore:
    return RunStore()


def run(plan: Plan, worker: FakeWorker, *, overlaps: bool = False, fail_fast: bool = False) -> list[str]:
    with LocalExecutor(worker=lambda *_: worker, overlaps=overlaps) as executor:
        ended = executor.run(plan, SilentProgress(), fail_fast=fail_fast)
    return [outcome.status for outcome in ended]


def test_each_cell_is_claimed_begun_and_ended_in_turn(plan: Plan, store: RunStore) -> None:
    worker = FakeWorker(store)

    assert run(replace(plan, runs=plan.runs[:2]), worker) == ["finished", "finished"]

    assert worker.events == [
        "prepared for 2 cells, 2 of them generated", "began 1", "ended 1", "began 2", "ended 2", "closed",
    ]  # fmt: skip
    runs = load_runs("exp", sort="seed")
    assert list(runs["status"]) == ["FINISHED", "FINISHED"]
    assert list(runs["tags.cogx.env.device_name"]) == ["cpu", "cpu"]


def test_a_plan_whose_cells_are_done_asks_the_worker_for_nothing(plan: Plan, store: RunStore) -> None:
    run(plan, FakeWorker(store))

    def make(*_: object) -> CellWorker:
        raise AssertionError("a worker is made, which imports torch")

    with LocalExecutor(worker=make) as executor:
        outcomes = executor.run(again(), SilentProgress())

    assert [outcome.status for outcome in outcomes] == ["done"] * 4


def test_fail_fast_begins_no_cell_after_one_that_failed(plan: Plan, store: RunStore) -> None:
    worker = FakeWorker(store, failing=[2])

    assert run(plan, worker, fail_fast=True) == ["finished", "failed", "skipped", "skipped"]
    assert "began 3" not in worker.events


def test_a_plan_that_follows_is_asked_for_where_all_is_done_and_fails_by_itself(plan: Plan, store: RunStore) -> None:
    worker, asked = FakeWorker(store, failing=[1]), []
    parts = [replace(plan, runs=plan.runs[:2]), replace(plan, runs=plan.runs[2:])]

    def more(ended: Mapping[int, Outcome], workers: int) -> Plan | None:
        asked.append(({place: str(outcome.status) for place, outcome in ended.items()}, workers))
        return parts[1] if len(ended) == 2 else None

    with LocalExecutor(worker=lambda *_: worker) as executor:
        ended = executor.run(parts[0], SilentProgress(), fail_fast=True, more=more)

    assert [outcome.status for outcome in ended] == ["failed", "skipped", "finished", "finished"]
    assert asked[0] == ({0: "failed", 1: "skipped"}, 1)
    assert worker.events.count("prepared for 2 cells, 2 of them generated") == 2


class Gated(FakeWorker):
    """Ends no cell before the next one has begun."""

    def __init__(self, store: RunStore) -> None:
        super().__init__(store)
        self._begun = [threading.Event() for _ in range(5)]

    def begin(self, cell: ClaimedCell, *others: object) -> Callable[[], Outcome]:
        rest = super().begin(cell, *others)  # type: ignore[arg-type]
        self._begun[cell.spec.seed].set()
        return rest

    def end(self, cell: ClaimedCell) -> Outcome:
        if cell.spec.seed < 4:
            assert self._begun[cell.spec.seed + 1].wait(60), "the next cell waits for this one's video"
        return super().end(cell)


def test_a_cell_that_is_begun_while_another_is_in_the_background_is_told_of_it(plan: Plan, store: RunStore) -> None:
    worker = Gated(store)

    assert run(plan, worker, overlaps=True) == ["finished"] * 4
    assert [cell.beside for cell in worker.cells[:2]] == [(), ("seed=1 panda",)]


def test_a_cell_whose_pixels_are_in_the_background_comes_after_those_that_need_the_device(
    plan: Plan, store: RunStore, project: Path
) -> None:
    content = yaml.safe_load((project / "seed.yaml").read_text(encoding="utf-8"))
    for name, seeds in (("a", [1, 2]), ("b", [2, 3, 4])):
        text = yaml.safe_dump({**content, "name": name, "axes": {"seed": seeds}})
        (project / f"{name}.yaml").write_text(text, encoding="utf-8")
    worker = Gated(store)

    assert run(plan_sweeps(["a.yaml", "b.yaml"], device="cpu"), worker, overlaps=True) == ["finished"] * 5
    begun = [(cell.spec.sweep, cell.spec.seed) for cell in worker.cells]
    assert begun[:3] == [("a", 1), ("a", 2), ("b", 3)]


class FinishingThere(Notes):
    """Has another holder finish its cell once the wait for it is told of."""

    def __init__(self, finish: Callable[[], object]) -> None:
        super().__init__()
        self._finish = finish

    def note(self, message: str) -> None:
        super().note(message)
        self._finish()


def test_a_cell_that_another_holder_has_is_done_once_that_has_finished_it(plan: Plan, store: RunStore) -> None:
    one = replace(plan, runs=plan.runs[:1])
    worker = FakeWorker(store)
    with Claims(store) as claims:
        spec = plan.runs[0].spec
        run_id, cell_id, _ = claims.claim(store.open_experiment(plan.sweeps[0]), spec, {}) or ("", "", False)
        notes = FinishingThere(partial(worker.end, ClaimedCell(spec, run_id, claims.holder, cell_id)))
        with LocalExecutor(worker=lambda *_: worker) as executor:
            (outcome,) = executor.run(one, notes)

    assert (outcome.status, outcome.run_id) == ("done", run_id)
    assert notes.notes == ["waiting for another process that makes seed=1 panda"]
    assert "began 1" not in worker.events


def test_fail_fast_waits_for_no_other_holder_once_a_cell_has_failed(plan: Plan, store: RunStore) -> None:
    two = replace(plan, runs=plan.runs[:2])
    worker = FakeWorker(store, failing=[2])
    with Claims(store) as claims:
        spec = plan.runs[0].spec
        run_id, cell_id, _ = claims.claim(store.open_experiment(plan.sweeps[0]), spec, {}) or ("", "", False)
        notes = FinishingThere(partial(worker.end, ClaimedCell(spec, run_id, claims.holder, cell_id)))
        with LocalExecutor(worker=lambda *_: worker) as executor:
            ended = executor.run(two, notes, fail_fast=True)

    assert [outcome.status for outcome in ended] == ["skipped", "failed"]
    assert notes.notes == []


def test_a_finished_run_that_lost_its_video_is_not_taken_for_what_another_holder_comes_to(
    plan: Plan, store: RunStore, tmp_path: Path
) -> None:
    one = replace(plan, runs=plan.runs[:1])
    worker, spec = FakeWorker(store), plan.runs[0].spec
    with Claims(store) as claims:
        experiment = store.open_experiment(plan.sweeps[0])
        run_id, cell_id, _ = claims.claim(experiment, spec, {}) or ("", "", False)
        about = {"cogx.kind": "run", "cogx.output_hash": spec.output_hash}
        finish(store, store.create_run(experiment, "lost", about), tmp_path / "artifacts")
        next(Path("mlruns").rglob("video.mp4")).unlink()
        finished_there = threading.Timer(0.5, worker.end, [ClaimedCell(spec, run_id, claims.holder, cell_id)])
        finished_there.start()
        with LocalExecutor(worker=lambda *_: worker) as executor:
            (outcome,) = executor.run(one, SilentProgress())

    assert (outcome.status, outcome.run_id) == ("done", run_id)


def test_the_runs_of_a_dead_holder_are_marked_and_their_cells_run(plan: Plan, store: RunStore) -> None:
    with Claims(store) as claims:
        claims.claim(store.open_experiment(plan.sweeps[0]), plan.runs[0].spec, {})
    notes = Notes()

    with LocalExecutor(worker=lambda *_: FakeWorker(store)) as executor:
        executor.run(replace(plan, runs=plan.runs[:1]), notes)

    assert notes.notes == ["Marked 1 run of a crashed process as KILLED"]
    assert sorted(load_runs("exp")["status"]) == ["FINISHED", "KILLED"]


class Dying(FakeWorker):
    """Dies at a cell so many times."""

    def __init__(self, store: RunStore, seed: int, times: int) -> None:
        super().__init__(store)
        self._seed = seed
        self._left = times

    def end(self, cell: ClaimedCell) -> Outcome:
        if cell.spec.seed != self._seed or not self._left:
            return super().end(cell)
        self._left -= 1
        return Outcome(cell.spec, OutcomeStatus.LOST, cell.run_id, error="the worker died")


def test_the_run_of_a_worker_that_died_is_ended_and_its_cell_begun_again(plan: Plan, store: RunStore) -> None:
    assert run(plan, Dying(store, seed=2, times=1)) == ["finished"] * 4

    assert list(load_runs("exp", where=["seed=2"])["status"]) == ["FINISHED", "KILLED"]


def test_a_cell_at_which_two_workers_died_has_failed_and_the_others_go_on(plan: Plan, store: RunStore) -> None:
    assert run(plan, Dying(store, seed=2, times=2)) == ["finished", "failed", "finished", "finished"]

    assert list(load_runs("exp", where=["seed=2"])["status"]) == ["KILLED"] * 2
