"""MLflow's real server, started and ended."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

from cogx_runs.api import open_dashboard
from cogx_runs.dashboard.server import running, serve
from cogx_runs.dashboard.view import page
from cogx_runs.errors import CogxError
from cogx_runs.tracking.columns import CELLS
from cogx_runs.tracking.store import RunStore
from tests.support.claims import claim
from tests.support.tracked import SPEC, SWEEP, finish

VIEW = "&compareRunsMode=CHART&viewStateShareKey=cogx"


def test_ui_prints_the_address_of_the_sweeps_runs_and_ctrl_c_leaves_nothing_behind(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = project / "100%25 a%20b?c#d" / "study"
    odd.parent.mkdir()
    shutil.copytree(project, odd, ignore=shutil.ignore_patterns(odd.parent.name))
    monkeypatch.chdir(odd)
    store = RunStore()
    experiment = store.open_experiment(SWEEP)
    run_id = claim(store, experiment, SPEC)
    finish(store, run_id, tmp_path / "artifacts")
    process = subprocess.Popen(
        [sys.executable, "-c", "from cogx_runs.cli import main; main()", "ui", "exp", "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    address = process.stdout.readline().strip()

    match = re.fullmatch(
        rf"(http://127\.0\.0\.1:\d+)/#/experiments/(\d+)/runs\?workflowType=machine_learning{VIEW}", address
    )
    assert match is not None
    assert match[2] == experiment
    with urlopen(match[1]) as page:
        assert b"<title>MLflow</title>" in page.read()
    with urlopen(_search(match[1], experiment)) as answer:
        assert [run["info"]["run_id"] for run in json.load(answer)["runs"]] == [run_id]
    with urlopen(f"{match[1]}/get-artifact?path=video.mp4&run_uuid={run_id}") as artifact:
        assert artifact.read() == b"video"
    family = psutil.Process(process.pid).children(recursive=True)
    assert family

    process.send_signal(signal.SIGINT)

    process.communicate(timeout=30)
    assert process.returncode == 130
    assert psutil.wait_procs(family, timeout=10)[1] == []


def _search(url: str, experiment: str) -> Request:
    body = json.dumps({"experiment_ids": [experiment], "filter": CELLS}).encode()
    return Request(f"{url}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"})


def test_a_server_that_cannot_start_is_one_clear_line(project: Path) -> None:
    with pytest.raises(CogxError, match="^mlflow server ended at once: "), serve(uri="nonsense://x"):
        pass


def test_a_store_that_is_a_server_is_pointed_at_and_not_started_again() -> None:
    with serve(page("7"), uri="http://tracking.example:5000/") as server:
        assert server.process is None
        assert server.address == f"http://tracking.example:5000/{page('7')}"


def test_a_sweep_that_was_not_run_is_told_before_a_server_is_started(project: Path) -> None:
    with pytest.raises(CogxError, match="exp1_guidance_scale has not been run yet; run `cogx-runs sweep guidance`"):
        open_dashboard(["guidance"]).__enter__()


def test_a_port_in_use_is_refused_before_a_server_is_started(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(CogxError, match=f"^--port {port}: cannot be used"), serve(port=port):
            pass


@pytest.mark.slow
def test_two_servers_started_at_once_serve_each_its_own_store(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(empty_store / "mlflow.db", tmp_path / name)
    uris = [f"sqlite:///{tmp_path}/{name}/mlflow.db" for name in ("a", "b")]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        # Both are to find the same usual port free, and on this machine another program may hold the real one.
        monkeypatch.setattr("cogx_runs.dashboard.server.USUAL_PORT", probe.getsockname()[1])

    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda uri: stack.enter_context(serve(uri=uri)), uris)

        assert first.url != second.url
        assert [running(uri) for uri in uris] == [first.url, second.url]
    assert [running(uri) for uri in uris] == [None, None]
