"""Real processes, really killed: what is begun again, and that each cell is finished exactly once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import yaml

from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.spool import spool_directory
from cogx_runs.tracking.store import RunStore
from tests.support.processes import Death, ended, start, told_by


@pytest.fixture
def sweep_file(project: Path, tiny_model: Path, tiny_clip: Path) -> Path:
    """A sweep of two cells, the second of them long."""
    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.", encoding="utf-8")
    content = {
        "name": "exp",
        "prompts": ["panda"],
        "base": {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_frames": 9},
        "axes": {"num_inference_steps": [2, 250]},
    }
    (project / "steps.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return project / "steps.yaml"


@pytest.mark.slow
def test_a_store_whose_making_was_killed_at_any_moment_is_made_again(tmp_path: Path) -> None:
    script = "from cogx_runs.tracking.store import RunStore; print('begin', flush=True); RunStore(); print('made')"
    for delay_s in (0.3, 0.8, 1.3):
        process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay_s)
        process.kill()
        process.communicate()

    made = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert made.stdout == "begin\nmade\n"


def start_long_cell(sweep_file: Path) -> BaseProcess:
    """A sweep in its second, long cell."""
    process = start("sweep", sweep_file.name)
    wait_until(lambda: ("250", "RUNNING") in statuses(), process)
    return process


def wait_until(condition: Callable[[], bool], process: BaseProcess) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.is_alive(), "the sweep ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def statuses() -> Counter[tuple[str, str]]:
    """How many runs there are of each number of steps and status."""
    return Counter((run.name.removeprefix("steps=").split()[0], run.state) for run in RunStore().runs())


LATENTS, END_OF_A_RUN = ("before", "log_artifact", 1), ("before", "log_artifacts", 1)


@pytest.mark.parametrize(
    ("deaths", "hit"),
    [
        ([LATENTS, END_OF_A_RUN], "2"),
        pytest.param(
            [END_OF_A_RUN, END_OF_A_RUN, ("after", "set_terminated", 1), LATENTS, END_OF_A_RUN],
            "250",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["latents and end", "the same end twice, its last write, and the other cell"],
)
def test_a_sweep_killed_between_any_two_writes_ends_with_each_cell_finished_once_and_denoises_none_again(
    sweep_file: Path, deaths: list[Death], hit: str
) -> None:
    codes = [ended(start("sweep", sweep_file.name, dies=death)) for death in [*deaths, None]]

    assert codes == [*[-signal.SIGKILL] * len(deaths), 0]
    assert statuses() == {("2", "FINISHED"): 1, ("250", "FINISHED"): 1, (hit, "KILLED"): 1}
    runs = {(run.name.split()[0], run.state): run for run in RunStore().runs()}
    killed, finished = runs[f"steps={hit}", RunState.KILLED], runs[f"steps={hit}", RunState.FINISHED]
    assert finished.tags["cogx.latents_from"] == killed.run_id
    assert (killed.tags["cogx.latents"], finished.metrics["denoise_s"]) == ("kept", killed.metrics["denoise_s"])
    assert not any(spool_directory().iterdir())


@pytest.mark.parametrize("sent", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_sweep_ends_its_run_as_killed_and_keeps_what_is_finished(
    sweep_file: Path, sent: signal.Signals
) -> None:
    process = start_long_cell(sweep_file)

    _send(process, sent)

    assert ended(process) == 130
    assert statuses() == {("2", "FINISHED"): 1, ("250", "KILLED"): 1}


@pytest.mark.slow
def test_a_cell_of_a_process_that_dies_is_made_by_the_other_that_waits_for_it(sweep_file: Path) -> None:
    first = start_long_cell(sweep_file)
    _send(first, signal.SIGSTOP)
    second = start("sweep", sweep_file.name)
    waits = "waiting for another process that makes steps=250 panda"
    wait_until(lambda: waits in told_by(second), second)

    first.kill()

    assert (ended(first), ended(second)) == (-signal.SIGKILL, 0)
    assert statuses() == {("2", "FINISHED"): 1, ("250", "KILLED"): 1, ("250", "FINISHED"): 1}


def _send(process: BaseProcess, sent: signal.Signals) -> None:
    assert process.pid is not None
    os.kill(process.pid, sent)


@pytest.mark.slow
def test_two_different_sweeps_at_once_make_a_cell_that_they_share_once_and_say_that_they_ran_together(
    sweep_file: Path,
) -> None:
    project = sweep_file.parent
    content = yaml.safe_load(sweep_file.read_text(encoding="utf-8"))
    content["axes"] = {"num_inference_steps": [500]}
    for name in ("a", "b"):
        (project / f"{name}.yaml").write_text(yaml.safe_dump({**content, "name": name}), encoding="utf-8")

    processes = [start("sweep", f"{name}.yaml") for name in ("a", "b")]

    assert [ended(process) for process in processes] == [0, 0]
    runs = list(RunStore().runs())
    assert [run.state for run in runs] == ["FINISHED", "FINISHED"]
    made = [run for run in runs if "cogx.reused_from" not in run.tags]
    assert [run.tags["cogx.reused_from"] for run in runs if run not in made] == [made[0].run_id]
    assert made[0].tags["cogx.beside"] == "another sweep"


def test_two_sweeps_at_once_in_a_folder_without_a_store_finish_each_cell_exactly_once(sweep_file: Path) -> None:
    Path("mlflow.db").unlink()

    processes = [start("sweep", sweep_file.name) for _ in range(2)]

    assert [ended(process) for process in processes] == [0, 0]
    assert statuses() == {("2", "FINISHED"): 1, ("250", "FINISHED"): 1}
