"""The wheel, installed in an empty folder."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.mark.slow
def test_the_wheel_gives_a_working_command_with_its_sweeps_and_prompts(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    wheel = next(tmp_path.glob("*.whl"))
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    # The dependencies, gigabytes of them, are those of the environment that runs the tests.
    installed = next(path for path in sys.path if path.endswith("site-packages"))
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": installed, "PYTHONSAFEPATH": "1"}
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*arguments: str) -> str:
        command = [str(tmp_path / "venv" / "bin" / "cogx-runs"), *arguments]
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    where = subprocess.run(
        [python, "-c", "import cogx_runs; print(cogx_runs.__file__)"],
        cwd=empty, env={**os.environ, "PYTHONSAFEPATH": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(tmp_path / "venv") in where.stdout
    assert "20 cells: 16 to run, 4 to reuse" in run("plan", "study")
    assert len(run("init", "laid").splitlines()) == 23
    assert sorted(path.name for path in (empty / "laid").iterdir()) == ["mlruns", "prompts", "sweeps"]
    assert "20 cells: 16 to run, 4 to reuse" in run("plan", "laid/sweeps/study.yaml", "--prompts", "laid/prompts")
    assert not (empty / "mlflow.db").exists()
