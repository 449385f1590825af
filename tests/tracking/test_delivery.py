"""What is brought from the spool to a real SQLite store, whatever the process that left it there came to."""

import math
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cogx_runs import deliver
from cogx_runs.errors import StoreUnavailableError
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.delivery import Delivery, deliver_left_behind, waiting_for_others
from cogx_runs.tracking.digests import digest
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.spool import LatentsRecord, SpooledRun, left_behind, spooled_run
from cogx_runs.tracking.store import RunStore
from tests.support.tracked import SPEC, SWEEP

AWAY = StoreUnavailableError("the server is away")


class AwayStore(RunStore):
    """Does what it is asked for, and answers nothing that writes."""

    def create_run(self, *arguments: Any, **options: Any) -> str:
        super().create_run(*arguments, **options)
        raise AWAY

    def keep_latents(self, *arguments: Any, **options: Any) -> None:
        super().keep_latents(*arguments, **options)
        raise AWAY

    def finish(self, *arguments: Any, **options: Any) -> None:
        super().finish(*arguments, **options)
        raise AWAY


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


def leave(store: RunStore, *, latents: bool = True, end: bool = True, seed: int = 42) -> SpooledRun:
    """An entry of a process that has gone, of a run whose every write went to `store`."""
    with Claims(store) as claims:
        claim = claims.claim(store.open_experiment(SWEEP), SPEC.replace(seed=seed), {"cogx.env.python": "3"})
        assert claim is not None
        run = spooled_run(claims.holder, claim.cell_id)
        delivery = Delivery(store)
        if latents:
            run.latents_file.write_bytes(b"latents")
            delivery.spool_latents(run, {"denoise_s": 2.0}, {}, {"by_step.latent_std": [1.0, 0.5]})
            delivery.keep_latents(run, {"cogx.text": "cache"})
        if end:
            (run.files / "video.mp4").write_bytes(b"video")
            about = {"mlflow.note.content": f"![](/get-artifact?run_uuid={claim.run_id})"}
            series = {"by_frame.change": [1.0, math.nan]}
            delivery.end(run, {"seed": seed}, {"clip_score": 30.0}, about, series=series)
    return run


def only_run(store: RunStore) -> TrackedRun:
    (run,) = store.runs()
    return run


def test_a_run_all_of_whose_writes_were_made_but_not_answered_is_there_once_with_each_value_once(
    store: RunStore, tmp_path: Path
) -> None:
    leave(AwayStore())

    (delivered,) = deliver()

    run = only_run(store)
    assert (delivered.run_id, delivered.name, delivered.state) == (run.run_id, run.name, RunState.FINISHED)
    assert (run.state, run.metrics["clip_score"], run.metrics["denoise_s"]) == (RunState.FINISHED, 30.0, 2.0)
    assert (run.tags["cogx.latents"], run.tags["cogx.env.python"]) == ("kept", "3")
    assert run.tags["mlflow.note.content"].endswith(f"run_uuid={run.run_id})")
    series = store.series(run)
    assert series["by_step.latent_std"] == [1.0, 0.5]
    assert series["by_frame.change"][0] == 1.0
    assert math.isnan(series["by_frame.change"][1])
    assert store.download(run.run_id, "video.mp4", tmp_path / "copy").read_bytes() == b"video"
    assert store.download(run.run_id, "latents.safetensors", tmp_path / "copy").read_bytes() == b"latents"
    assert left_behind() == []


def test_latents_alone_are_kept_with_a_run_that_is_ended_as_killed(store: RunStore) -> None:
    leave(AwayStore(), end=False)

    assert [delivered.state for delivered in deliver()] == [RunState.KILLED]

    run = only_run(store)
    assert (run.state, run.tags["cogx.latents"]) == (RunState.KILLED, "kept")
    assert store.find_latents(SPEC.signature) == [run]


def test_an_entry_without_anything_whole_is_removed_and_creates_no_run(store: RunStore) -> None:
    left = leave(store, latents=False, end=False)
    (left.folder / "latents").joinpath("latents.safetensors").write_bytes(b"half")

    assert deliver() == []
    assert not left.folder.exists()


def test_a_cell_that_another_process_has_finished_meanwhile_is_not_written_a_second_time(store: RunStore) -> None:
    leave(AwayStore())
    leave(store)

    assert deliver() == []
    assert [run.state for run in store.runs()] == [RunState.FINISHED, RunState.KILLED]
    assert left_behind() == []


