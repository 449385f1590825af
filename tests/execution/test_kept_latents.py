"""Latents that an earlier run has kept, decoded by a later one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.generation.generate import decode
from cogx_runs.generation.measure import Peak
from cogx_runs.planning.plan import Plan
from tests.support.running import SmallGpu, again, never, run


def test_out_of_memory_in_decoding_kept_latents_falls_back_too(plan: Plan) -> None:
    run(replace(plan, runs=plan.runs[:1]))
    other_fps = plan_sweeps(["seed.yaml"], device="cpu", overrides={"fps": 16})
    gpu = SmallGpu("decode", ("resident",))

    assert run(replace(other_fps, runs=other_fps.runs[:1]), **gpu.parts) == ["finished"]

    assert gpu.calls == [("decode", 1, "resident"), ("decode", 1, "group")]


def test_latents_of_a_run_that_failed_in_decoding_are_decoded_by_the_next_one(plan: Plan) -> None:
    gpu = SmallGpu("decode", ("resident", "group"))
    assert run(replace(plan, runs=plan.runs[:1]), less_memory={"resident": "group"}, **gpu.parts) == ["failed"]

    retried = again(retry_failed=True)
    assert run(replace(retried, runs=retried.runs[:1]), denoise=never) == ["finished"]

    failed, finished = (load_runs("exp", where=[f"status={status}"]).iloc[0] for status in ("FAILED", "FINISHED"))
    assert finished["tags.cogx.latents_from"] == failed["run_id"]
    assert finished["metrics.denoise_s"] == failed["metrics.denoise_s"]
    assert finished["metrics.clip_score"] > -100
    assert finished["tags.cogx.latents"] == "kept"


def test_the_peak_of_a_run_decoded_from_kept_latents_is_that_of_both_phases(plan: Plan) -> None:
    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(replace(plan, runs=plan.runs[:1]), decode=killed)

    def measured(*arguments: Any) -> Any:
        return replace(decode(*arguments), peak=Peak(99.0, 4.2, 6.0))

    assert run(replace(again(), runs=again().runs[:1]), decode=measured) == ["finished"]

    made = load_runs("exp", where=["status=FINISHED"]).iloc[0]
    assert made["metrics.peak_ram_gib"] == 99.0
    assert (made["metrics.peak_vram_gib"], made["metrics.peak_vram_decode_gib"]) == (4.2, 4.2)


def test_kept_latents_that_cannot_be_read_are_made_again(plan: Plan) -> None:
    run(replace(plan, runs=plan.runs[:1]))
    for path in Path("mlruns").rglob("latents.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    other_fps = plan_sweeps(["seed.yaml"], device="cpu", overrides={"fps": 16})

    assert run(replace(other_fps, runs=other_fps.runs[:1])) == ["finished"]


def test_latents_of_quantised_weights_say_so_when_decoded_again_and_are_not_the_plain_cells(plan: Plan) -> None:
    def first(**overrides: Any) -> Plan:
        planned = plan_sweeps(["seed.yaml"], device="cpu", overrides=overrides)
        return replace(planned, runs=planned.runs[:1])

    assert run(first(quantization="int8")) == ["finished"]
    assert run(first(quantization="int8", fps=16), denoise=never) == ["finished"]

    runs = load_runs("exp").set_index("params.fps")
    made, again = runs.loc[8], runs.loc[16]
    assert again["tags.cogx.latents_from"] == made["run_id"]
    assert made["tags.cogx.quantized.layers"] == again["tags.cogx.quantized.layers"] == "12 of 21"
    assert made["tags.cogx.not_bitwise"] == "quantization"
    assert first(quantization="int8", fps=24).runs[0].decision.decodes
    assert not first(fps=24).runs[0].decision.decodes
