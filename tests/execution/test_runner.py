"""The runner: videos finished by other threads, and interrupts."""

import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.execution import inference, postprocess, session
from cogx_runs.execution.background import Finishing
from cogx_runs.execution.local import Runner
from cogx_runs.execution.outcomes import SilentReporter
from cogx_runs.execution.session import Workbench
from cogx_runs.generation import loader
from cogx_runs.planning.plan import Plan
from cogx_runs.tracking.store import RunStore
from tests.support.running import again, run


def test_videos_are_finished_by_other_threads_while_the_next_ones_are_denoised(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    second_has_begun = threading.Event()
    denoise, write_mp4 = inference.denoise, postprocess.write_mp4

    def told(pipe: Any, spec: Any, *others: Any) -> Any:
        events.append(f"denoise {spec.seed}")
        if spec.seed == 2:
            second_has_begun.set()
        return denoise(pipe, spec, *others)

    def slow(*arguments: Any) -> None:
        assert second_has_begun.wait(60), "the second video waits for the first one's file"
        assert threading.current_thread().name.startswith("finishing")
        write_mp4(*arguments)

    monkeypatch.setattr(inference, "denoise", told)
    monkeypatch.setattr(postprocess, "write_mp4", slow)

    assert run(plan, finish_beside=True) == ["finished"] * 4
    assert events == [f"denoise {seed}" for seed in (1, 2, 3, 4)]
    runs = load_runs("exp", sort="seed")
    assert runs["metrics.clip_score"].notna().all()
    assert list(runs["tags.cogx.finished_beside"].fillna(""))[:2] == ["", "seed=1 panda"]
    assert runs["metrics.idle_before_s"].notna().sum() == 4


@pytest.mark.slow
def test_the_same_values_are_tracked_whichever_thread_finishes(plan: Plan) -> None:
    run(plan, finish_beside=True)
    beside = load_runs("exp", sort="seed")
    for run_id in beside["run_id"]:
        RunStore()._client.delete_run(run_id)
    run(again())
    in_turn = load_runs("exp", sort="seed")

    assert set(beside.columns) - {"tags.cogx.finished_beside"} == set(in_turn.columns)
    for column in ("metrics.clip_score", "metrics.file_size_bytes", "tags.cogx.noise_sha256"):
        assert list(beside[column]) == list(in_turn[column])


def test_plans_that_follow_each_other_on_a_workbench_load_the_model_and_its_metrics_once(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, scorer, loaded = loader.load_pipeline, session.Scorer, []
    monkeypatch.setattr(loader, "load_pipeline", lambda *given: loaded.append("model") or load(*given))
    monkeypatch.setattr(session, "Scorer", lambda clip: loaded.append("metrics") or scorer(clip))

    with Workbench() as bench:
        for cells in (plan.runs[:1], plan.runs[1:2]):
            Runner(replace(plan, runs=cells), RunStore(), SilentReporter(), bench).run()

    assert loaded == ["metrics", "model"]
    runs = load_runs("exp", sort="seed")
    assert list(runs["status"]) == ["FINISHED", "FINISHED"]
    assert list(runs["metrics.idle_before_s"].notna()) == [True, True]


def test_an_error_in_finishing_fails_its_own_run_only(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = postprocess.write_pictures
    calls = 0

    def broken(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("broken on purpose")
        return pictures(*arguments)

    monkeypatch.setattr(postprocess, "write_pictures", broken)

    statuses = run(plan, finish_beside=True)

    assert sorted(statuses) == ["failed", "finished", "finished", "finished"]
    failed = load_runs("exp", where=["status=FAILED"])
    assert [f"seed={seed} panda" for seed in (1, 2, 3, 4)].index(failed.iloc[0]["run_name"]) == statuses.index("failed")


def test_ctrl_c_kills_the_cell_at_work_and_lets_the_waiting_videos_be_finished(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoise, write_mp4 = inference.denoise, postprocess.write_mp4
    interrupted = threading.Event()

    def interrupt(pipe: Any, spec: Any, *others: Any) -> Any:
        if spec.seed == 3:
            interrupted.set()
            raise KeyboardInterrupt
        return denoise(pipe, spec, *others)

    def slow(*arguments: Any) -> None:
        assert interrupted.wait(60)
        write_mp4(*arguments)

    monkeypatch.setattr(inference, "denoise", interrupt)
    monkeypatch.setattr(postprocess, "write_mp4", slow)

    with pytest.raises(KeyboardInterrupt):
        run(plan, finish_beside=True)

    assert sorted(load_runs("exp")["status"]) == ["FINISHED", "FINISHED", "KILLED"]


@pytest.mark.parametrize("beside", [False, True])
def test_ctrl_c_while_a_video_is_finished_or_waited_for_leaves_no_run_open(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    if beside:
        monkeypatch.setattr(Finishing, "make_room", interrupt)
    else:
        monkeypatch.setattr(postprocess, "write_pictures", interrupt)

    with pytest.raises(KeyboardInterrupt):
        run(plan, finish_beside=beside)

    assert list(load_runs("exp")["status"]) == ["KILLED"]


def test_ctrl_c_in_the_middle_of_a_claim_leaves_no_run_open(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    create_run = MlflowClient.create_run

    def interrupt(*arguments: Any, **options: Any) -> Any:
        create_run(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "create_run", interrupt)

    with pytest.raises(KeyboardInterrupt):
        run(plan)

    assert list(load_runs("exp")["status"]) == ["KILLED"]


def test_a_cell_of_two_sweeps_waits_for_its_twin_that_is_still_being_finished(
    plan: Plan, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load((project / "seed.yaml").read_text(encoding="utf-8"))
    for name, seeds in (("a", [1, 2]), ("b", [2, 3])):
        text = yaml.safe_dump({**content, "name": name, "axes": {"seed": seeds}})
        (project / f"{name}.yaml").write_text(text, encoding="utf-8")
    keep_latents = RunStore.keep_latents

    def slow(*arguments: Any) -> None:
        time.sleep(1)
        keep_latents(*arguments)

    monkeypatch.setattr(RunStore, "keep_latents", slow)

    statuses = run(plan_sweeps(["a.yaml", "b.yaml"], device="cpu"), finish_beside=True)

    assert statuses == ["finished", "finished", "reused", "finished"]


def test_a_video_that_cannot_even_be_tracked_as_failed_stops_the_sweep_and_blames_no_other_cell(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = RunStore.finish

    def gone(store: RunStore, run_id: str, folder: Path, params: Any, *others: Any, **options: Any) -> None:
        if params["seed"] == 1:
            raise ConnectionError("the server is gone")
        finish(store, run_id, folder, params, *others, **options)

    monkeypatch.setattr(RunStore, "finish", gone)

    with pytest.raises(ConnectionError, match="the server is gone"):
        run(plan, finish_beside=True)

    runs = load_runs("exp")
    assert "FAILED" not in set(runs["status"])
    assert runs[runs["run_name"] == "seed=1 panda"]["status"].tolist() == ["KILLED"]
    assert "RUNNING" not in set(runs["status"])


def test_no_more_than_two_videos_wait() -> None:
    told: list[int] = []
    gates = [threading.Event() for _ in range(3)]

    def waits(gate: threading.Event) -> Any:
        assert gate.wait(60)
        return None

    with Finishing(2, lambda place, _: told.append(place)) as finishing:
        for place in (0, 1):
            finishing.submit(place, partial(waits, gates[place]))
        opener = threading.Timer(0.2, gates[1].set)
        opener.start()
        finishing.make_room()
        finishing.submit(2, lambda: waits(gates[2]))
        assert told == [1]
        gates[0].set()
        gates[2].set()
    assert sorted(told) == [0, 1, 2]
