"""The shared server of `server/start.py`: a login, and PostgreSQL behind it. Real ones."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from cogx_runs import load_runs
from cogx_runs.api import open_dashboard
from cogx_runs.tracking.store import RunStore
from tests.support.claims import claim
from tests.support.login_server import PASSWORD, USER
from tests.support.paths import ROOT
from tests.support.shared_server import NAME, shared_server
from tests.support.tracked import SPEC, SWEEP

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.slow

RUNNER = """
import sys
from pathlib import Path
sys.path.insert(0, ROOT)
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.spool import spooled_run
from cogx_runs.tracking.store import RunStore
from tests.support.tracked import SPEC, SWEEP
store = RunStore()
store.experiment_names()
with Claims(store) as claims:
    print("ready", flush=True)
    sys.stdin.readline()
    experiment = store.open_experiment(SWEEP)
    for seed in range(8):
        spec = SPEC.replace(seed=seed)
        claim = claims.claim(experiment, spec, {})
        if claim is not None:
            run = spooled_run(claims.holder, claim.cell_id)
            (run.files / "video.mp4").write_bytes(b"video")
            Delivery(store).end(run, {"seed": seed}, {"clip_score": 30.0}, {})
            print(seed, flush=True)
"""
"""Opens the experiment, claims each of eight cells, and finishes those that it gets; begins when it is told to."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with shared_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def server(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address, by the variables that a runner needs and no others."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    return url


@pytest.mark.usefixtures("server")
def test_hosts_that_begin_one_sweep_at_one_moment_finish_each_cell_exactly_once(tmp_path: Path) -> None:
    hosts = []
    for name in "abc":
        folders = {"XDG_CACHE_HOME": str(tmp_path / name), "XDG_STATE_HOME": str(tmp_path / f"{name} state")}
        hosts.append(
            subprocess.Popen(
                [sys.executable, "-c", f"ROOT = {str(ROOT)!r}\n{RUNNER}"],
                env=os.environ | folders,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for host in hosts:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
    for host in hosts:
        assert host.stdin is not None
        host.stdin.write("\n")
        host.stdin.flush()

    made = [seed for host in hosts for seed in map(int, host.communicate(timeout=120)[0].split())]

    assert [host.returncode for host in hosts] == [0, 0, 0]
    assert sorted(made) == list(range(8)), "what each host has made"
    runs = Counter((run.params["seed"], run.state) for run in RunStore().runs([SWEEP.name]))
    assert runs == {(str(seed), "FINISHED"): 1 for seed in range(8)}


def test_a_sweep_is_killed_and_resumed_and_read_by_report_runs_and_ui(
    invoke: Callable[..., "Result"], server: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", "from cogx_runs.cli import main; main()", "sweep", "seed.yaml", "--device", "cpu"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not _states().get("RUNNING"):
        assert killed.poll() is None, "the sweep has ended before it was killed"
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()

    assert invoke("sweep", "seed.yaml", "--device", "cpu").exit_code == 0

    assert _states()["FINISHED"] == 2
    assert not _states()["RUNNING"]
    assert sorted(load_runs("exp_seed").query("status == 'FINISHED'")["params.seed"]) == [7, 42]
    listed = json.loads(invoke("runs", "exp_seed", "--where", "status=finished", "--json").stdout)
    assert len(listed) == 2
    assert invoke("report", "seed.yaml", "-o", "page").exit_code == 0
    assert Path("page/report.html").read_text(encoding="utf-8").count('json" data-embedded=') == 2
    with open_dashboard(["exp_seed"]) as dashboard:
        assert dashboard.address.startswith(f"{server}/#/experiments/")


def test_another_user_writes_runs_of_the_same_experiment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = RunStore().open_experiment(SWEEP.model_copy(update={"name": "shared"}))
    user = {"username": "ada", "password": "ada's own password"}
    assert requests.post(f"{server}/api/2.0/mlflow/users/create", json=user, auth=(USER, PASSWORD)).status_code == 200
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user["username"])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", user["password"])

    run_id = claim(RunStore(), experiment, SPEC)

    assert RunStore().run(run_id, "shared").state == "RUNNING"


@pytest.mark.parametrize(("origin", "status"), [(f"https://{NAME}", 200), ("https://other.example.org", 403)])
def test_its_own_pages_read_runs_by_its_name_behind_a_proxy_and_no_others(url: str, origin: str, status: int) -> None:
    asked = requests.post(
        f"{url}/ajax-api/2.0/mlflow/runs/search",
        json={"experiment_ids": ["0"]}, headers={"Host": NAME, "Origin": origin}, auth=(USER, PASSWORD),
    )  # fmt: skip

    assert asked.status_code == status, asked.text


def test_a_wrong_password_is_one_line(
    invoke: Callable[..., "Result"], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"{PASSWORD}x")

    for command in (["sweep", "seed.yaml", "--device", "cpu"], ["runs"], ["report", "seed.yaml", "-o", "page"]):
        refused = invoke(*command)
        assert refused.exit_code == 2, refused.output
        (line,) = refused.stderr.strip().splitlines()
        assert "does not accept the login (HTTP 401); set MLFLOW_TRACKING_USERNAME" in line


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "server: set MLFLOW_AUTH_ADMIN_PASSWORD, the password of the user admin, of 12 characters or more"),
        (
            {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "MLFLOW_BACKEND_STORE_URI": "postgresql://x:y@127.0.0.1:1/mlflow"},
            "server: the database does not answer: ",
        ),
        (
            {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "MLFLOW_ARTIFACTS_DESTINATION": "other://bucket"},
            "server: MLFLOW_ARTIFACTS_DESTINATION=other://bucket: Could not find a registered artifact repository",
        ),
    ],
)
def test_what_the_server_lacks_is_one_line(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    started = subprocess.run(
        [sys.executable, "server/start.py", str(tmp_path / "data")],
        cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert started.returncode == 1
    assert started.stderr.startswith(said)
    assert len(started.stderr.splitlines()) == 1


def _states() -> Counter[str]:
    store = RunStore()
    return Counter(
        run.state.value for run in store.runs(["exp_seed"] if "exp_seed" in store.experiment_names() else [])
    )
