"""What `gc` finds in a real store, removes, and leaves."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from cogx_runs import collect_garbage
from cogx_runs.cleanup.garbage import Kind
from cogx_runs.cli import cli
from cogx_runs.tracking import tags
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import tracking_uri
from tests.support.claims import claim
from tests.support.tracked import SPEC, SWEEP, finish

Found = list[tuple[str, str]]


@pytest.fixture
def store(project: Path) -> RunStore:
    with closing(sqlite3.connect("mlflow.db")) as database, database:  # as if it was made for this test
        database.execute("UPDATE experiments SET creation_time = ?", [int(time.time() * 1000) - 1000])
    return RunStore()


def finished(store: RunStore, tmp_path: Path, seed: int, **about: str) -> str:
    """A finished run with a video. Returns its id."""
    run_id = claim(store, store.open_experiment(SWEEP), SPEC.replace(seed=seed), about)
    finish(store, run_id, tmp_path / "artifacts")
    return run_id


def folder_of(run_id: str) -> Path:
    return Path("mlruns").absolute() / "1" / run_id


def found(remove: bool = False) -> Found:
    every = collect_garbage(remove=remove)
    return [(one.kind.value, one.what) for one in every if one.kind is not Kind.SPOOL]  # which `claim` leaves


def mlflow() -> MlflowClient:
    return MlflowClient(tracking_uri())


def test_a_store_whose_runs_are_all_there_has_nothing_to_remove(store: RunStore, tmp_path: Path) -> None:
    kept = finished(store, tmp_path, 1)
    latents = claim(store, store.open_experiment(SWEEP), SPEC.replace(seed=2))
    (tmp_path / "latents.safetensors").write_bytes(b"latents")
    store.keep_latents(latents, tmp_path / "latents.safetensors", {}, {})
    store.kill(latents)

    assert found(remove=True) == []
    assert (folder_of(kept) / "artifacts" / "video.mp4").exists()
    assert (folder_of(latents) / "artifacts" / "latents.safetensors").exists()


def test_a_store_of_any_name_knows_its_own_artifacts(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = finished(store, tmp_path, 1)
    Path("mlflow.db").rename("runs.sqlite")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('runs.sqlite').absolute()}")

    assert found(remove=True) == []
    assert (folder_of(kept) / "artifacts" / "video.mp4").exists()


def test_a_deleted_run_is_shown_first_and_removed_with_its_artifacts_when_asked(
    store: RunStore, tmp_path: Path
) -> None:
    kept, deleted = finished(store, tmp_path, 1), finished(store, tmp_path, 2)
    mlflow().delete_run(deleted)

    shown = collect_garbage()[0]
    assert (shown.kind.value, shown.size_bytes, shown.is_removed) == ("deleted", len(b"video"), False)
    assert deleted in shown.what
    assert folder_of(deleted).exists()

    removed = collect_garbage(remove=True)[0]
    assert removed.is_removed
    assert not folder_of(deleted).exists()
    assert [one.run.run_id for one in store.recorded()] == [kept]
    assert (folder_of(kept) / "artifacts" / "video.mp4").exists()
    assert found() == []


@pytest.mark.parametrize("tag", [tags.REUSED_FROM, tags.LATENTS_FROM, tags.PROMOTED_FROM])
def test_a_deleted_run_that_a_finished_one_names_stays(tag: str, store: RunStore, tmp_path: Path) -> None:
    deleted = finished(store, tmp_path, 1)
    finished(store, tmp_path, 2, **{tag: deleted})
    mlflow().delete_run(deleted)

    assert found(remove=True) == []
    assert (folder_of(deleted) / "artifacts" / "video.mp4").exists()


def test_a_deleted_experiment_goes_with_its_runs(store: RunStore, tmp_path: Path) -> None:
    run_id = finished(store, tmp_path, 1)
    mlflow().delete_experiment(store.experiment_id("exp"))

    assert [kind for kind, _ in found(remove=True)] == ["deleted", "deleted"]
    assert store.deleted_experiments() == {}
    assert not folder_of(run_id).exists()
    assert store.open_experiment(SWEEP)


def test_a_deleted_experiment_stays_while_one_of_its_runs_does(store: RunStore, tmp_path: Path) -> None:
    deleted = finished(store, tmp_path, 1)
    other = SWEEP.model_copy(update={"name": "other"})
    naming = claim(store, store.open_experiment(other), SPEC.replace(seed=2), {tags.LATENTS_FROM: deleted})
    finish(store, naming, tmp_path / "artifacts")
    mlflow().delete_experiment(store.experiment_id("exp"))

    assert found(remove=True) == []
    assert "exp" in store.deleted_experiments()


def test_what_a_living_process_is_at_stays_also_where_it_was_deleted(store: RunStore) -> None:
    with Claims(store) as claims:
        made = claims.claim(store.open_experiment(SWEEP), SPEC, {})
        assert made is not None
        (folder_of(made.run_id) / "artifacts").mkdir(parents=True)
        (folder_of(made.run_id) / "artifacts" / "latents.safetensors").write_bytes(b"half")
        mlflow().delete_run(made.run_id)
        assert found(remove=True) == []

    assert [kind for kind, _ in found()] == ["deleted"]


def test_runs_of_another_tool_are_not_looked_at(store: RunStore, tmp_path: Path) -> None:
    experiment = mlflow().create_experiment("theirs")
    run = mlflow().create_run(experiment)
    mlflow().set_terminated(run.info.run_id)
    mlflow().delete_run(run.info.run_id)
    orphan = tmp_path / "project" / "mlruns" / experiment / ("a" * 32) / "artifacts"
    orphan.mkdir(parents=True)
    (orphan / "video.mp4").write_bytes(b"theirs")

    assert found(remove=True) == []


@pytest.mark.parametrize("state", ["KILLED", "FAILED", "RUNNING"])
def test_latents_that_were_never_whole_go_and_the_rest_of_the_run_stays(state: str, store: RunStore) -> None:
    run_id = claim(store, store.open_experiment(SWEEP), SPEC)
    inside = folder_of(run_id) / "artifacts"
    inside.mkdir(parents=True)
    (inside / "latents.safetensors").write_bytes(b"half")
    (inside / "traceback.txt").write_bytes(b"why")
    if state != "RUNNING":  # that of a process that is gone
        mlflow().set_terminated(run_id, state)
    Path("mlflow.db.unfinished").write_bytes(b"half")

    assert found(remove=True) == [
        ("partial", str(inside / "latents.safetensors")),
        ("partial", str(Path("mlflow.db.unfinished").absolute())),
    ]
    assert [file.name for file in inside.iterdir()] == ["traceback.txt"]


def test_latents_that_are_being_written_with_a_run_that_has_ended_stay(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = claim(store, store.open_experiment(SWEEP), SPEC)
    store.kill(run_id)
    (tmp_path / "latents.safetensors").write_bytes(b"latents")
    others: list[Thread] = []
    log = RunStore._log

    def log_later(*given: Any, **options: Any) -> None:
        others.append(Thread(target=found, args=[True]))
        others[0].start()
        others[0].join(0.5)
        log(*given, **options)

    monkeypatch.setattr(RunStore, "_log", log_later)

    store.keep_latents(run_id, tmp_path / "latents.safetensors", {}, {})
    others[0].join()

    assert (folder_of(run_id) / "artifacts" / "latents.safetensors").exists()


def orphan(name: str = "f" * 32, sweep: str | None = "exp") -> Path:
    """A run's folder in the place of the experiment `exp`, as of a run that was made there."""
    inside = Path("mlruns").absolute() / "1" / name / "artifacts"
    inside.mkdir(parents=True)
    (inside / "latents.safetensors").write_bytes(b"latents")
    if sweep is not None:
        (inside / "config.yaml").write_text(f"sweep: {sweep}\n", encoding="utf-8")
    return inside.parent


