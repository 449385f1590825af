"""A study whose folder was copied and moved, as by rsync from a GPU host to a laptop."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from cogx_runs import load_runs
from cogx_runs.tracking.tags import LATENTS_FROM
from tests.support.sweeping import statuses
from tests.tracking.test_locations import snapshot


@pytest.mark.slow
def test_every_command_works_in_a_copied_and_then_moved_study_and_writes_nothing_to_the_old_place(
    project: Path, invoke: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert statuses(invoke("sweep", "seed.yaml", "--json")) == ["finished", "finished"]
    before = snapshot(project)
    copied, moved = tmp_path / "copied", tmp_path / "there" / "moved"
    shutil.copytree(project, copied)
    monkeypatch.chdir(copied)

    plan = json.loads(invoke("plan", "seed.yaml", "--json", "--fps", 12).stdout)
    assert [run["action"] for run in plan["runs"]] == ["reuse", "reuse"]
    assert statuses(invoke("sweep", "seed.yaml", "--json", "--fps", 12)) == ["finished", "finished"]
    assert snapshot(project) == before

    shutil.rmtree(project)
    moved.parent.mkdir()
    copied.rename(moved)
    monkeypatch.chdir(moved)
    runs = load_runs("exp_seed")
    made = runs[runs["params.fps"] == 12]
    assert len(made) == 2
    assert set(made[f"tags.{LATENTS_FROM}"]) <= set(runs["run_id"])
    assert len(invoke("runs", "exp_seed").stdout.splitlines()) >= 4
    invoke("export", "exp_seed", "exported")
    assert len(list((moved / "exported").rglob("*.mp4"))) == 4
    assert invoke("report", "exp_seed", "-o", "page").exit_code == 0
    assert statuses(invoke("sweep", "seed.yaml", "--json", "--fps", 16)) == ["finished", "finished"]
    assert not project.exists()
    assert not copied.exists()
