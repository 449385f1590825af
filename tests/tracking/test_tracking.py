"""The store, on a real SQLite file."""

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import RunInfo

from cogx_runs.errors import CogxError
from cogx_runs.tracking.client import open_client
from cogx_runs.tracking.record import known_params
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.thread import STORE_THREAD
from cogx_runs.tracking.uri import tracking_uri
from tests.support.claims import claim
from tests.support.tracked import SPEC, SWEEP, finish


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


def test_finishing_writes_the_values_the_artifacts_and_last_the_status(store: RunStore, tmp_path: Path) -> None:
    run_id = claim(store, store.open_experiment(SWEEP), SPEC)
    finish(store, run_id, tmp_path / "artifacts")

    run = next(store.runs(["exp"]))
    assert run.state == "FINISHED"
    assert run.params == {"seed": "42"}
    assert run.metrics == {"clip_score": 30.0}
    assert run.tags["cogx.clip_score.model"] == "tiny"
    assert store.download(run_id, "video.mp4", tmp_path).read_bytes() == b"video"
    assert Path(_info(run_id).artifact_uri).is_relative_to(Path("mlruns").absolute())


def test_amending_a_finished_run_leaves_its_times_and_removes_what_no_longer_holds(
    store: RunStore, tmp_path: Path
) -> None:
    run_id = claim(store, store.open_experiment(SWEEP), SPEC, {"cogx.clip_score.missing": "no weights"})
    finish(store, run_id, tmp_path / "artifacts")
    before = _info(run_id).end_time
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "metrics.yaml").write_text("clip_score: {}", encoding="utf-8")

    store.amend(
        run_id,
        {"clip_score": 31.0},
        {"cogx.clip_score.model": "other"},
        remove=["cogx.clip_score.missing", "never.there"],
        artifacts=tmp_path / "more",
    )

    after = next(store.runs(["exp"]))
    assert _info(run_id).end_time == before
    assert after.metrics["clip_score"] == 31.0
    assert after.tags["cogx.clip_score.model"] == "other"
    assert store.download(run_id, "metrics.yaml", tmp_path).read_text(encoding="utf-8") == "clip_score: {}"
    assert "cogx.clip_score.missing" not in after.tags


def test_a_deleted_experiment_is_named_with_the_way_back(store: RunStore) -> None:
    experiment = store.open_experiment(SWEEP)
    MlflowClient(tracking_uri()).delete_experiment(experiment)

    with pytest.raises(CogxError, match=rf"'exp' was deleted in MLflow; restore it .*-x {experiment}"):
        store.open_experiment(SWEEP)


def test_an_experiment_keeps_the_axes_that_its_runs_differ_in_whatever_its_file_says_now(store: RunStore) -> None:
    def opened(**axes: tuple[float | str, ...]) -> dict[str, str]:
        experiment = store.open_experiment(SWEEP.model_copy(update={"axes": axes}))
        found: dict[str, str] = json.loads(store.experiment_tags(experiment)["cogx.axes"])
        return found

    opened(seed=(1, 2), scheduler=("ddim", "dpm"), num_inference_steps=(25,), fps=(8, 16))
    experiment = store.experiment_id("exp")
    for values in ({"seed": 1}, {"seed": 2, "scheduler": "dpm"}, {"seed": 2, "num_inference_steps": 25}):
        spec = SPEC.replace(**values)
        run_id = claim(store, experiment, spec)
        store.describe(run_id, known_params(spec), {})

    assert opened(guidance_scale=(1, 6), seed=(1, 2, 3)) == {
        "guidance_scale": "number", "seed": "number", "scheduler": "word", "num_inference_steps": "number",
    }  # fmt: skip
    assert opened() == {"seed": "number", "scheduler": "word", "num_inference_steps": "number"}


def test_an_unknown_experiment_is_answered_with_the_nearest_name(store: RunStore) -> None:
    store.open_experiment(SWEEP)

    with pytest.raises(
        CogxError, match=r"^no experiment 'expp' in sqlite:///.*/project/mlflow.db; did you mean 'exp'\?$"
    ):
        store.experiment_id("expp")


def test_an_experiment_beyond_the_first_page_is_found_by_id_and_by_name(store: RunStore) -> None:
    experiment = store.open_experiment(SWEEP)
    run_id = claim(store, experiment, SPEC)
    _create_later(1001)

    assert [run.run_id for run in store.open_runs([experiment])] == [run_id]
    assert [run.run_id for run in store.runs()] == [run_id]
    assert len(store.experiment_names()) == 1002


def test_a_deleted_experiment_has_no_open_runs(store: RunStore) -> None:
    experiment = store.open_experiment(SWEEP)
    claim(store, experiment, SPEC)
    MlflowClient(tracking_uri()).delete_experiment(experiment)

    assert list(store.open_runs([experiment])) == []


def test_a_run_that_another_thread_finishes_meanwhile_is_not_killed(store: RunStore) -> None:
    run_id = claim(store, store.open_experiment(SWEEP), SPEC)
    gate = threading.Event()
    client = open_client(store.uri)
    threads = [
        threading.Thread(target=STORE_THREAD.call, args=[gate.wait]),
        threading.Thread(target=store.kill, args=[run_id]),
        threading.Thread(target=client.set_terminated, args=[run_id, "FINISHED"]),
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.2)  # until its first call waits for its turn
    gate.set()
    for thread in threads:
        thread.join()

    assert _info(run_id).status == "FINISHED"


def test_of_several_finished_runs_the_generated_one_is_found_not_the_reused(store: RunStore, tmp_path: Path) -> None:
    made = claim(store, store.open_experiment(SWEEP), SPEC)
    other = SWEEP.model_copy(update={"name": "exp2"})
    reused = claim(store, store.open_experiment(other), SPEC.replace(sweep="exp2"), {"cogx.reused_from": str(made)})
    assert reused is not None
    finish(store, made, tmp_path / "a")
    finish(store, reused, tmp_path / "b")

    found = store.find_finished(SPEC.output_hash)
    assert found is not None
    assert found.run_id == made
    assert store.find_finished("0000000000000000") is None


def test_latents_are_found_once_they_are_whole_however_their_run_ends(store: RunStore, tmp_path: Path) -> None:
    made = claim(store, store.open_experiment(SWEEP), SPEC)
    (tmp_path / "latents.safetensors").write_bytes(b"latents")
    assert store.find_latents(SPEC.signature) == []

    store.keep_latents(made, tmp_path / "latents.safetensors", {"denoise_s": 2.0}, {"cogx.noise_sha256": "ab"})
    store.kill(made)

    (found,) = store.find_latents(SPEC.signature)
    assert (found.run_id, found.state, found.metrics) == (made, "KILLED", {"denoise_s": 2.0})
    assert store.download(made, "latents.safetensors", tmp_path / "copy").read_bytes() == b"latents"


def _create_later(count: int) -> None:
    """As many experiments more, later than the only one, by copies of its row."""
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        names = [row[1] for row in database.execute("PRAGMA table_info(experiments)")]
        columns = ", ".join(set(names) - {"experiment_id", "name", "creation_time", "last_update_time"})
        database.execute(
            f"""INSERT INTO experiments (name, creation_time, last_update_time, {columns})
            WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {count})
            SELECT 'later' || i, creation_time + i, last_update_time + i, {columns}
            FROM experiments JOIN numbers WHERE name = 'exp'"""
        )


def _info(run_id: str) -> RunInfo:
    """What MLflow itself has of a run."""
    return MlflowClient(tracking_uri()).get_run(run_id).info