@pytest.mark.parametrize("sweep", ["exp", None])
def test_artifacts_without_a_run_are_removed(sweep: str | None, store: RunStore, tmp_path: Path) -> None:
    kept = finished(store, tmp_path, 1)
    folder = orphan(sweep=sweep)

    assert found(remove=True) == [("orphaned", str(folder))]
    assert not folder.exists()
    assert folder_of(kept).exists()


def _in_a_store_beside(folder: Path) -> None:
    with closing(sqlite3.connect("other.db")) as database, database:
        database.execute("CREATE TABLE runs (run_uuid TEXT)")
        database.execute("INSERT INTO runs VALUES (?)", [folder.name])


def _beside_a_store_that_cannot_be_read(folder: Path) -> None:
    Path("other.db").write_bytes(b"no database, but longer than nothing" * 100)


def _older_than_the_store(folder: Path) -> None:
    os.utime(folder, (1, 1))


def _of_another_sweep(folder: Path) -> None:
    (folder / "artifacts" / "config.yaml").write_text("sweep: theirs\n", encoding="utf-8")


def _of_another_tool(folder: Path) -> None:
    shutil.rmtree(folder / "artifacts")
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "model.pkl").write_bytes(b"theirs")


def _not_called_as_a_run(folder: Path) -> None:
    folder.rename(folder.with_name("my own notes"))


@pytest.mark.parametrize(
    "make",
    [
        _in_a_store_beside,
        _beside_a_store_that_cannot_be_read,
        _older_than_the_store,
        _of_another_sweep,
        _of_another_tool,
        _not_called_as_a_run,
    ],
)
def test_artifacts_that_may_be_anothers_stay(make: Callable[[Path], None], store: RunStore, tmp_path: Path) -> None:
    finished(store, tmp_path, 1)
    folder = orphan()
    make(folder)

    assert found(remove=True) == []


def test_a_link_in_the_place_of_artifacts_is_removed_and_not_what_it_leads_to(store: RunStore, tmp_path: Path) -> None:
    deleted = finished(store, tmp_path, 1)
    folder_of(deleted).rename(tmp_path / "elsewhere")
    folder_of(deleted).symlink_to(tmp_path / "elsewhere")
    mlflow().delete_run(deleted)

    assert [kind for kind, _ in found(remove=True)] == ["deleted"]
    assert list(store.recorded()) == []
    assert (tmp_path / "elsewhere" / "artifacts" / "video.mp4").exists()


def test_where_there_is_no_store_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert found(remove=True) == []
    assert not Path("mlflow.db").exists()


def test_the_command_shows_and_removes_only_with_yes(store: RunStore, tmp_path: Path) -> None:
    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    deleted = finished(store, tmp_path, 1)
    mlflow().delete_run(deleted)

    shown = invoke("gc")
    assert (shown.exit_code, f"run {deleted}" in shown.stdout) == (0, True)
    assert shown.stdout.splitlines()[-1] == "0.000 GiB can be removed; --yes removes it"
    assert json.loads(invoke("gc", "--json").stdout)[0]["removed"] is False
    assert folder_of(deleted).exists()

    assert json.loads(invoke("gc", "--yes", "--json").stdout)[0] == {
        "kind": "deleted", "what": f"run {deleted} (guidance=6 panda) of exp", "size_bytes": 5, "removed": True,
        "problem": None,
    }  # fmt: skip
    collect_garbage(remove=True)
    assert invoke("gc").stdout == "nothing to remove\n"
