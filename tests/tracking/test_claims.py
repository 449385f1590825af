"""Who may run a cell, on a real SQLite file and with real locks."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.tracking import tags
from cogx_runs.tracking.claims import Claims, is_device_shared
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.spool import spooled_run
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import tracking_uri
from tests.support.claims import claim
from tests.support.paths import ROOT
from tests.support.tracked import SPEC, SWEEP, finish

GPU = {tags.DEVICE_ID: "GPU-1", tags.DEVICE_NAME: "NVIDIA H100"}


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


@pytest.fixture
def experiment(store: RunStore) -> str:
    return store.open_experiment(SWEEP)


def state_of(run_id: str) -> str:
    return str(MlflowClient(tracking_uri()).get_run(run_id).info.status)


def claimed(claims: Claims, experiment: str, spec: RunSpec) -> str:
    claim = claims.claim(experiment, spec, {})
    assert claim is not None
    return claim.run_id


def test_a_claimed_run_is_running_and_names_its_cell_and_holder(store: RunStore, experiment: str) -> None:
    with Claims(store) as claims:
        claim = claims.claim(experiment, SPEC, {"cogx.env.python": "3"})

        (run,) = store.runs(["exp"])
        assert claim is not None
        assert (run.run_id, run.state, run.name) == (claim.run_id, "RUNNING", "guidance=6 panda")
        assert run.tags[tags.PROCESS_CELL] == claim.cell_id
        assert (run.signature, run.output_hash, run.prompt) == (SPEC.signature, SPEC.output_hash, "A panda plays.")
        assert (run.tags["cogx.kind"], run.tags["cogx.sweep"]) == ("run", "exp")
        assert run.tags["cogx.env.python"] == "3"
        assert run.tags[tags.PROCESS_LOCK] == claims.holder
        assert {tags.PROCESS_HOST, tags.PROCESS_ID} <= set(run.tags)


def test_a_cell_of_a_living_holder_cannot_be_claimed_by_it_or_by_another_of_the_same_process(
    store: RunStore, experiment: str
) -> None:
    with Claims(store) as one, Claims(RunStore()) as other:
        one.claim(experiment, SPEC, {})

        assert one.claim(experiment, SPEC, {}) is None
        assert other.claim(experiment, SPEC, {}) is None
        assert other.end_stale_runs([experiment]) == 0


def test_a_finished_cell_cannot_be_claimed_again(store: RunStore, experiment: str, tmp_path: Path) -> None:
    with Claims(store) as claims:
        finish(store, claimed(claims, experiment, SPEC), tmp_path / "artifacts")

        assert claims.claim(experiment, SPEC, {}) is None
        assert claims.claim(experiment, SPEC.replace(seed=1), {}) is not None


@pytest.fixture
def damaged(store: RunStore, experiment: str, tmp_path: Path) -> str:
    """A finished run that has its latents and its video, and lost its prompt."""
    run_id = claim(store, experiment, SPEC)
    (tmp_path / "latents.safetensors").write_bytes(b"latents")
    store.keep_latents(run_id, tmp_path / "latents.safetensors", {}, {})
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "prompt.txt").write_bytes(b"A panda plays.")
    finish(store, run_id, tmp_path / "artifacts")
    next(Path("mlruns").rglob("prompt.txt")).unlink()
    return run_id


def test_a_finished_run_whose_mending_was_killed_is_finished_as_before_and_mended_by_the_next(
    store: RunStore, experiment: str, damaged: str
) -> None:
    ended = MlflowClient(tracking_uri()).get_run(damaged).info.end_time
    assert claim(store, experiment, SPEC) == damaged
    assert state_of(damaged) == "RUNNING"

    with Claims(store) as claims:
        assert claims.end_stale_runs([experiment]) == 0
        assert state_of(damaged) == "FINISHED"
        assert MlflowClient(tracking_uri()).get_run(damaged).info.end_time == ended
        again = claims.claim(experiment, SPEC, {})

    assert again is not None
    assert (again.run_id, again.is_reopened) == (damaged, True)
    with Claims(store) as claims:
        again = claims.claim(experiment, SPEC, {})  # without ending what is stale first
    assert again is not None
    assert (again.run_id, again.is_reopened) == (damaged, True)


def test_a_run_that_is_being_mended_by_another_holder_is_not_written_to_by_who_began_that(
    store: RunStore, experiment: str, damaged: str
) -> None:
    with Claims(store) as claims:
        first = claims.claim(experiment, SPEC, {})
        assert first is not None
        entry = spooled_run(claims.holder, first.cell_id)
    with Claims(store) as claims:
        assert claimed(claims, experiment, SPEC) == damaged

        Delivery(store).end(entry, {}, {"clip_score": 1.0}, {})

        assert state_of(damaged) == "RUNNING"
        assert [run.metrics["clip_score"] for run in store.runs()] == [30.0]


def test_what_one_holder_gives_up_is_not_taken_from_another_of_the_same_process(
    store: RunStore, experiment: str
) -> None:
    with Claims(RunStore()) as other, Claims(store) as claims:
        kept = claimed(other, experiment, SPEC.replace(seed=7))
        released = claimed(claims, experiment, SPEC)

        claims.release_all()

        assert (state_of(released), state_of(kept)) == ("KILLED", "RUNNING")


def test_the_run_of_a_process_that_was_killed_is_stale_at_once_and_can_be_claimed(
    store: RunStore, experiment: str
) -> None:
    script = """