def test_a_late_holder_whose_cell_another_process_has_taken_over_writes_no_second_run(
    store: RunStore,
) -> None:
    late = leave(store, end=False)
    with Claims(store) as claims:
        taken = claims.claim(store.open_experiment(SWEEP), SPEC, {})  # ends the run of the late one as KILLED
        assert taken is not None

        run_id = Delivery(store).end(late, {"seed": 42}, {"clip_score": 30.0}, {})

        assert run_id == taken.run_id
        assert [run.state for run in store.runs()] == [RunState.RUNNING, RunState.KILLED]
        assert [run.state for run in store.find_latents(SPEC.signature)] == [RunState.KILLED]


def test_a_run_that_was_created_but_not_answered_is_ended_by_its_own_holder_not_taken_for_another_ones(
    store: RunStore,
) -> None:
    with Claims(AwayStore()) as claims:
        claim = claims.claim(store.open_experiment(SWEEP), SPEC, {})
        assert claim is not None
        assert not claim.is_created

        Delivery(store).end(spooled_run(claims.holder, claim.cell_id), {"seed": 42}, {"clip_score": 30.0}, {})

    assert only_run(store).state is RunState.FINISHED


def test_what_a_living_process_has_in_the_spool_is_left_to_it(store: RunStore) -> None:
    with Claims(store) as claims:
        claim = claims.claim(store.open_experiment(SWEEP), SPEC, {})
        assert claim is not None

        assert list(deliver_left_behind(store)) == []
        assert spooled_run(claims.holder, claim.cell_id).claim is not None


def test_what_waits_for_a_store_whose_folder_was_moved_goes_to_where_it_is(
    store: RunStore, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(AwayStore(), end=False)
    project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")

    assert [delivered.state for delivered in deliver()] == [RunState.KILLED]
    assert left_behind() == []


def test_what_waits_for_another_store_stays_and_is_told(store: RunStore, tmp_path: Path) -> None:
    leave(AwayStore())
    other = f"sqlite:///{tmp_path}/other.db"

    assert deliver(tracking_uri=other) == []
    assert waiting_for_others(other) == {store.uri: 1}
    assert len(deliver()) == 1
    assert waiting_for_others(other) == {}


def test_an_entry_that_the_store_refuses_is_told_and_holds_up_no_other(store: RunStore) -> None:
    deleted = leave(store, end=False, seed=1)
    deleted.keep_latents(
        LatentsRecord(denoised_ms=1, digest=digest(deleted.latents_file), metrics={}, tags={}, series={})
    )
    (deleted.folder / "latents.logged").unlink()
    MlflowClient().delete_run(only_run(store).run_id)
    leave(AwayStore(), seed=2)

    refused, delivered = deliver()

    assert "was deleted in MLflow" in str(refused.refused)
    assert (refused.is_new, delivered.state) == (False, RunState.FINISHED)
    assert len(left_behind()) == 1


def test_nothing_is_delivered_into_another_store_that_was_begun_at_the_same_address(store: RunStore) -> None:
    class NotCreated(RunStore):
        def create_run(self, *_: Any, **__: Any) -> str:
            raise AWAY

    leave(NotCreated())
    MlflowClient().rename_experiment(store.experiment_id("exp"), "another")

    (refused,) = deliver()

    assert "is 'another' here, not 'exp'" in str(refused.refused)
    assert list(store.runs()) == []


def test_an_entry_that_cannot_be_read_is_left_alone(store: RunStore) -> None:
    damaged = leave(AwayStore())
    (damaged.folder / "ended.json").write_text("{", encoding="utf-8")

    assert deliver() == []
    assert (damaged.files / "video.mp4").is_file()


def test_what_was_damaged_in_the_spool_is_told_and_never_delivered(store: RunStore) -> None:
    left = leave(AwayStore())
    (left.files / "video.mp4").write_bytes(b"VIDEO")

    (told,) = deliver()

    assert told.refused == "damaged in the spool: video.mp4; it is made again"
    assert [run.state for run in store.runs()] == [RunState.KILLED]
    assert [run.state for run in store.find_latents(SPEC.signature)] == [RunState.KILLED], "its latents are whole"
    assert left_behind() == []
