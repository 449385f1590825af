"""What a plan says of the store that it is made for."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result
from mlflow import MlflowClient

from cogx_runs import load_runs
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import AXES, DEFINITIONS, OBJECTIVES, TRIAL, TRIAL_PARAMETERS
from cogx_runs.tracking.uri import tracking_uri
from tests.support.claims import claim
from tests.support.runs import SMALL, make_axis, sweep_of


@pytest.mark.parametrize("command", ["plan", "sweep"])
def test_a_deleted_experiment_is_told_before_any_model_is_loaded(
    command: str, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    store = RunStore()
    experiment = store.open_experiment(sweep_of(SMALL.replace(sweep="exp_seed")))
    MlflowClient(tracking_uri()).delete_experiment(experiment)

    result = invoke(command, "seed.yaml", "--device", "cpu")

    assert result.exit_code == 2
    assert "seed.yaml:name" in result.output
    assert f"mlflow experiments restore -x {experiment}" in " ".join(result.output.split())


@pytest.mark.parametrize("text", ["{", "null", '{"clip_score": 1}', "[" * 5000])
def test_a_tag_that_is_no_json_object_is_taken_as_absent(text: str, invoke: Callable[..., Result]) -> None:
    store = RunStore()
    kept, broken = make_axis(store, "seed", [1, 2], SMALL.replace(sweep="exp_seed"))
    claim(store, store.experiment_id("exp_seed"), SMALL.replace(sweep="exp_seed", seed=3), {TRIAL: "x"})
    for tag in (DEFINITIONS, TRIAL_PARAMETERS):
        _write("tags", "run_uuid", broken, tag, text)
    for tag in (AXES, OBJECTIVES):
        _write("experiment_tags", "experiment_id", store.experiment_id("exp_seed"), tag, text)

    assert set(load_runs("exp_seed")["run_id"]) >= {kept, broken}
    for command in (["plan", "seed.yaml"], ["report", "exp_seed", "-o", "page"], ["plan", "seed.yaml", "--json"]):
        assert invoke(*command).exit_code == 0
    store.open_experiment(sweep_of(SMALL.replace(sweep="exp_seed", axes=("seed",))))
    assert store.experiment_tags(store.experiment_id("exp_seed"))[AXES] == '{"seed": "number"}'


def _write(table: str, column: str, of: str, key: str, value: str) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute(f"INSERT OR REPLACE INTO {table} ({column}, key, value) VALUES (?, ?, ?)", (of, key, value))