import os, signal
from tests.support.tracked import SPEC, SWEEP
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.store import RunStore
store = RunStore()
with Claims(store) as claims:
    print(claims.claim(store.open_experiment(SWEEP), SPEC, {}).run_id, flush=True)
    input()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    with Claims(store) as claims:
        assert (claims.claim(experiment, SPEC, {}), claims.end_stale_runs([experiment])) == (None, 0)

        process.kill()
        process.communicate()

        assert claims.end_stale_runs([experiment]) == 1
        assert state_of(run_id) == "KILLED"
        assert claims.claim(experiment, SPEC, {}) is not None


def test_a_run_of_another_host_or_of_another_folder_of_locks_is_left_alone(
    store: RunStore, experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(store, experiment, SPEC)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another container"))

    with Claims(store) as claims:
        assert claims.end_stale_runs([experiment]) == 0
        assert claims.claim(experiment, SPEC, {}) is None


def test_an_open_run_of_an_earlier_version_of_this_host_is_stale(store: RunStore, experiment: str) -> None:
    run_id = claim(store, experiment, SPEC)
    client = MlflowClient(tracking_uri())
    host = client.get_run(run_id).data.tags[tags.PROCESS_HOST].split(" ")[0]
    client.set_tag(run_id, tags.PROCESS_HOST, f"{host} pid:[4026531836]")
    client.delete_tag(run_id, tags.PROCESS_LOCK)

    with Claims(store) as claims:
        assert claims.end_stale_runs([experiment]) == 1


def test_the_same_video_is_waited_for_by_the_one_who_came_later(store: RunStore, experiment: str) -> None:
    second = store.open_experiment(SWEEP.model_copy(update={"name": "exp2"}))
    with Claims(store) as one, Claims(store) as other:
        first_run = claimed(one, experiment, SPEC)
        later_run = claimed(other, second, SPEC.replace(sweep="exp2"))
        other_spec = SPEC.replace(sweep="exp2", seed=7)
        unlike = claimed(other, second, other_spec)

        same = SPEC.signature
        assert [one.is_being_made(first_run, same), other.is_being_made(later_run, same)] == [False, True]
        assert not other.is_being_made(unlike, other_spec.signature)


def test_two_gpus_of_one_product_are_told_apart(store: RunStore, experiment: str) -> None:
    with Claims(store) as claims:
        claims.claim(experiment, SPEC, GPU)

        assert is_device_shared(store, "GPU-1", "somebody else")
        assert not is_device_shared(store, "GPU-2", "somebody else")
        assert not is_device_shared(store, "GPU-1", claims.holder)

    assert not is_device_shared(store, "GPU-1", "somebody else"), "its holder is gone"
