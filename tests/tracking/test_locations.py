"""The artifacts of a store whose folder was moved or copied."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cogx_runs import verify_runs
from cogx_runs.errors import CogxError, StoreError
from cogx_runs.tracking import locations
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.opening import served_uri
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import sqlite_path
from tests.support.claims import claim
from tests.support.tracked import SPEC, SWEEP, finish

Snapshot = dict[str, tuple[bytes, int]]


def snapshot(folder: Path) -> Snapshot:
    """The content and time of each file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def study(tmp_path: Path, project: Path) -> tuple[Path, list[str]]:
    """A working folder with three runs, of which the last was killed before it had an artifact; left again."""
    store = RunStore()
    experiment = store.open_experiment(SWEEP)
    run_ids = [claim(store, experiment, SPEC.replace(seed=seed)) for seed in (1, 2, 3)]
    for run_id in run_ids[:2]:
        finish(store, run_id, tmp_path / "artifacts")
    store.kill(run_ids[2])
    return project, run_ids


def places(path: Path) -> list[str]:
    """Every place of artifacts in a store but that of MLflow's default experiment, which was made elsewhere."""
    named = "SELECT artifact_location FROM experiments WHERE experiment_id > 0"
    with closing(sqlite3.connect(path)) as database:
        return [place for (place,) in database.execute(f"{named} UNION ALL SELECT artifact_uri FROM runs")]


def move(old: Path, new: Path) -> None:
    old.rename(new)


def copy(old: Path, new: Path) -> None:
    shutil.copytree(old, new)


