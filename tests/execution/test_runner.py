"""The runner beside and below the GPU: videos finished by other threads, and what happens when memory runs out."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mlflow import MlflowClient

from cogx_runs import completing, load_runs, making, plan_sweeps, workbench
from cogx_runs.errors import CogxError
from cogx_runs.finishing import Finishing
from cogx_runs.generation import loader, step_down
from cogx_runs.generation.measure import Peak
from cogx_runs.memory import Budget
from cogx_runs.outcomes import Outcome, SilentReporter
from cogx_runs.plan import Plan
from cogx_runs.runner import Runner
from cogx_runs.tracking.store import RunStore
from cogx_runs.workbench import Workbench

Run = Callable[..., list[Outcome]]


@pytest.fixture
def plan(project: Path, tiny_model: Path, tiny_clip: Path) -> Plan:
    """Four cells of one prompt."""
    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")
    content = {
        "name": "exp",
        "prompts": ["panda"],
        "base": {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9},
        "axes": {"seed": [1, 2, 3, 4]},
    }
    (project / "seed.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return plan_sweeps(["seed.yaml"], device="cpu")


def run(plan: Plan, finish_beside: bool = False) -> list[str]:
    with Workbench() as bench:
        outcomes = Runner(plan, RunStore(), SilentReporter(), bench, finish_beside).run()
    return [outcome.status for outcome in outcomes]


def again(retry_failed: bool = False) -> Plan:
    return plan_sweeps(["seed.yaml"], device="cpu", retry_failed=retry_failed)


def test_videos_are_finished_by_other_threads_while_the_next_ones_are_denoised(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    second_has_begun = threading.Event()
    denoise, write_mp4 = making.denoise, completing.write_mp4

    def told(pipe: Any, spec: Any, *others: Any) -> Any:
        events.append(f"denoise {spec.seed}")
        if spec.seed == 2:
            second_has_begun.set()
        return denoise(pipe, spec, *others)

    def slow(*arguments: Any) -> None:
        assert second_has_begun.wait(60), "the second video waits for the first one's file"
        assert threading.current_thread().name.startswith("finishing")
        write_mp4(*arguments)

    monkeypatch.setattr(making, "denoise", told)
    monkeypatch.setattr(completing, "write_mp4", slow)

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
    load, scorer, loaded = loader.load_pipeline, workbench.Scorer, []
    monkeypatch.setattr(loader, "load_pipeline", lambda *given: loaded.append("model") or load(*given))
    monkeypatch.setattr(workbench, "Scorer", lambda clip: loaded.append("metrics") or scorer(clip))

    with Workbench() as bench:
        for cells in (plan.runs[:1], plan.runs[1:2]):
            Runner(replace(plan, runs=cells), RunStore(), SilentReporter(), bench).run()

    assert loaded == ["metrics", "model"]
    runs = load_runs("exp", sort="seed")
    assert list(runs["status"]) == ["FINISHED", "FINISHED"]
    assert list(runs["metrics.idle_before_s"].notna()) == [True, True]


def test_an_error_in_finishing_fails_its_own_run_only(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = completing.write_pictures
    calls = 0

    def broken(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("broken on purpose")
        return pictures(*arguments)

    monkeypatch.setattr(completing, "write_pictures", broken)

    statuses = run(plan, finish_beside=True)

    assert sorted(statuses) == ["failed", "finished", "finished", "finished"]
    failed = load_runs("exp", where=["status=FAILED"])
    assert [f"seed={seed} panda" for seed in (1, 2, 3, 4)].index(failed.iloc[0]["run_name"]) == statuses.index("failed")


def test_ctrl_c_kills_the_cell_at_work_and_lets_the_waiting_videos_be_finished(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoise, write_mp4 = making.denoise, completing.write_mp4
    interrupted = threading.Event()

    def interrupt(pipe: Any, spec: Any, *others: Any) -> Any:
        if spec.seed == 3:
            interrupted.set()
            raise KeyboardInterrupt
        return denoise(pipe, spec, *others)

    def slow(*arguments: Any) -> None:
        assert interrupted.wait(60)
        write_mp4(*arguments)

    monkeypatch.setattr(making, "denoise", interrupt)
    monkeypatch.setattr(completing, "write_mp4", slow)

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
        monkeypatch.setattr(completing, "write_pictures", interrupt)

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
            finishing.submit(place, lambda gate=gates[place]: waits(gate))
        opener = threading.Timer(0.2, gates[1].set)
        opener.start()
        finishing.make_room()
        finishing.submit(2, lambda: waits(gates[2]))
        assert told == [1]
        gates[0].set()
        gates[2].set()
    assert sorted(told) == [0, 1, 2]


def out_of_memory_at(
    monkeypatch: pytest.MonkeyPatch, phase: str, placements: tuple[str, ...]
) -> list[tuple[str, int, str]]:
    """Make a phase run out of memory in these placements; returns the calls of both phases as they come."""
    calls: list[tuple[str, int, str]] = []
    for name in ("denoise", "decode"):
        works = getattr(making, name)

        def watched(model: Any, spec: Any, *others: Any, name: str = name, works: Any = works) -> Any:
            calls.append((name, spec.seed, spec.placement))
            if name == phase and spec.placement in placements:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return works(model, spec, *others)

        monkeypatch.setattr(making, name, watched)
    return calls


def two(plan: Plan) -> Plan:
    return replace(plan, runs=plan.runs[:2])


def test_out_of_memory_in_denoising_steps_down_once_for_all_cells_and_is_recorded(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = out_of_memory_at(monkeypatch, "denoise", ("resident",))

    assert run(two(plan)) == ["finished", "finished"]

    assert calls == [
        ("denoise", 1, "resident"),
        ("denoise", 1, "group"), ("decode", 1, "group"),
        ("denoise", 2, "group"), ("decode", 2, "group"),
    ]  # fmt: skip
    runs = load_runs("exp")
    assert list(runs["params.placement"]) == ["group", "group"]
    assert runs["tags.cogx.stepped_down"].unique().tolist() == ["resident to group: out of the GPU's memory"]


def test_out_of_memory_in_decoding_denoises_nothing_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = out_of_memory_at(monkeypatch, "decode", ("resident",))

    assert run(replace(plan, runs=plan.runs[:1])) == ["finished"]

    assert calls == [("denoise", 1, "resident"), ("decode", 1, "resident"), ("decode", 1, "group")]
    made = load_runs("exp").iloc[0]
    assert made["params.placement"] == "resident"
    assert made["tags.cogx.stepped_down"] == "resident to group in decoding: out of the GPU's memory"


def test_out_of_memory_in_decoding_kept_latents_steps_down_too(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    run(replace(plan, runs=plan.runs[:1]))
    other_fps = plan_sweeps(["seed.yaml"], device="cpu", overrides={"fps": 16})
    calls = out_of_memory_at(monkeypatch, "decode", ("resident",))

    assert run(replace(other_fps, runs=other_fps.runs[:1])) == ["finished"]

    assert calls == [("decode", 1, "resident"), ("decode", 1, "group")]


def test_a_compiled_cell_never_steps_down_to_where_it_cannot_run(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = [replace(planned, spec=replace(planned.spec, compile=True)) for planned in plan.runs[:1]]
    monkeypatch.setattr("cogx_runs.generation.pipeline.compile_blocks", lambda _: None)
    calls = out_of_memory_at(monkeypatch, "denoise", ("resident", "group"))

    assert run(replace(plan, runs=tuple(compiled))) == ["failed"]

    assert [placement for _, _, placement in calls] == ["resident", "group"]


def test_a_host_without_room_to_pin_is_not_driven_to_group(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = plan.runs[0].spec
    smaller = partial(Workbench().within_memory.smaller, plan.cards[spec.model_key], spec)
    assert smaller() == "group"

    monkeypatch.setattr(Budget, "here", classmethod(lambda *_: Budget(vram_gib=80, ram_gib=0)))

    assert smaller() == "sequential"


def test_the_text_encoder_out_of_memory_goes_layer_by_layer_and_then_says_so(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogx_runs.generation import text

    load = text.load_text_encoder
    asked: list[str] = []

    def small(card: Any, dtype: Any, device: Any, placement: str, ends: bool = False) -> Any:
        asked.append(placement)
        if placement == "resident" or ends:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return load(card, dtype, device, "resident")

    monkeypatch.setattr(text, "load_text_encoder", partial(small, ends=True))
    with pytest.raises(CogxError, match="^the text encoder of .*: out of the GPU's memory even layer by layer"):
        run(two(plan))
    monkeypatch.setattr(text, "load_text_encoder", small)

    assert run(two(plan)) == ["finished", "finished"]
    assert asked == ["resident", "sequential"] * 2


def test_the_gpu_is_capped_before_anything_is_loaded_and_not_left_so(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Any] = []
    monkeypatch.setattr(workbench, "cap_memory", events.append)
    monkeypatch.setattr(
        "cogx_runs.generation.loader.load_pipeline", lambda *_: events.append("load") or pytest.fail("stop here")
    )
    for cap in (6.0, None):
        with pytest.raises(pytest.fail.Exception):
            run(replace(plan, max_vram_gib=cap))

    assert events == [6.0, "load", None, "load"]


def test_latents_of_a_run_that_failed_in_decoding_are_decoded_by_the_next_one(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        out_of_memory_at(small, "decode", ("resident", "group", "sequential"))
        small.setitem(step_down.LESS_MEMORY, "group", None)  # type: ignore[arg-type]
        assert run(replace(plan, runs=plan.runs[:1])) == ["failed"]
    monkeypatch.delattr(making, "denoise")

    assert run(replace(again(retry_failed=True), runs=again(retry_failed=True).runs[:1])) == ["finished"]

    failed, finished = (load_runs("exp", where=[f"status={status}"]).iloc[0] for status in ("FAILED", "FINISHED"))
    assert finished["tags.cogx.latents_from"] == failed["run_id"]
    assert finished["metrics.denoise_s"] == failed["metrics.denoise_s"]
    assert finished["metrics.clip_score"] > -100
    assert finished["tags.cogx.latents"] == "kept"


def test_the_peak_of_a_run_decoded_from_kept_latents_is_that_of_both_phases(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = making.decode
    monkeypatch.setattr(making, "decode", lambda *_: pytest.fail("as if killed here"))
    with pytest.raises(pytest.fail.Exception):
        run(replace(plan, runs=plan.runs[:1]))

    def measured(*arguments: Any) -> Any:
        return replace(decode(*arguments), peak=Peak(99.0, 4.2, 6.0))

    monkeypatch.setattr(making, "decode", measured)
    assert run(replace(again(), runs=again().runs[:1])) == ["finished"]

    made = load_runs("exp", where=["status=FINISHED"]).iloc[0]
    assert made["metrics.peak_ram_gib"] == 99.0
    assert (made["metrics.peak_vram_gib"], made["metrics.peak_vram_decode_gib"]) == (4.2, 4.2)


def test_kept_latents_that_cannot_be_read_are_made_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    run(replace(plan, runs=plan.runs[:1]))
    for path in Path("mlruns").rglob("latents.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    other_fps = plan_sweeps(["seed.yaml"], device="cpu", overrides={"fps": 16})

    assert run(replace(other_fps, runs=other_fps.runs[:1])) == ["finished"]
