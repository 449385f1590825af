"""A tracking server that goes away while a sweep runs: real servers, killed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.services import MlflowServer
from cogx_runs import deliver, load_runs
from cogx_runs.dashboard.pictures import write_pictures
from cogx_runs.errors import StoreUnavailableError
from cogx_runs.execution import waiting
from cogx_runs.generation.generate import decode, denoise
from cogx_runs.planning.plan import Plan
from cogx_runs.tracking import client
from cogx_runs.tracking.spool import left_behind, spool_directory
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import write_mp4
from tests.support.running import Notes, outcomes, run


@pytest.fixture
def server(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    """The tracking server of this test, whose patience is short."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes((empty_store / "mlflow.db").read_bytes())
    monkeypatch.setattr(waiting, "GRACE_S", 0.0)
    monkeypatch.setattr(client, "RETRY_S", 0.2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with MlflowServer(folder) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server


@pytest.fixture
def cells(server: MlflowServer, plan: Plan) -> Plan:
    """Two cells, planned while the server was there."""
    return replace(plan, runs=plan.runs[:2])


def once(act: Callable[[], None], work: Callable[..., Any], *, before: bool, call: int = 1) -> Callable[..., Any]:
    """`work`, before or after whose N-th call something happens."""
    calls = count(1)

    def acting(*arguments: Any) -> Any:
        is_time = next(calls) == call
        if is_time and before:
            act()
        result = work(*arguments)
        if is_time and not before:
            act()
        return result

    return acting


def assert_each_cell_is_whole_once(folder: Path) -> None:
    runs = load_runs("exp")
    assert list(runs["status"]) == ["FINISHED", "FINISHED"]
    assert sorted(runs["params.seed"]) == [1, 2]
    store = RunStore()
    for tracked in store.runs():
        assert store.download(tracked.run_id, "video.mp4", folder / tracked.run_id).stat().st_size > 0
        assert store.download(tracked.run_id, "latents.safetensors", folder / tracked.run_id).stat().st_size > 0
        assert sorted(len(values) for values in store.series(tracked).values()) == [2, 8, 9], "nothing is there twice"
        assert tracked.run_id in tracked.tags["mlflow.note.content"]
    assert list(spool_directory().iterdir()) == []


def test_cells_go_on_while_the_server_is_away_and_are_delivered_when_it_is_back(
    server: MlflowServer, cells: Plan, tmp_path: Path
) -> None:
    gone = once(server.kill, denoise, before=True)
    with pytest.raises(
        StoreUnavailableError, match=r"^tracking store http[^ ]+ does not answer; 2 finished cells kept in"
    ):
        run(cells, denoise=gone)
    with pytest.raises(StoreUnavailableError, match="2 finished cells kept in"):
        deliver()

    server.start()

    assert [(delivered.name, delivered.state) for delivered in deliver()] == [
        ("seed=1 panda", "FINISHED"),
        ("seed=2 panda", "FINISHED"),
    ]
    assert deliver() == []
    assert_each_cell_is_whole_once(tmp_path / "artifacts")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "work", "before"),
    [
        ("denoise", denoise, True),
        ("denoise", denoise, False),
        ("decode", decode, False),
        ("write_mp4", write_mp4, False),
    ],
)
def test_a_server_that_comes_back_during_the_sweep_gets_all_of_it(
    server: MlflowServer, cells: Plan, tmp_path: Path, phase: str, work: Callable[..., Any], before: bool
) -> None:
    parts: dict[str, Any] = {
        phase: once(server.kill, work, before=before),
        "write_pictures": once(server.start, write_pictures, before=True, call=2),
    }
    notes = Notes()

    done = outcomes(cells, notes, **parts)

    assert [note.split(f"the tracking store {server.url} ")[1][:10] for note in notes.notes] == [
        "does not a",
        "answers ag",
    ]
    assert [outcome.status for outcome in done] == ["finished", "finished"]
    assert {outcome.run_id for outcome in done} == set(load_runs("exp")["run_id"])
    assert_each_cell_is_whole_once(tmp_path / "artifacts")


@pytest.mark.slow
def test_a_server_that_swallows_all_holds_nobody_up_after_ctrl_c(server: MlflowServer, cells: Plan) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(cells, denoise=once(server.stop, denoise, before=False), decode=interrupt)

    assert time.monotonic() - started < 60, "MLflow's own retries last minutes"
    assert [run.latents is not None for run in left_behind()] == [True]
