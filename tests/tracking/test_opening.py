"""Opening a store: odd paths and addresses, and files that are none."""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cogx_runs.errors import CogxError
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import sqlite_path, sqlite_uri, store_exists, tracking_uri
from tests.support.claims import claim
from tests.support.tracked import SPEC, SWEEP, finish

ODD = ("100%25 a%20b", "why?", "a#b", " sp ace ", "ä 中文 😀", "a%zz", "a:b;c&d=e+f@g", "[x]{y}~'\"\\", "..a")


@pytest.mark.parametrize("name", ODD)
def test_runs_are_written_and_read_back_in_a_folder_of_any_name(
    name: str, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "around" / name / "study"
    study.mkdir(parents=True)
    shutil.copy(empty_store / "mlflow.db", study)
    monkeypatch.chdir(study)
    store = RunStore()

    run_id = claim(store, store.open_experiment(SWEEP), SPEC)
    finish(store, run_id, tmp_path / "artifacts")

    assert (study / "mlruns" / "1" / run_id / "artifacts" / "video.mp4").read_bytes() == b"video"
    assert [run.run_id for run in RunReader(store.uri).runs(["exp"])] == [run_id]
    assert RunReader().download(run_id, "video.mp4", tmp_path / "copy").read_bytes() == b"video"
    assert [path.name for path in (tmp_path / "around").iterdir()] == [name]
    assert sorted(path.name for path in study.iterdir()) == ["mlflow.db", "mlruns"]


def test_a_new_store_is_made_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tmp_path / "around" / "a%20b?c#d"
    study.mkdir(parents=True)
    monkeypatch.chdir(study)

    RunStore()

    assert [path.name for path in study.iterdir()] == ["mlflow.db"]
    assert [path.name for path in (tmp_path / "around").iterdir()] == ["a%20b?c#d"]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///mlflow.db", "{cwd}/mlflow.db"),
        ("sqlite:///sub/other.db", "{cwd}/sub/other.db"),
        ("sqlite:////a/mlflow.db", "/a/mlflow.db"),
        ("sqlite://///a/mlflow.db", "/a/mlflow.db"),
        ("sqlite:////a%20b/100%25/x%3F.db", "/a b/100%/x?.db"),
        ("sqlite+pysqlite:////a/mlflow.db", "/a/mlflow.db"),
        ("postgresql://host/a", None),
        ("http://host/sqlite:///x", None),
    ],
)
def test_the_address_of_a_sqlite_file_is_read_as_sqlalchemy_reads_it(uri: str, path: str | None, project: Path) -> None:
    expected = None if path is None else Path(path.format(cwd=project))

    assert sqlite_path(uri) == expected
    assert sqlite_path(tracking_uri(uri)) == expected
    assert tracking_uri(tracking_uri(uri)) == tracking_uri(uri)


@pytest.mark.parametrize("path", ["/a/mlflow.db", "/a%20b/mlflow.db", "/what?/a#b/mlflow.db", "/100%/mlflow.db"])
def test_a_path_comes_back_from_its_address(path: str) -> None:
    assert sqlite_path(sqlite_uri(Path(path))) == Path(path)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:mlflow.db", "names no SQLite file; write sqlite:////folder/mlflow.db"),
        ("sqlite:/a/mlflow.db", "names no SQLite file"),
        ("sqlite://mlflow.db", "names no SQLite file"),
        ("sqlite://host/mlflow.db", "names no SQLite file"),
        ("sqlite:///mlflow.db?timeout=5", r"with a \? in a name as %3F"),
        ("sqlite+aiosqlite:///mlflow.db", "names no SQLite file"),
        ("sqlite:///", "would be gone with this process"),
        ("sqlite:///:memory:", "would be gone with this process"),
    ],
)
def test_an_address_that_names_no_file_is_one_line(uri: str, message: str, project: Path) -> None:
    for ask in (tracking_uri, store_exists, RunReader):
        with pytest.raises(CogxError, match=rf"^tracking store {re.escape(uri)}: [^\n]*{message}[^\n]*$"):
            ask(uri)
    assert [path.name for path in project.iterdir()] == ["mlflow.db"]


def _link(path: Path) -> None:
    path.symlink_to("/mnt/away/mlflow.db")


def _folder(path: Path) -> None:
    path.mkdir()


