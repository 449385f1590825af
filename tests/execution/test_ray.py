"""Plans run by a real Ray on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import ray
import yaml
from click.testing import CliRunner

from cogx_runs import best_trials, load_runs, run_sweeps
from cogx_runs.cli import cli
from cogx_runs.errors import StoreError
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
TOGETHER_WITHIN_S = 120


class Recording(FakeWorker):
    """Says in its runs' provenance which process it is; dies at a cell whose file `die-SEED` is there. Where the folder
    `together` is there, it begins its first cell when all workers do."""

    def provenance(self, device: Device) -> dict[str, str]:
        return {"cogx.env.device_name": f"{device} of {os.getpid()}"}

    def begin(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> Callable[[], Outcome]:
        folder = Path(os.environ["TEST_RAY_FOLDER"])
        if (together := folder / "together").exists():
            (together / str(os.getpid())).touch()
            ends = time.monotonic() + TOGETHER_WITHIN_S
            while len([*together.iterdir()]) < WORKERS:
                assert time.monotonic() < ends, "no other worker has begun a cell"
                time.sleep(0.01)
        die = folder / f"die-{cell.spec.seed}"
        if die.exists():
            if die.read_text() == "once":
                die.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().begin(cell, card, progress)


def make(uri: str, *_: object) -> FakeWorker:
    if (refused := Path(os.environ["TEST_RAY_FOLDER"]) / "refused").exists():
        with suppress(FileExistsError):
            (refused / "once").touch(exist_ok=False)
            raise StoreError("the store does not accept the login (HTTP 401)")
        ends = time.monotonic() + TOGETHER_WITHIN_S
        while not (refused / "noted").exists():
            assert time.monotonic() < ends, "nothing was noted of the other worker"
            time.sleep(0.01)
    return Recording(RunStore(uri))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[None]:
    """Ray with two CPUs, which tests of this file share. Its workers have other folders than the driver, as those of
    another host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_RAY_FOLDER", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


def run(plan: Plan, progress: Progress | None = None) -> list[str]:
    with RayExecutor(workers=WORKERS, worker=make) as executor:
        return [outcome.status for outcome in executor.run(plan, progress or SilentProgress())]


def test_two_workers_share_the_cells_of_a_plan(plan: Plan, cluster: None, folder: Path) -> None:
    (folder / "together").mkdir()

    assert run(plan) == ["finished"] * 4

    shutil.rmtree(folder / "together")
    runs = load_runs("exp", sort="seed")
    assert list(runs["status"]) == ["FINISHED"] * 4
    assert runs["tags.cogx.env.device_name"].nunique() == WORKERS


def test_a_worker_that_cannot_begin_is_named_with_the_reason_and_the_others_go_on(
    plan: Plan, cluster: None, folder: Path
) -> None:
    class SeenNotes(Notes):
        def note(self, message: str) -> None:
            super().note(message)
            (folder / "refused" / "noted").touch()

    (folder / "refused").mkdir()
    notes = SeenNotes()

    assert run(plan, notes) == ["finished"] * 4

    shutil.rmtree(folder / "refused")
    assert any(
        note.startswith("goes on without worker") and note.endswith("does not accept the login (HTTP 401)")
        for note in notes.notes
    )


def test_a_cell_whose_worker_dies_is_ended_as_killed_and_goes_to_another(
    plan: Plan, cluster: None, folder: Path
) -> None:
    (folder / "die-2").write_text("once")
    notes = Notes()

    assert run(plan, notes) == ["finished"] * 4

    runs = load_runs("exp", sort="seed")
    assert sorted(runs["status"]) == ["FINISHED"] * 4 + ["KILLED"]
    assert any("died" in note and "the cell is run again" in note for note in notes.notes)


def test_a_cell_at_which_two_workers_die_has_failed(plan: Plan, cluster: None, folder: Path) -> None:
    (folder / "die-3").write_text("always")

    assert run(plan) == ["finished", "finished", "failed", "finished"]

    runs = load_runs("exp")
    assert list(runs.loc[runs["run_name"] == "seed=3 panda", "status"]) == ["KILLED"] * 2


