"""The executor on this machine: videos in the background, what stays loaded, what an error or an interrupt leaves."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.dashboard.pictures import write_pictures
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import StoreError
from cogx_runs.generation.generate import denoise
from cogx_runs.generation.pipeline import load_pipeline
from cogx_runs.metrics.scoring import Scorer
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import SilentProgress
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import KIND, OVERVIEW_KIND
from cogx_runs.video import write_mp4
from tests.support.running import again, executor, run


def test_videos_are_encoded_in_the_background_while_the_next_ones_are_denoised(plan: Plan) -> None:
    events: list[str] = []
    second_has_begun = threading.Event()

    def recorded(pipe: Any, spec: Any, *others: Any) -> Any:
        events.append(f"denoise {spec.seed}")
        if spec.seed == 2:
            second_has_begun.set()
        return denoise(pipe, spec, *others)

    def slow(*arguments: Any) -> None:
        assert second_has_begun.wait(60), "the second video waits for the first one's file"
        write_mp4(*arguments)

    assert run(plan, overlaps=True, denoise=recorded, write_mp4=slow) == ["finished"] * 4
    assert events == [f"denoise {seed}" for seed in (1, 2, 3, 4)]
    runs = load_runs("exp", sort="seed")
    assert runs["metrics.clip_score"].notna().all()
    assert list(runs["tags.cogx.finished_beside"].fillna(""))[:2] == ["", "seed=1 panda"]
    assert runs["metrics.idle_before_s"].notna().sum() == 4


@pytest.mark.parametrize("overlaps", [False, True])
def test_ffmpeg_is_never_started_by_the_main_thread_into_whose_fork_an_interrupt_could_fall(
    plan: Plan, overlaps: bool
) -> None:
    threads = []

    def noted(*arguments: Any) -> None:
        threads.append(threading.current_thread())
        write_mp4(*arguments)

    run(replace(plan, runs=plan.runs[:1]), overlaps=overlaps, write_mp4=noted)

    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_on_a_cpu_a_video_is_whole_before_the_next_cell_is_begun(plan: Plan) -> None:
    events: list[str] = []

    def recorded(pipe: Any, spec: Any, *others: Any) -> Any:
        events.append(f"denoise {spec.seed}")
        return denoise(pipe, spec, *others)

    def written(*arguments: Any) -> None:
        write_mp4(*arguments)
        events.append("written")

    run(replace(plan, runs=plan.runs[:2]), denoise=recorded, write_mp4=written)

    assert events == ["denoise 1", "written", "denoise 2", "written"]


@pytest.mark.slow
def test_the_same_values_are_tracked_whichever_way_videos_are_finished(plan: Plan) -> None:
    run(plan, overlaps=True)
    overlapping = load_runs("exp", sort="seed")
    for run_id in overlapping["run_id"]:
        RunStore()._client.delete_run(run_id)
    run(again())
    in_turn = load_runs("exp", sort="seed")

    assert set(overlapping.columns) - {"tags.cogx.finished_beside"} == set(in_turn.columns)
    for column in ("metrics.clip_score", "metrics.file_size_bytes", "tags.cogx.noise_sha256"):
        assert list(overlapping[column]) == list(in_turn[column])


def test_plans_that_follow_each_other_on_an_executor_load_the_model_and_its_metrics_once(plan: Plan) -> None:
    loaded = []

    def load(*given: Any) -> Any:
        loaded.append("model")
        return load_pipeline(*given)

    def load_scorer(clip_model: str, extra_metrics: tuple[str, ...]) -> Scorer:
        loaded.append("metrics")
        return Scorer(clip_model, extra_metrics)

    with executor(load_pipeline=load, load_scorer=load_scorer) as used:
        for cells in (plan.runs[:1], plan.runs[1:2]):
            used.run(replace(plan, runs=cells), SilentProgress())

    assert loaded == ["metrics", "model"]
    runs = load_runs("exp", sort="seed")
    assert list(runs["status"]) == ["FINISHED", "FINISHED"]
    assert list(runs["metrics.idle_before_s"].notna()) == [True, True]


def test_an_error_in_the_background_fails_its_own_run_only(plan: Plan) -> None:
    calls = 0

    def broken(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("broken on purpose")
        return write_pictures(*arguments)

    statuses = run(plan, overlaps=True, write_pictures=broken)

    assert sorted(statuses) == ["failed", "finished", "finished", "finished"]
    failed = load_runs("exp", where=["status=FAILED"])
    assert [f"seed={seed} panda" for seed in (1, 2, 3, 4)].index(failed.iloc[0]["run_name"]) == statuses.index("failed")


def test_ctrl_c_kills_the_cell_at_work_and_lets_the_waiting_videos_be_finished(plan: Plan) -> None:
    interrupted = threading.Event()

    def interrupt(pipe: Any, spec: Any, *others: Any) -> Any:
        if spec.seed == 3:
            interrupted.set()
            raise KeyboardInterrupt
        return denoise(pipe, spec, *others)

    def slow(*arguments: Any) -> None:
        assert interrupted.wait(60)
        write_mp4(*arguments)

    with pytest.raises(KeyboardInterrupt):
        run(plan, overlaps=True, denoise=interrupt, write_mp4=slow)

    assert sorted(load_runs("exp")["status"]) == ["FINISHED", "FINISHED", "KILLED"]


@pytest.mark.parametrize("overlaps", [False, True])
def test_an_interrupt_that_is_raised_in_the_background_leaves_no_run_open(plan: Plan, overlaps: bool) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(replace(plan, runs=plan.runs[:1]), overlaps=overlaps, write_pictures=interrupt)

    assert list(load_runs("exp")["status"]) == ["KILLED"]


class InterruptedInAClaim(RunStore):
    """Interrupted after a run is created and before its id is known."""

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str], started_ms: int | None = None) -> str:
        created = super().create_run(experiment_id, name, tags, started_ms)
        if tags[KIND] == OVERVIEW_KIND:  # the board's, which is made before
            return created
        raise KeyboardInterrupt


def test_ctrl_c_in_the_middle_of_a_claim_leaves_no_run_open(plan: Plan) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(plan, store=InterruptedInAClaim())

    assert list(load_runs("exp")["status"]) == ["KILLED"]


class SlowStore(RunStore):
    """Takes a second for the end of a run."""

    def finish(self, *arguments: Any, **options: Any) -> None:
        time.sleep(1)
        super().finish(*arguments, **options)


@pytest.mark.slow
def test_a_cell_of_two_sweeps_waits_for_its_twin_that_is_still_in_the_background(plan: Plan, project: Path) -> None:
    content = yaml.safe_load((project / "seed.yaml").read_text(encoding="utf-8"))
    for name, seeds in (("a", [1, 2]), ("b", [2, 3])):
        text = yaml.safe_dump({**content, "name": name, "axes": {"seed": seeds}})
        (project / f"{name}.yaml").write_text(text, encoding="utf-8")

    statuses = run(plan_sweeps(["a.yaml", "b.yaml"], device="cpu"), overlaps=True, store=SlowStore())

    assert statuses == ["finished", "finished", "reused", "finished"]


class RefusingStore(RunStore):
    """Refuses the first cell's end."""

    def finish(self, run_id: str, artifacts: Path, params: Mapping[str, Any], *others: Any) -> None:
        if params["seed"] == "1":
            raise StoreError("the server refuses")
        super().finish(run_id, artifacts, params, *others)


def test_a_run_that_the_store_refuses_stops_the_sweep_blames_no_cell_and_waits_for_the_next_start(plan: Plan) -> None:
    with pytest.raises(
        StoreError, match=r"^the server refuses; 1 finished cell kept in [^ ]+: the same command goes on"
    ):
        run(plan, overlaps=True, store=RefusingStore())

    runs = load_runs("exp")
    assert "FAILED" not in set(runs["status"])
    assert runs[runs["run_name"] == "seed=1 panda"]["status"].tolist() == ["KILLED"]
    assert "RUNNING" not in set(runs["status"])

    def denoise_others(pipe: Any, spec: RunSpec, *others: Any) -> Any:
        assert spec.seed != 1, "seed 1 waits in the spool"
        return denoise(pipe, spec, *others)

    assert run(again(), denoise=denoise_others)[0] == "done"
    assert sorted(load_runs("exp", where=["status=FINISHED"])["params.seed"]) == [1, 2, 3, 4]
