"""Cells that another host is at, or has left behind."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.cli import cli
from cogx_runs.execution.background import Background
from cogx_runs.execution.loop import CellLoop
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.planning.plan import Plan
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.signs import Life, Signs, now_ms
from cogx_runs.tracking.store import RunStore
from tests.support.running import Notes
from tests.support.workers import FakeWorker


@pytest.fixture
def store(plan: Plan) -> RunStore:
    return RunStore()


@pytest.fixture
def left(plan: Plan, store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The open run of the first cell, on a host that this one does not see."""
    with Claims(store) as claims:
        claim = claims.claim(store.open_experiment(plan.sweeps[0]), plan.runs[0].spec, {})
    assert claim is not None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another host"))
    monkeypatch.setattr("cogx_runs.execution.loop.WAIT_S", 0)
    return claim.run_id


def run(plan: Plan, store: RunStore, signs: Signs | None = None, notes: Notes | None = None) -> list[Outcome]:
    """The outcomes of the first two cells."""
    background: Background[Outcome] = Background(1)
    with background:
        two = replace(plan, runs=plan.runs[:2])
        worker = FakeWorker(store)
        return CellLoop(two, store, lambda: worker, background, notes or Notes(), signs=signs).run(fail_fast=False)


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


@pytest.mark.usefixtures("left")
def test_a_cell_without_a_sign_of_life_is_made_here_after_the_others(plan: Plan, store: RunStore) -> None:
    notes, minutes = Notes(), count()

    assert statuses(run(plan, store, Signs(watch_s=lambda: 60.0 * next(minutes)), notes)) == ["finished", "finished"]

    assert notes.notes == ["waiting for a sign of life of the host that makes seed=1 panda"]
    assert 5 <= next(minutes) <= 20
    assert sorted(load_runs("exp")["status"]) == ["FINISHED", "FINISHED", "KILLED"]


def test_a_cell_of_a_living_host_is_left_to_it_and_its_last_sign_is_told(
    plan: Plan, store: RunStore, left: str
) -> None:
    def minutes() -> Iterator[float]:
        for minute in count():
            store.seen(left, now_ms() - 130_000 + minute)  # a newer sign before each look
            yield 60.0 * minute

    looks = minutes()
    outcomes = run(plan, store, Signs(watch_s=lambda: next(looks)))

    assert statuses(outcomes) == ["elsewhere", "finished"]
    said = r"being run by host \S+, last sign of life 2 min ago; --take-over runs it here"
    assert outcomes[0].error is not None
    assert re.fullmatch(said, outcomes[0].error)


@pytest.mark.usefixtures("left")
def test_taking_over_runs_it_at_once(store: RunStore) -> None:
    taking = plan_sweeps(["seed.yaml"], device="cpu", take_over=True)

    assert statuses(run(taking, store, Signs(watch_s=lambda: 0.0))) == ["finished", "finished"]


@pytest.mark.usefixtures("left")
def test_a_sweep_that_leaves_a_cell_elsewhere_exits_with_1(
    plan: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claims(store) as there:
        for planned in plan.runs[1:]:
            there.claim(store.open_experiment(plan.sweeps[0]), planned.spec, {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("of a third host").absolute()))
    monkeypatch.setattr(Signs, "of", lambda *_: Life.ALIVE)  # a command has no argument for it

    result = CliRunner().invoke(cli, ["sweep", "seed.yaml", "--device", "cpu"])

    assert result.exit_code == 1, result.output
    assert result.stdout.count("--take-over runs it here") == 4


@pytest.mark.usefixtures("left")
def test_a_plan_names_the_host_and_its_last_sign(plan: Plan) -> None:
    (advice,) = [one for one in plan_sweeps(["seed.yaml"], device="cpu").advice if "sign of life" in one.message]

    assert advice.where == "seed.yaml:name"
    assert advice.message.startswith("seed=1 panda: being run by host ")
    assert advice.message.endswith(" s ago; --take-over runs it here")
    assert not any("sign of life" in one.message for one in plan.advice)
