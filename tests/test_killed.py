"""Real processes, really killed: what is begun again, and that each cell is finished exactly once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from cogx_runs.tracking.store import RunStore

HERE = Path(__file__).parent
COGX_RUNS = [sys.executable, "-c", "from cogx_runs.cli import main; main()"]


@pytest.fixture
def sweep_file(tmp_path: Path, tiny_model: Path, tiny_clip: Path) -> Path:
    """A project without a store, with a sweep of two cells, the second of them long."""
    project = tmp_path / "project"
    (project / "prompts").mkdir(parents=True)
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


def start(
    sweep_file: Path, command: list[str], *options: str, stderr: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command, "sweep", sweep_file.name, *options],
        cwd=sweep_file.parent,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def start_long_cell(sweep_file: Path) -> subprocess.Popen[bytes]:
    """A sweep in its second, long cell."""
    process = start(sweep_file, COGX_RUNS)
    database = sweep_file.parent / "mlflow.db"
    deadline = time.monotonic() + 120
    while not (database.is_file() and _has_begun(sweep_file, "250")):
        assert process.poll() is None, "the sweep ended before its long cell began"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


def statuses(sweep_file: Path) -> Counter[tuple[str, str]]:
    """How many runs there are of each number of steps and status."""
    store = RunStore(f"sqlite:///{sweep_file.parent}/mlflow.db")
    return Counter(
        (run.info.run_name.removeprefix("steps=").split()[0], run.info.status) for run in store.runs(["exp"])
    )


def test_a_sweep_killed_between_any_two_writes_ends_with_each_cell_finished_once_and_denoises_none_again(
    sweep_file: Path,
) -> None:
    deaths = [
        ("before", "log_artifacts", "1"),
        ("before", "log_batch", "3"),
        ("after", "set_terminated", "1"),
        ("after", "create_run", "1"),
    ]

    codes = [start(sweep_file, [sys.executable, str(HERE / "killed_at.py"), *death]).wait() for death in deaths]
    last = start(sweep_file, COGX_RUNS).wait()

    assert (codes, last) == ([-signal.SIGKILL] * 4, 0)
    assert statuses(sweep_file) == {
        ("2", "KILLED"): 2,
        ("2", "FINISHED"): 1,
        ("250", "KILLED"): 1,
        ("250", "FINISHED"): 1,
    }
    runs = list(RunStore(f"sqlite:///{sweep_file.parent}/mlflow.db").runs(["exp"]))  # newest first
    first, (finished,) = (
        runs[-1],
        [run for run in runs if run.info.run_name.startswith("steps=2 ") and run.info.status == "FINISHED"],
    )
    assert finished.data.tags["cogx.latents_from"] == first.info.run_id
    assert (first.data.tags["cogx.latents"], finished.data.metrics["denoise_s"]) == (
        "kept",
        first.data.metrics["denoise_s"],
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_sweep_ends_its_run_as_killed_and_keeps_what_is_finished(
    sweep_file: Path, sent: signal.Signals
) -> None:
    process = start_long_cell(sweep_file)

    process.send_signal(sent)

    assert process.wait(timeout=60) == 130
    assert statuses(sweep_file) == {("2", "FINISHED"): 1, ("250", "KILLED"): 1}


def test_a_cell_of_a_process_that_dies_is_made_by_the_other_that_waits_for_it(sweep_file: Path) -> None:
    first = start_long_cell(sweep_file)
    first.send_signal(signal.SIGSTOP)
    second = start(sweep_file, COGX_RUNS, stderr=subprocess.PIPE)
    assert second.stderr is not None
    with second.stderr as told:
        assert any(b"waiting for another process that makes steps=250 panda" in line for line in told)
        first.kill()
        told.read()

    assert (first.wait(), second.wait(timeout=120)) == (-signal.SIGKILL, 0)
    assert statuses(sweep_file) == {("2", "FINISHED"): 1, ("250", "KILLED"): 1, ("250", "FINISHED"): 1}


def _has_begun(sweep_file: Path, steps: str) -> bool:
    import sqlite3

    with sqlite3.connect(f"file:{sweep_file.parent}/mlflow.db?mode=ro", uri=True) as database:
        try:
            names = database.execute("select name from runs").fetchall()
        except sqlite3.OperationalError:
            return False
    return (f"steps={steps} panda",) in names


def test_two_different_sweeps_at_once_make_a_cell_that_they_share_once_and_say_that_they_ran_together(
    sweep_file: Path,
) -> None:
    project = sweep_file.parent
    content = yaml.safe_load(sweep_file.read_text(encoding="utf-8"))
    content["axes"] = {"num_inference_steps": [500]}
    for name in ("a", "b"):
        (project / f"{name}.yaml").write_text(yaml.safe_dump({**content, "name": name}), encoding="utf-8")

    processes = [start(project / f"{name}.yaml", COGX_RUNS) for name in ("a", "b")]

    assert [process.wait() for process in processes] == [0, 0]
    runs = [run for name in ("a", "b") for run in RunStore(f"sqlite:///{project}/mlflow.db").runs([name])]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    made = [run for run in runs if "cogx.reused_from" not in run.data.tags]
    assert [run.data.tags["cogx.reused_from"] for run in runs if run not in made] == [made[0].info.run_id]
    assert made[0].data.tags["cogx.beside"] == "another sweep"


def test_two_sweeps_at_once_in_a_folder_without_a_store_finish_each_cell_exactly_once(sweep_file: Path) -> None:
    processes = [start(sweep_file, COGX_RUNS) for _ in range(2)]

    assert [process.wait() for process in processes] == [0, 0]
    assert statuses(sweep_file) == {("2", "FINISHED"): 1, ("250", "FINISHED"): 1}


def test_an_interrupt_that_python_drops_comes_again() -> None:
    script = """
import os, signal, subprocess, time
from cogx_runs import interrupts
interrupts.install()
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
subprocess.run(["true"], preexec_fn=os.setpgrp)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)

    assert (ended.stdout, ended.stderr, ended.returncode) == ("interrupted\n", "", 0)


def test_an_interrupt_that_falls_on_the_release_of_the_lock_of_logging_does_not_leave_it_held() -> None:
    script = """
import logging, sys, threading, time, types
from cogx_runs import interrupts
interrupts.install()
logging._acquireLock()
sys.unraisablehook(types.SimpleNamespace(exc_type=KeyboardInterrupt, object=logging._releaseLock))
try:
    other = threading.Thread(target=logging.getLogger, args=["other"], daemon=True)
    other.start()
    other.join(20)
    print(other.is_alive())
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)

    assert (ended.stdout, ended.stderr) == ("False\ninterrupted\n", "")