def _empty_beside_artifacts(path: Path) -> None:
    path.touch()
    (path.parent / "mlruns" / "1" / "a" / "artifacts").mkdir(parents=True)


def _no_database(path: Path) -> None:
    path.write_text("not a database, but long enough to be looked at" * 100)


def _of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE trials (number INTEGER)")


def _without_runs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("experiments", "params", "metrics", "tags"):
            database.execute(f"CREATE TABLE {table} (key INTEGER)")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_link, r"links to /mnt/away/mlflow\.db, which is not there; mount its disk, or remove it"),
        (_folder, "is a folder and no tracking store; move it away, or set MLFLOW_TRACKING_URI"),
        (os.mkfifo, "is no file and no tracking store"),
        (_empty_beside_artifacts, r"is empty, while .*/mlruns holds the artifacts of 1 run: the database was lost"),
        (_no_database, r"file is not a database; the database is damaged: put back a copy .* \.recover"),
        (_of_another_program, "is a database of another program"),
        (_without_runs, "lacks the tables runs; the database is damaged"),
    ],
)
def test_what_is_no_store_is_refused_in_one_line_and_left_as_it_is(
    make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "study" / "mlflow.db"
    path.parent.mkdir()
    make(path)
    before = sorted(path.parent.iterdir()), path.lstat()

    for ask in (RunStore, store_exists):
        with pytest.raises(CogxError, match=rf"^{path}: [^\n]*{message}[^\n]*$"):
            ask(f"sqlite:///{path}")

    assert sorted(path.parent.iterdir()) == before[0]
    assert path.lstat().st_mtime_ns == before[1].st_mtime_ns


@pytest.mark.parametrize("table", ["sqlite_master", "experiments", "runs", "tags", "latest_metrics"])
def test_a_page_that_is_damaged_anywhere_is_told_with_what_to_do(table: str, project: Path, tmp_path: Path) -> None:
    store = RunStore()
    finish(store, claim(store, store.open_experiment(SWEEP), SPEC), tmp_path / "artifacts")
    with closing(sqlite3.connect("mlflow.db")) as database:
        found = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
    content = bytearray((project / "mlflow.db").read_bytes())
    start = 100 if found is None else (found[0] - 1) * 4096
    content[start : start + 4096] = b"\xff" * 4096
    (project / "damaged.db").write_bytes(content)

    with pytest.raises(CogxError, match=r"^[^\n]*malformed[^\n]*; the database is damaged: put back a copy of [^\n]*$"):
        list(RunReader("sqlite:///damaged.db").runs())


def test_an_empty_file_without_artifacts_becomes_a_store_where_it_lies(tmp_path: Path) -> None:
    target = tmp_path / "disk" / "runs.db"
    target.parent.mkdir()
    target.touch()
    link = tmp_path / "mlflow.db"
    link.symlink_to(target)

    assert not store_exists(f"sqlite:///{link}")
    RunStore(f"sqlite:///{link}")

    assert link.is_symlink()
    assert store_exists(f"sqlite:///{target}")


def test_two_that_name_one_store_by_different_links_share_its_lock(project: Path) -> None:
    (project / "link.db").symlink_to(project / "mlflow.db")

    assert RunReader("sqlite:///link.db").lock.lock_file == RunReader().lock.lock_file


def test_a_store_that_is_being_written_is_waited_for(project: Path) -> None:
    with closing(sqlite3.connect("mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")

        assert store_exists()


def test_a_folder_and_a_cache_that_cannot_be_written_are_each_one_line_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # /proc refuses new files even to root, whom os.access would let write anywhere.
    with pytest.raises(CogxError, match=r"^/proc: cannot be written \([^\n]*\); work in another folder, or set MLFLOW"):
        RunStore("sqlite:////proc/mlflow.db")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nope")
    with pytest.raises(CogxError, match=r"^/proc/nope/cogx-runs: cannot be created \([^\n]*\); set XDG_CACHE_HOME to"):
        RunStore(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_path_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "a\udcff"
    folder.mkdir()

    with pytest.raises(CogxError, match=r"is not UTF-8, in which MLflow keeps paths; work in another folder$"):
        RunStore(f"sqlite:///{folder}/mlflow.db")


def test_a_database_without_its_driver_is_one_line() -> None:
    with pytest.raises(CogxError, match=r"^tracking store mysql://[^\n]*: No module named 'MySQLdb'$"):
        RunStore("mysql://user@host/database")
