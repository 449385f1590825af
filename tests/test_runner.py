"""The runner beside and below the GPU: videos finished by other threads, and what happens when memory runs out."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cogx_runs import load_runs, plan_sweeps, runner
from cogx_runs.finishing import Finishing
from cogx_runs.outcomes import Outcome, SilentReporter
from cogx_runs.plan import Plan
from cogx_runs.runner import Runner
from cogx_runs.tracking.store import RunStore

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
    outcomes = Runner(plan, RunStore(), SilentReporter(), finish_beside).run()
    return [outcome.status for outcome in outcomes]


def again(retry_failed: bool = False) -> Plan:
    return plan_sweeps(["seed.yaml"], device="cpu", retry_failed=retry_failed)


def test_videos_are_finished_by_other_threads_while_the_next_ones_are_denoised(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    second_has_begun = threading.Event()
    denoise, write_mp4 = runner.denoise, runner.write_mp4

    def told(pipe: Any, spec: Any, *others: Any) -> Any:
        events.append(f"denoise {spec.seed}")
        if spec.seed == 2:
            second_has_begun.set()
        return denoise(pipe, spec, *others)

    def slow(*arguments: Any) -> None:
        assert second_has_begun.wait(60), "the second video waits for the first one's file"
        assert threading.current_thread().name.startswith("finishing")
        write_mp4(*arguments)

    monkeypatch.setattr(runner, "denoise", told)
    monkeypatch.setattr(runner, "write_mp4", slow)

    assert run(plan, finish_beside=True) == ["finished"] * 4
    assert events == [f"denoise {seed}" for seed in (1, 2, 3, 4)]
    runs = load_runs("exp", sort="seed")
    assert runs["metrics.clip_score"].notna().all()
    assert list(runs["tags.cogx.finished_beside"].fillna(""))[:2] == ["", "panda seed=1"]
    assert runs["metrics.idle_before_s"].notna().sum() == 4


def test_the_same_values_are_tracked_whichever_thread_finishes(plan: Plan) -> None:
    run(plan, finish_beside=True)
    beside = load_runs("exp", sort="seed")
    for run_id in beside["run_id"]:
        RunStore()._client.delete_run(run_id)
    run(again())
    in_turn = load_runs("exp", sort="seed")

    assert set(beside.columns) == set(in_turn.columns)
    for column in ("metrics.clip_score", "metrics.file_size_bytes", "tags.cogx.noise_sha256"):
        assert list(beside[column]) == list(in_turn[column])


def test_an_error_in_finishing_fails_its_own_run_only(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = runner.contact_sheet
    calls = 0

    def broken(frames: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("broken on purpose")
        return sheet(frames)

    monkeypatch.setattr(runner, "contact_sheet", broken)

    assert sorted(run(plan, finish_beside=True)) == ["failed", "finished", "finished", "finished"]


def test_ctrl_c_kills_the_cell_at_work_and_lets_the_waiting_videos_be_finished(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoise, write_mp4 = runner.denoise, runner.write_mp4
    interrupted = threading.Event()

    def interrupt(pipe: Any, spec: Any, *others: Any) -> Any:
        if spec.seed == 3:
            interrupted.set()
            raise KeyboardInterrupt
        return denoise(pipe, spec, *others)

    def slow(*arguments: Any) -> None:
        assert interrupted.wait(60)
        write_mp4(*arguments)

    monkeypatch.setattr(runner, "denoise", interrupt)
    monkeypatch.setattr(runner, "write_mp4", slow)

    with pytest.raises(KeyboardInterrupt):
        run(plan, finish_beside=True)

    assert sorted(load_runs("exp")["status"]) == ["FINISHED", "FINISHED", "KILLED"]


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
        works = getattr(runner, name)

        def watched(model: Any, spec: Any, *others: Any, name: str = name, works: Any = works) -> Any:
            calls.append((name, spec.seed, spec.placement))
            if name == phase and spec.placement in placements:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return works(model, spec, *others)

        monkeypatch.setattr(runner, name, watched)
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


def test_latents_of_a_run_that_failed_in_decoding_are_decoded_by_the_next_one(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        out_of_memory_at(small, "decode", ("resident", "group", "sequential"))
        small.setitem(runner.LESS_MEMORY, "group", None)  # type: ignore[arg-type]
        assert run(replace(plan, runs=plan.runs[:1])) == ["failed"]
    monkeypatch.delattr(runner, "denoise")

    assert run(replace(again(retry_failed=True), runs=again(retry_failed=True).runs[:1])) == ["finished"]

    failed, finished = (load_runs("exp", where=[f"status={status}"]).iloc[0] for status in ("FAILED", "FINISHED"))
    assert finished["tags.cogx.latents_from"] == failed["run_id"]
    assert finished["metrics.denoise_s"] == failed["metrics.denoise_s"]
    assert finished["metrics.clip_score"] > -100
