"""What is read from MLflow's tables, held to what its API reads."""

import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from cogx_runs.errors import StoreError
from cogx_runs.tracking import tables
from cogx_runs.tracking.mlflow_api import MlflowApi
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.stored import RunQuery, StoredRuns
from cogx_runs.tracking.tables import SqliteDatabase, Tables
from cogx_runs.tracking.uri import tracking_uri
from tests.support.claims import claim
from tests.support.tracked import SPEC, SWEEP

ODD = "Una balena 'in' \"mare\": 中文 😀\nè %_"


@pytest.fixture
def client(project: Path) -> MlflowClient:
    """A store with two experiments and a deleted one, of runs in every state."""
    client = MlflowClient(tracking_uri())
    own, other, gone = (client.create_experiment(name, tags={"about": ODD}) for name in ("own", ODD[:40], "gone"))
    runs: list[str] = []
    for number, experiment in enumerate([own, own, own, other, gone, own]):
        run = client.create_run(experiment, start_time=1000 + number // 2, run_name=f"run {number}", tags={"kind": "a"})
        run_id = run.info.run_id
        runs += [run_id] * (experiment == own)
        client.log_batch(
            run_id,
            [Metric("loss", value, at, step) for value, at, step in [(3, 5, 2), (1, 9, 1), (2, 5, 2), (math.nan, 4, 0)]]
            + [Metric(name, value, 1, 0) for name, value in (("n", math.nan), ("i", math.inf), ("m", -math.inf))],
            [Param("prompt", ODD), Param("empty", "")],
            [RunTag("text", ODD), RunTag("odd", str(number % 2))],
        )
        client.log_metric(run_id, "late", math.nan, 7, 3)
        client.log_metric(run_id, "late", 1.0, 7, 3)
    client.create_run(own, start_time=1001)  # without anything
    client.set_terminated(runs[0], "FINISHED", end_time=5000)
    client.set_terminated(runs[1], "KILLED", end_time=6000)
    client.set_terminated(runs[2], "FAILED", end_time=7000)
    client.delete_run(runs[3])
    client.delete_experiment(gone)
    return client


def _both() -> tuple[StoredRuns, StoredRuns]:
    uri = tracking_uri()
    return Tables(SqliteDatabase(Path("mlflow.db").absolute(), uri), uri), MlflowApi(uri)


def test_the_tables_and_the_api_give_the_same_runs_and_experiments(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_tables, by_api = _both()
    experiments = by_api.experiments()
    ids = [found.experiment_id for found in experiments]
    monkeypatch.setattr(tables, "BATCH", 2)

    assert [found.name for found in by_tables.experiments()] == ["gone", ODD[:40], "own", "Default"]
    assert by_tables.experiments() == experiments
    assert [by_tables.experiment(one) for one in ids] == experiments
    assert by_tables.experiment_named(ODD[:40]) == by_api.experiment_named(ODD[:40])
    assert by_tables.experiment_named("no such") is by_api.experiment_named("no such") is None
    counts = []
    for query in (
        RunQuery(experiment_ids=ids, with_deleted=True),
        RunQuery(experiment_ids=ids),
        RunQuery(experiment_ids=ids[1:2]),
        RunQuery(experiment_ids=[]),
        RunQuery(experiment_ids=ids, tags={"kind": "a", "odd": "1"}),
        RunQuery(experiment_ids=ids, state=RunState.RUNNING),
        RunQuery(experiment_ids=ids, ended_since_ms=6000),
        RunQuery(experiment_ids=ids, tags={"kind": "A"}),
    ):
        read, expected = list(by_tables.runs(query)), list(by_api.runs(query))
        assert list(map(_comparable, read)) == list(map(_comparable, expected))
        counts.append(len(read))
    assert counts == [7, 5, 1, 0, 2, 2, 2, 0]
    for run in by_api.runs(RunQuery(experiment_ids=ids, with_deleted=True)):
        assert _comparable(by_tables.run(run.run_id)) == _comparable(run)
        assert repr(by_tables.points(run.run_id, "loss")) == repr(by_api.points(run.run_id, "loss"))
    assert by_tables.run(run.run_id).metrics["loss"] == 3.0


def test_what_is_not_there_is_refused_alike(client: MlflowClient) -> None:
    for reads in _both():
        with pytest.raises(StoreError, match=r"^tracking store sqlite:///[^\n]*0{32}[^\n]*$"):
            reads.run("0" * 32)
        with pytest.raises(StoreError, match=r"^tracking store sqlite:///[^\n]*77[^\n]*$"):
            reads.experiment("77")


def test_reading_a_store_leaves_its_writer_free_and_writes_nothing(client: MlflowClient) -> None:
    by_tables, _ = _both()
    runs = by_tables.runs(RunQuery(experiment_ids=["1"]))
    next(runs)

    with closing(sqlite3.connect("mlflow.db", timeout=0)) as database, database:
        database.execute("UPDATE runs SET name = 'written meanwhile'")
    with pytest.raises(StoreError, match="attempt to write a readonly database"):
        SqliteDatabase(Path("mlflow.db").absolute(), tracking_uri()).read(("DELETE FROM runs", {}))


def test_tables_of_another_mlflow_are_read_by_the_api(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [run.run.run_id for run in RunStore().recorded()]
    monkeypatch.setattr(tables, "_KNOWN", ("SELECT renamed FROM runs",))

    store = RunStore()

    assert isinstance(store._stored, MlflowApi)
    assert [run.run.run_id for run in store.recorded()] == expected


def test_a_transaction_that_a_killed_process_left_half_written_is_taken_back(client: MlflowClient) -> None:
    by_tables, _ = _both()
    before = list(map(_comparable, by_tables.runs(RunQuery(experiment_ids=["1"]))))
    killed = (
        "import os, signal, sqlite3; database = sqlite3.connect('mlflow.db'); "
        "database.execute('PRAGMA cache_size = 1'); database.execute(\"UPDATE tags SET value = 'half'\"); "
        "database.execute(\"UPDATE runs SET name = 'half'\"); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert Path("mlflow.db-journal").stat().st_size > 0

    assert list(map(_comparable, by_tables.runs(RunQuery(experiment_ids=["1"])))) == before


def test_of_known_runs_those_are_read_again_that_may_have_changed(project: Path) -> None:
    store = RunStore()
    experiment = store.open_experiment(SWEEP)
    ids = [claim(store, experiment, SPEC.replace(seed=seed)) for seed in range(4)]
    store._client.set_terminated(ids[0], "FINISHED", end_time=1000)
    known = list(store.runs(["exp"]))
    store.amend(ids[0], {"clip_score": 1.0}, {})
    store._client.set_terminated(ids[1], "FINISHED", end_time=5000)
    store._client.set_terminated(ids[2], "FINISHED", end_time=1000)
    store._client.delete_run(ids[3])
    new = claim(store, experiment, SPEC.replace(seed=9))

    found = {run.run_id: run for run in store.runs_again("exp", known, 2000)}

    whole = {run.run_id: run for run in store.runs(["exp"])}
    assert found.keys() == {*ids[:3], new} == whole.keys()
    assert found == whole | {ids[0]: next(run for run in known if run.run_id == ids[0])}


def _comparable(run: object) -> str:
    """NaN is not itself, and the order of values is nobody's."""
    values = {name: dict(sorted(getattr(run, name).items())) for name in ("params", "metrics", "tags")}
    return repr(replace(run, **values))  # type: ignore[type-var]
