"""Latents that an earlier run has kept, decoded by a later one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.execution import inference
from cogx_runs.generation import oom_fallback
from cogx_runs.generation.measure import Peak
from cogx_runs.planning.plan import Plan
from tests.support.running import again, out_of_memory_at, run


def test_out_of_memory_in_decoding_kept_latents_steps_down_too(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    run(replace(plan, runs=plan.runs[:1]))
    other_fps = plan_sweeps(["seed.yaml"], device="cpu", overrides={"fps": 16})
    calls = out_of_memory_at(monkeypatch, "decode", ("resident",))

    assert run(replace(other_fps, runs=other_fps.runs[:1])) == ["finished"]

    assert calls == [("decode", 1, "resident"), ("decode", 1, "group")]


def test_latents_of_a_run_that_failed_in_decoding_are_decoded_by_the_next_one(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        out_of_memory_at(small, "decode", ("resident", "group", "sequential"))
        small.setitem(oom_fallback.LESS_MEMORY, "group", None)
        assert run(replace(plan, runs=plan.runs[:1])) == ["failed"]
    monkeypatch.delattr(inference, "denoise")

    assert run(replace(again(retry_failed=True), runs=again(retry_failed=True).runs[:1])) == ["finished"]

    failed, finished = (load_runs("exp", where=[f"status={status}"]).iloc[0] for status in ("FAILED", "FINISHED"))
    assert finished["tags.cogx.latents_from"] == failed["run_id"]
    assert finished["metrics.denoise_s"] == failed["metrics.denoise_s"]
    assert finished["metrics.clip_score"] > -100
    assert finished["tags.cogx.latents"] == "kept"


def test_the_peak_of_a_run_decoded_from_kept_latents_is_that_of_both_phases(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = inference.decode
    monkeypatch.setattr(inference, "decode", lambda *_: pytest.fail("as if killed here"))
    with pytest.raises(pytest.fail.Exception):
        run(replace(plan, runs=plan.runs[:1]))

    def measured(*arguments: Any) -> Any:
        return replace(decode(*arguments), peak=Peak(99.0, 4.2, 6.0))

    monkeypatch.setattr(inference, "decode", measured)
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
