"""`runs --watch`: what a terminal and a pipe are shown while a sweep runs elsewhere."""

from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner

from cogx_runs.analysis.at_work import Watch
from cogx_runs.cli import cli, watch
from cogx_runs.cli.consoles import SafeConsole
from cogx_runs.errors import CogxError
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore
from tests.support.runs import SMALL, make_run

ABOUT = {"cogx.env.host": "node-1", "cogx.worker": "worker 2", "cogx.env.device_name": "NVIDIA H200",
         "cogx.env.device_id": "GPU-1a2b3c4d"}  # fmt: skip


def open_run(store: RunStore, claims: Claims) -> str:
    """A claimed run at its eighth step."""
    spec = SMALL.replace(sweep="exp", seed=2)
    claim = claims.claim(store.experiment_id("exp"), spec, ABOUT)
    assert claim is not None
    store.describe(claim.run_id, {"num_inference_steps": 50}, {})
    store.log_step(claim.run_id, 8)
    return claim.run_id


@pytest.fixture
def store(project: Path) -> RunStore:
    store = RunStore()
    make_run(store, SMALL.replace(sweep="exp", seed=1), metrics={"wall_time_s": 60.0})
    store.tag_experiment(store.experiment_id("exp"), {"cogx.cells": "5"})
    return store


def shown(store: RunStore, width: int = 120) -> str:
    text = StringIO()
    console = SafeConsole(width=width, file=text)
    console.print(watch.progress_table(Watch(store).look(), console))
    return text.getvalue()


def test_each_worker_stands_with_its_cell_its_step_and_its_device(store: RunStore) -> None:
    with Claims(store) as claims:
        open_run(store, claims)
        text = shown(store)

    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "sweep finished running time left"
    assert lines[1].startswith("exp ━━━━━━━━━━━━━━━━━━━━ 1 of 5 1 about ")
    assert lines[3] == "worker host device cell step since"
    assert lines[4].startswith("worker 2 node-1 NVIDIA H200 1a2b")
    assert " 8 of 50 " in lines[4]
    assert lines[6].startswith("1 of 5 finished, 1 worker at work, about ")


def test_a_run_whose_process_is_gone_is_nobody_at_work_and_a_sweep_without_cells_left_is_left_out(
    store: RunStore,
) -> None:
    with Claims(store) as claims:
        run_id = open_run(store, claims)
    assert "1 of 5 finished, nobody at work" in shown(store)

    store.kill(run_id)
    store.tag_experiment(store.experiment_id("exp"), {"cogx.cells": "2"})
    assert RunStore().run(run_id, "exp").state is RunState.KILLED
    assert "1 of 2 finished" in shown(store)


def test_in_a_pipe_each_change_is_a_line_and_ctrl_c_leaves(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    looks = 0

    def wait(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            make_run(store, SMALL.replace(sweep="exp", seed=3), metrics={"wall_time_s": 60.0})
        if looks == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch.watch_runs("exp", wait)

    assert capsys.readouterr().out.splitlines() == ["exp: 1 of 5 finished", "exp: 2 of 5 finished"]


def test_what_cannot_be_watched_is_one_line(store: RunStore) -> None:
    result = CliRunner().invoke(cli, ["runs", "--watch", "--json"])

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2, "Error: --watch: shows its own table; leave out --where, --sort, --columns and --json",
    )  # fmt: skip
    with pytest.raises(CogxError, match="no experiment 'expp'"):
        watch.watch_runs("expp")