@pytest.mark.parametrize("bring", [move, copy])
@pytest.mark.parametrize("name", ["laptop", "100%25 a%20b?c#d", "ä 中文"])
def test_a_store_whose_folder_was_moved_or_copied_finds_its_artifacts_beside_it(
    bring: Callable[[Path, Path], None],
    name: str,
    study: tuple[Path, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old, run_ids = study
    new = tmp_path / "elsewhere" / name
    new.parent.mkdir()
    bring(old, new)
    before = snapshot(old)
    monkeypatch.chdir(new)

    store = RunStore()
    store.download(run_ids[0], "video.mp4", tmp_path / "read")
    made = claim(store, store.open_experiment(SWEEP), SPEC.replace(seed=4))
    finish(store, made, tmp_path / "artifacts")
    RunReader()

    (line,) = caplog.messages
    assert line == (
        f"{new}/mlflow.db: the folder was moved or copied: artifacts are taken from {new}/mlruns, not from {old}/mlruns"
    )
    assert {locations.path_of(place) for place in places(new / "mlflow.db")} == {
        new / "mlruns" / "1",
        *(new / "mlruns" / "1" / run_id / "artifacts" for run_id in [*run_ids, made]),
    }
    assert (new / "mlruns" / "1" / made / "artifacts" / "video.mp4").exists()
    assert snapshot(old) == before


def test_a_store_that_can_only_be_read_finds_its_artifacts_and_stays_as_it_is(
    study: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old, run_ids = study
    new = tmp_path / "laptop"
    old.rename(new)
    before = snapshot(new)
    # These tests may run as root, who writes whatever its permissions are.
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    monkeypatch.chdir(new)

    for _ in range(2):
        store = RunReader()
        assert store.download(run_ids[0], "video.mp4", tmp_path / "read").read_bytes() == b"video"

    with pytest.raises(StoreError, match=r"mlflow\.db: cannot be written; work in another folder"):
        RunStore().keep_report("1", tmp_path / "report.html")
    with served_uri(RunReader().uri) as uri:
        served = sqlite_path(uri)
        assert served is not None
        assert all(place.startswith(str(new / "mlruns")) for place in places(served))
    assert not served.exists()
    assert len(caplog.messages) == 1
    assert snapshot(new) == before


def test_runs_that_are_at_the_old_place_alone_are_left_there_and_told(
    study: tuple[Path, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, run_ids = study
    new = tmp_path / "copy"
    shutil.copytree(old, new)
    shutil.rmtree(new / "mlruns" / "1" / run_ids[1])

    store = RunReader(f"sqlite:///{new}/mlflow.db")

    assert [str(old / "mlruns" / "1" / run_ids[1] / "artifacts")] == [
        place for place in places(new / "mlflow.db") if place.startswith(str(old))
    ]
    assert store.download(run_ids[1], "video.mp4", tmp_path / "read").read_bytes() == b"video"
    assert caplog.messages[0].endswith("; those of 1 run are only there, and are left alone")


def test_new_runs_of_a_copied_database_do_not_go_to_the_old_place(
    study: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, run_ids = study
    new = tmp_path / "copy"
    new.mkdir()
    shutil.copy(old / "mlflow.db", new)
    before = snapshot(old)
    monkeypatch.chdir(new)

    store = RunStore()
    made = claim(store, store.open_experiment(SWEEP), SPEC.replace(seed=4))
    finish(store, made, tmp_path / "artifacts")

    assert (new / "mlruns" / "1" / made / "artifacts" / "video.mp4").exists()
    assert store.download(run_ids[0], "video.mp4", tmp_path / "read").read_bytes() == b"video"
    assert snapshot(old) == before


def test_artifacts_that_are_kept_away_from_the_store_stay_where_they_are(
    study: tuple[Path, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work, run_ids = study
    (tmp_path / "shared").mkdir()
    (work / "mlflow.db").rename(tmp_path / "shared" / "runs.db")
    before = places(tmp_path / "shared" / "runs.db")

    store = RunStore(f"sqlite:///{tmp_path}/shared/runs.db")
    store.open_experiment(SWEEP)

    assert places(tmp_path / "shared" / "runs.db") == before
    assert store.download(run_ids[0], "video.mp4", tmp_path / "read").read_bytes() == b"video"
    assert caplog.messages == []


def test_artifacts_on_a_disk_that_is_not_mounted_are_told_and_not_made_anew(
    study: tuple[Path, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work, _ = study
    (tmp_path / "shared").mkdir()
    (work / "mlflow.db").rename(tmp_path / "shared" / "runs.db")
    work.rename(tmp_path / "unmounted")
    before = places(tmp_path / "shared" / "runs.db")

    store = RunStore(f"sqlite:///{tmp_path}/shared/runs.db")

    assert caplog.messages == [
        f"{tmp_path}/shared/runs.db: the artifacts of 3 runs are in {work}/mlruns, which is not there"
    ]
    with pytest.raises(CogxError, match=rf"^experiment 'exp': its artifacts are in {work}/mlruns/1, which is not ther"):
        store.open_experiment(SWEEP)
    assert places(tmp_path / "shared" / "runs.db") == before
    assert not work.exists()


def test_a_remote_place_is_left_alone_and_told_where_others_were_moved(
    study: tuple[Path, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, _ = study
    store = RunStore()
    store._client.create_experiment("remote", artifact_location="s3://bucket/runs")
    old.rename(tmp_path / "new")

    RunReader(f"sqlite:///{tmp_path}/new/mlflow.db")

    assert "s3://bucket/runs" in places(tmp_path / "new" / "mlflow.db")
    assert caplog.messages[1].endswith(
        "artifacts that are not on this machine's disks are left alone: s3://bucket/runs"
    )


def test_a_folder_reached_by_a_link_is_not_moved(
    study: tuple[Path, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, _ = study
    before = places(old / "mlflow.db")
    (tmp_path / "link").symlink_to(old)
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "mlflow.db").symlink_to(old / "mlflow.db")
    (tmp_path / "file" / "mlruns").symlink_to(old / "mlruns")

    RunReader(f"sqlite:///{tmp_path}/link/mlflow.db")
    RunReader(f"sqlite:///{tmp_path}/file/mlflow.db")

    assert places(old / "mlflow.db") == before
    assert caplog.messages == []


@pytest.mark.parametrize("place", ["artifacts of a", "deep/below/a", "sub/mlruns/1"])
def test_artifacts_that_were_kept_anywhere_below_the_store_are_found(place: str, project: Path, tmp_path: Path) -> None:
    store = RunStore()
    store._client.create_experiment("exp", artifact_location=str(project / place))
    run_id = claim(store, store.open_experiment(SWEEP), SPEC)
    finish(store, run_id, tmp_path / "artifacts")
    project.rename(tmp_path / "new")

    RunReader(f"sqlite:///{tmp_path}/new/mlflow.db")

    assert places(tmp_path / "new" / "mlflow.db") == [
        str(tmp_path / "new" / place), str(tmp_path / "new" / place / run_id / "artifacts")
    ]  # fmt: skip


def test_a_store_without_artifacts_is_moved_whole(study: tuple[Path, list[str]], tmp_path: Path) -> None:
    old, _ = study
    with closing(sqlite3.connect(old / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET status = 'KILLED'")
    shutil.rmtree(old / "mlruns")
    new = tmp_path / "new"
    old.rename(new)

    RunStore(f"sqlite:///{new}/mlflow.db").open_experiment(SWEEP)

    assert all(place.startswith(str(new)) for place in places(new / "mlflow.db"))


def test_a_place_is_read_as_it_was_written() -> None:
    for path in map(Path, ("/a/mlruns/1", "/100%/a%20b", "/what?/a#b", "/ä")):
        assert locations.path_of(locations.location_of(path)) == path
    assert locations.path_of("file:///a%20b/1") == Path("/a b/1")
    assert locations.path_of("mlflow-artifacts:/1") is None


def _unmount(folder: Path) -> None:
    """What is left of a mount point."""
    folder.rename(folder.with_name("disk"))
    folder.mkdir()
    (folder / ".gitkeep").touch()


def _unmount_behind_a_link(folder: Path) -> None:
    folder.rename(folder.with_name("disk"))
    folder.symlink_to("/not mounted/mlruns")


@pytest.mark.parametrize("unmount", [_unmount, _unmount_behind_a_link])
def test_artifacts_on_a_disk_that_is_not_mounted_below_the_store_are_neither_made_anew_nor_added_to(
    unmount: Callable[[Path], None], study: tuple[Path, list[str]], tmp_path: Path
) -> None:
    work, run_ids = study
    store = RunStore()
    opened = claim(store, store.open_experiment(SWEEP), SPEC.replace(seed=4))
    unmount(work / "mlruns")
    said = f"^{work}/mlruns: .*, and 2 runs have files in it; mount its disk; if they are gone for good, remove it"

    for name in ("exp", "new"):
        with pytest.raises(StoreError, match=said):
            store.open_experiment(SWEEP.model_copy(update={"name": name}))
    with pytest.raises(StoreError, match=said):
        finish(store, opened, tmp_path / "artifacts")
    with pytest.raises(StoreError, match=said):
        verify_runs()
    with Claims(store) as claims, pytest.raises(StoreError, match=said):
        claims.claim("1", SPEC.replace(seed=1), {})
    assert {run.run_id: run.state for run in store.runs()}[run_ids[0]] is RunState.FINISHED
    assert not [path for path in (work / "mlruns").glob("*") if path.name != ".gitkeep"]


def test_artifacts_that_were_removed_with_their_folder_are_made_anew(study: tuple[Path, list[str]]) -> None:
    shutil.rmtree("mlruns")
    store = RunStore()

    with Claims(store) as claims:
        assert claims.claim(store.open_experiment(SWEEP), SPEC.replace(seed=1), {}) is not None
