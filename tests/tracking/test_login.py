"""A real MLflow server with a login, also behind a proxy under a path; and credentials, which nothing keeps or says."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cogx_runs import plan_sweeps
from cogx_runs.api import open_dashboard
from cogx_runs.tracking.store import RunStore
from tests.support.claims import claim
from tests.support.login_server import ESCAPED, PASSWORD, USER, proxy, server_with_login, with_login
from tests.support.running import Notes, outcomes
from tests.support.tracked import SPEC, SWEEP, finish

if TYPE_CHECKING:
    from click.testing import Result

TOKEN = "hf_" + "pl4nted" * 5
PLANTED = (ESCAPED, PASSWORD, TOKEN, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


def found_in(text: bytes) -> list[str]:
    return [secret for secret in PLANTED if secret.encode() in text]


def kept_in(folder: Path) -> list[tuple[str, str]]:
    """Each file below a folder with the credentials in it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [(str(path), secret) for path in files for secret in found_in(path.read_bytes())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with server_with_login(folder) as url:
        yield url


@pytest.fixture(scope="module")
def under_path(server: str) -> Iterator[str]:
    with proxy(server, "/mlflow") as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("in_address", [True, False])
@pytest.mark.parametrize("is_under_path", [True, False])
def test_runs_and_their_files_are_written_and_read_with_the_login(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    in_address: bool,
    is_under_path: bool,
) -> None:
    url = request.getfixturevalue("under_path" if is_under_path else "server")
    uri = with_login(url) if in_address else f"{url}/"
    if not in_address:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    store = RunStore(uri)
    experiment = store.open_experiment(SWEEP)
    run_id = claim(store, experiment, SPEC.replace(seed=10 + 2 * in_address + is_under_path))

    finish(store, run_id, tmp_path / "artifacts")

    assert store.download(run_id, "video.mp4", tmp_path).read_bytes() == b"video"
    with open_dashboard(["exp"], tracking_uri=uri) as dashboard:
        assert dashboard.address.startswith(f"{url}/#/experiments/{experiment}/runs?")


@pytest.mark.slow
def test_a_sweep_leaves_no_credential_anywhere(
    invoke: Callable[..., "Result"], folder: Path, under_path: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": with_login(under_path),
        "HF_TOKEN": TOKEN,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    def call(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        program = [sys.executable, "-c", "from cogx_runs.cli import main; main()"]
        done = subprocess.run([*program, *arguments], env=environment, capture_output=True, check=False)
        assert found_in(done.stdout + done.stderr) == []
        return done

    swept = call("sweep", "guidance.yaml", "--device", "cpu", "--json")

    assert [run["status"] for run in json.loads(swept.stdout)["runs"]] == ["finished", "finished"], swept
    assert b"http" in swept.stderr, "the address to watch it"
    for arguments in ("plan guidance.yaml", "runs exp_guidance", "runs no_such", "doctor --model toy"):
        call(*arguments.split())
    call("report", "exp_guidance", "-o", "page")
    environment["MLFLOW_TRACKING_URI"] = with_login(under_path, ESCAPED[:-1])
    assert call("runs").returncode == 2
    assert [*kept_in(folder), *kept_in(tmp_path)] == []


@pytest.mark.slow
def test_a_failed_cell_leaves_no_credential_anywhere(
    invoke: Callable[..., "Result"], folder: Path, under_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    uri = with_login(under_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(sys, "argv", ["cogx-runs", "sweep", uri])
    notes = Notes()

    def fail(*_: Any) -> Any:
        raise RuntimeError(f"401 for {uri} with {TOKEN}")

    ended = outcomes(
        plan_sweeps(["seed.yaml"], device="cpu", overrides={"num_inference_steps": 3}), notes, denoise=fail
    )

    assert [outcome.status for outcome in ended] == ["failed", "failed"]
    assert [outcome.error for outcome in ended] == [f"401 for {under_path} with ***"] * 2
    (run, *_) = RunStore().runs(["exp_seed"])
    assert run.tags["cogx.env.command_line"] == f"cogx-runs sweep {under_path}"
    assert f"401 for {under_path} with ***" in RunStore().download(run.run_id, "traceback.txt", tmp_path).read_text()
    out, err = capfd.readouterr()
    assert found_in((out + err + str(notes.notes)).encode()) == []
    assert [*kept_in(folder), *kept_in(tmp_path)] == []