def test_workers_of_another_host_write_what_they_made_to_the_store_themselves(
    plan: Plan, cluster: None, folder: Path, tmp_path: Path
) -> None:
    with RayExecutor(workers=WORKERS) as executor:
        outcomes = executor.run(replace(plan, runs=plan.runs[:2]), SilentProgress())

    assert [outcome.status for outcome in outcomes] == ["finished"] * 2
    runs = load_runs("exp")
    assert runs["metrics.clip_score"].notna().all()
    for run_id in runs["run_id"]:
        assert RunStore().download(run_id, "video.mp4", tmp_path / run_id).stat().st_size > 0
    for state in (tmp_path / "state", folder / "state"):
        assert [path for path in state.rglob("*") if path.is_file()] == []
    assert ray.is_initialized(), "who joins a cluster does not end it"


def test_trials_of_a_search_run_at_once_and_one_whose_worker_dies_is_finished(
    plan: Plan, cluster: None, folder: Path, project: Path
) -> None:
    spec = plan.runs[0].spec
    content = {
        "name": "found", "prompts": ["panda"], "axes": {"guidance_scale": {"low": 1, "high": 12}}, "vary": "optuna",
        "base": {"model": spec.model, "clip_model": spec.clip_model, "num_inference_steps": 2, "num_frames": 9},
        "optuna": {"trials": 5, "objectives": ["clip_score"], "startup_trials": 1, "seeds": [11]},
    }  # fmt: skip
    (project / "search.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (folder / "die-11").write_text("once")
    (folder / "together").mkdir()

    with RayExecutor(workers=WORKERS, worker=make) as executor:
        outcomes = run_sweeps(["search.yaml"], device="cpu", executor=executor)

    shutil.rmtree(folder / "together")
    assert [outcome.status for outcome in outcomes] == ["finished"] * 5
    runs = load_runs("found")
    assert sorted(runs["status"]) == ["FINISHED"] * 5 + ["KILLED"]
    assert sorted(runs.loc[runs["status"] == "FINISHED", "tags.cogx.trial"]) == ["1", "2", "3", "4", "5"]
    assert list(best_trials("search.yaml", every=True, device="cpu")["state"]) == ["finished"] * 5


def test_threshold_and_promote_run_their_cells_by_ray(plan: Plan, cluster: None, project: Path) -> None:
    for name in ("cat", "dog", "fox", "owl"):
        (project / "prompts" / f"{name}.txt").write_text(f"A {name}.\n", encoding="utf-8")
    content = yaml.safe_load((project / "seed.yaml").read_text(encoding="utf-8"))
    content |= {"prompts": "all", "axes": {"num_inference_steps": [1, 2]}}
    (project / "seed.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    by_ray = ["--device", "cpu", "--json", "--executor", "ray", "--workers", str(WORKERS)]

    found, promoted = (
        json.loads(CliRunner().invoke(cli, [*command, *by_ray], catch_exceptions=False).stdout)
        for command in (
            ["threshold", "seed.yaml", "--margin", "1000", "--may-lose", "0.5"],
            ["promote", "exp", "--by", "clip_score", "--from-steps", "1", "--steps", "3"],
        )
    )

    assert (found["measured"], found["settled"], found["threshold"]["found"]) == ([2, 1], True, 1)
    assert [run["status"] for run in promoted["runs"]] == ["finished"] * 5
    assert all(one["final"] is not None for one in promoted["promoted"])
    runs = load_runs("exp")
    assert list(runs["status"]) == ["FINISHED"] * 15
    assert set(runs["tags.cogx.env.device_id"]) == {"cpu"}


def test_ctrl_c_ends_the_cells_at_work_as_killed_and_the_ray_that_was_started(plan: Plan, tmp_path: Path) -> None:
    script = "from cogx_runs.cli import main; main()"
    arguments = ["sweep", "seed.yaml", "--device", "cpu", "--steps", "1000", "--executor", "ray", "--workers", "2"]
    with subprocess.Popen([sys.executable, "-c", script, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if sum("worker" in one and "seed=" in one for one in told) == WORKERS:
                break
        started = psutil.Process(process.pid).children(recursive=True)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        told += process.communicate(timeout=60)[1].splitlines()

    assert process.returncode == 130, told
    assert list(load_runs("exp")["status"]) == ["KILLED"] * 2
    assert started
    assert psutil.wait_procs(started, timeout=20)[1] == []
