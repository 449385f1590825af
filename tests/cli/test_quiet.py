"""What a command says in its own process: its own lines, and nothing of libraries or of credentials."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from click.testing import Result


def ran(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_an_unexpected_error_keeps_its_traceback_and_shows_no_password() -> None:
    program = """
from cogx_runs.cli import cli, main
def fail(**_):
    raise ValueError("no answer of http://me:pl4nted@host/x")
cli.commands["init"].callback = fail
main()
"""
    done = ran(program, "init", "folder")

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.splitlines()[-1] == "ValueError: no answer of http://host/x"


@pytest.mark.slow
def test_a_store_that_cannot_grow_is_told_in_one_line_without_those_of_mlflow(
    invoke: "Callable[..., Result]",
    project: Path,
) -> None:
    program = f"""
import resource
from cogx_runs.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, 2 * ({(project / "mlflow.db").stat().st_size},))
main()
"""
    done = ran(program, "sweep", "guidance.yaml", "--device", "cpu")

    assert done.returncode == 2
    assert "disk I/O error" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "sqlalche" not in done.stderr
    assert len(done.stderr.splitlines()) < 15
