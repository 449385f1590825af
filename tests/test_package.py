"""What is handed out: a source distribution, and the wheel made of it, installed in an empty folder."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow
IN_SOURCE = ("cogx_runs", "sweeps", "prompts", "tests", "benchmarks", "docs", "notebooks")
SHIPPED = {"sweeps": "cogx_runs/shipped/sweeps", "prompts": "cogx_runs/shipped/prompts"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True, capture_output=True)
    return folder


def files_of(folder: str, named: str | None = None) -> set[str]:
    """The files of a folder of the checkout, with `named` in its place."""
    paths = [path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {f"{named or folder}/{path.as_posix()}" for path in paths if "__pycache__" not in path.parts}


def test_the_sdist_has_code_tests_docs_and_the_licence(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}

    expected = {name for folder in IN_SOURCE for name in files_of(folder)}
    assert expected - held == set()
    assert held - expected == {
        "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "constraints.txt", "pyproject.toml",
        "PKG-INFO", ".gitignore",
    }  # fmt: skip


def test_the_wheel_has_the_package_without_the_toys_training(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]

    training = files_of("cogx_runs/toy/train") | {"cogx_runs/toy/weights/train.log.jsonl"}
    shipped = {name for folder, named in SHIPPED.items() for name in files_of(folder, named)}
    assert held == (files_of("cogx_runs") - training) | shipped
    assert len(licences) == 1


def test_the_wheel_gives_a_working_command_with_its_sweeps_prompts_and_toy(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    # The dependencies, gigabytes of them, are those of the environment that runs the tests.
    installed = next(path for path in sys.path if path.endswith("site-packages"))
    wheel = next(built.glob("*.whl"))
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": installed, "PYTHONSAFEPATH": "1"}
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*arguments: str) -> str:
        command = [str(tmp_path / "venv" / "bin" / "cogx-runs"), *arguments]
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    command = [str(python), "-c", "import cogx_runs; print(cogx_runs.__file__)"]
    where = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=True)
    assert str(tmp_path / "venv") in where.stdout
    assert "20 cells: 16 to run, 4 to reuse" in run("plan", "study")
    assert len(run("init", "laid").splitlines()) == 23
    assert sorted(path.name for path in (empty / "laid").iterdir()) == ["mlruns", "prompts", "sweeps"]
    laid = ("laid/sweeps/study.yaml", "--prompts", "laid/prompts", "--model", "toy", "--device", "cpu")
    assert "20 cells: 16 to run, 4 to reuse" in run("plan", *laid)
    assert not (empty / "mlflow.db").exists()
