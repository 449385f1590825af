"""Cost: seconds and GiB of a cell, learned from finished runs."""

from typing import Any

import pytest

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.models.cards import HUB_MODELS
from cogx_runs.models.gpus import gpu_for_plan
from cogx_runs.planning.actions import Decision
from cogx_runs.planning.cost import TOKENS_EXPONENT, CostModel
from cogx_runs.planning.plan import Estimate
from cogx_runs.system.hardware import device_name
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.tags import BESIDE, DEVICE_NAME, LATENTS_FROM, REUSED_FROM
from tests.support import specs
from tests.support.tracked_runs import tracked

SPEC = specs.SPEC.replace(num_inference_steps=10, device="cpu", dtype="float32", placement="resident")
HERE = {DEVICE_NAME: device_name("cpu")}


def finished(
    spec: RunSpec = SPEC,
    *,
    step_s: float,
    encode_text_s: float = 0.0,
    decode_s: float = 0.0,
    encode_video_s: float = 0.0,
    peak_vram_gib: float | None = None,
    **changes: Any,
) -> TrackedRun:
    """A finished run of `spec`, its parameters as text, as a store has them, and its wall time the sum of its parts."""
    metrics = {
        "encode_text_s": encode_text_s,
        "step_s": step_s,
        "denoise_s": step_s * spec.num_inference_steps,
        "decode_s": decode_s,
        "encode_video_s": encode_video_s,
    }
    metrics["wall_time_s"] = encode_text_s + metrics["denoise_s"] + decode_s + encode_video_s
    if peak_vram_gib is not None:
        metrics["peak_vram_gib"] = peak_vram_gib
    return tracked(spec, **{"metrics": metrics, "tags": HERE, **changes})


CARD = HUB_MODELS["2b"]
COMPUTED = CostModel([]).estimate(SPEC, CARD)


def test_without_a_finished_run_the_estimate_is_computed_and_said_to_be_rough() -> None:
    assert (COMPUTED.basis, COMPUTED.is_rough, COMPUTED.peak_vram_gib) == ("rough: computed for this CPU", True, None)
    assert COMPUTED.seconds is not None
    assert CostModel([]).error is None


def test_where_nothing_is_known_there_is_no_time_but_a_reason() -> None:
    assert CostModel([]).estimate(SPEC.replace(dtype="float16"), CARD) == Estimate(
        None, None, "a CPU's speed in float16 is not in the table, and no such run is finished on it"
    )


@pytest.mark.parametrize(
    ("action", "basis"), [("done", "finished"), ("reuse", "copied"), ("failed", "not tried again")]
)
def test_a_cell_that_is_not_run_takes_no_time(action: Any, basis: str) -> None:
    assert CostModel([finished(step_s=1.0)]).estimate(SPEC, CARD, Decision(action)) == Estimate(0.0, None, basis)


def test_one_finished_run_is_the_estimate_of_its_like() -> None:
    costs = CostModel([finished(step_s=0.5, encode_text_s=0.25, decode_s=3.0, encode_video_s=0.5, peak_vram_gib=16.5)])

    assert costs.estimate(SPEC, CARD) == Estimate(8.75, 16.5, "median of 1 finished run like it")


def test_another_step_count_is_learned_by_the_step() -> None:
    costs = CostModel([finished(step_s=0.5, decode_s=3.0)])

    assert costs.estimate(SPEC.replace(num_inference_steps=50), CARD).seconds == 28.0


def test_each_phase_is_the_median_of_the_runs_and_the_memory_their_peak() -> None:
    costs = CostModel(
        [
            finished(step_s=1.0, encode_text_s=0.3, decode_s=2.0, encode_video_s=0.5, peak_vram_gib=4.0),
            finished(step_s=2.0, encode_text_s=0.1, decode_s=9.0, encode_video_s=0.6, peak_vram_gib=5.0),
            finished(step_s=9.0, encode_text_s=0.2, decode_s=3.0, encode_video_s=0.4, peak_vram_gib=4.5),
        ]
    )

    estimate = costs.estimate(SPEC, CARD)

    assert (estimate.seconds, estimate.peak_vram_gib) == (0.2 + 10 * 2.0 + 3.0 + 0.5, 5.0)
    assert estimate.basis.startswith("median of 3 finished runs like it; ")


def test_without_guidance_a_step_takes_half_as_long_as_with_it_and_the_rest_as_long() -> None:
    guided, free = SPEC, SPEC.replace(guidance_scale=1.0)
    rest = {"encode_text_s": 0.5, "decode_s": 3.0, "encode_video_s": 0.5}

    from_guided = CostModel([finished(guided, step_s=0.5, peak_vram_gib=9.0, **rest)]).estimate(free, CARD)
    from_free = CostModel([finished(free, step_s=0.25, **rest)]).estimate(guided, CARD)

    assert from_guided == Estimate(6.5, 9.0, "scaled from 1 finished at 49 frames, guidance on")
    assert from_free == Estimate(9.0, None, "scaled from 1 finished at 49 frames, guidance off")


def test_fewer_frames_take_less_time_by_the_measured_exponent() -> None:
    costs = CostModel([finished(step_s=1.0, encode_text_s=0.5, decode_s=4.9, encode_video_s=0.49)])

    estimate = costs.estimate(SPEC.replace(num_frames=25), CARD)

    share = 25 / 49
    assert estimate.seconds == pytest.approx(0.5 + 10 * share**TOKENS_EXPONENT + 5.39 * share, abs=0.005)
    assert estimate.basis == "scaled from 1 finished at 49 frames, guidance on"


def test_the_exponent_is_between_that_of_linear_layers_and_that_of_attention_and_fits_the_measured_steps() -> None:
    # One H100, 2b resident: 0.641 s a step at 49 frames, 0.265 at 25.
    assert 1 < TOKENS_EXPONENT < 2
    predicted = 0.641 * (25 / 49) ** TOKENS_EXPONENT
    assert predicted == pytest.approx(0.265, rel=0.1)


def test_the_nearest_shape_is_scaled_and_no_other() -> None:
    costs = CostModel(
        [
            finished(SPEC.replace(num_frames=49), step_s=100.0),
            finished(SPEC.replace(num_frames=25, guidance_scale=1.0), step_s=1.0),
            finished(SPEC.replace(num_frames=9), step_s=100.0),
        ]
    )

    estimate = costs.estimate(SPEC.replace(num_frames=25), CARD)

    assert estimate.seconds == 20.0
    assert estimate.basis.startswith("scaled from 1 finished at 25 frames, guidance off; ")


def test_of_two_runs_with_as_many_frames_the_one_with_the_same_guidance_tells() -> None:
    costs = CostModel([finished(step_s=1.0), finished(SPEC.replace(guidance_scale=1.0), step_s=0.75)])

    guided, free = costs.estimate(SPEC, CARD), costs.estimate(SPEC.replace(guidance_scale=0.5), CARD)

    assert (guided.seconds, free.seconds) == (10.0, 7.5)
    assert guided.basis.startswith("median of 1 finished run like it; ")


@pytest.mark.parametrize(
    "changes",
    [
        {"placement": "group"},
        {"dtype": "float16"},
        {"model_revision": "8d6ea3f8"},
        {"height": 240},
        {"width": 360},
        {"scheduler": "dpm"},
        {"vae_tiling": False},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_of_another_kind_tells_nothing(changes: dict[str, Any]) -> None:
    assert CostModel([finished(SPEC.replace(**changes), step_s=1.0)]).estimate(SPEC, CARD) == COMPUTED


@pytest.mark.parametrize(
    "changes", [{"seed": 43}, {"prompt": "A cat."}, {"fps": 16}, {"vae_slicing": False}], ids=lambda c: next(iter(c))
)
def test_a_run_of_another_seed_prompt_or_file_tells_as_much(changes: dict[str, Any]) -> None:
    assert CostModel([finished(SPEC.replace(**changes), step_s=1.0)]).estimate(SPEC, CARD).seconds == 10.0


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": {DEVICE_NAME: "NVIDIA H100"}},
        {"state": RunState.FAILED},
        {"state": RunState.KILLED},
        {"state": RunState.RUNNING},
        {"tags": {**HERE, REUSED_FROM: "2"}},
        {"tags": {**HERE, LATENTS_FROM: "2"}},
        {"tags": {**HERE, BESIDE: "another sweep"}},
        {"metrics": {"clip_score": 30.0}},
        {"params": {}},
    ],
    ids=lambda changes: "-".join(map(str, *changes.items())),
)
def test_a_run_that_was_not_measured_here_to_its_end_tells_nothing(changes: dict[str, Any]) -> None:
    assert CostModel([finished(step_s=1.0, **changes)]).estimate(SPEC, CARD) == COMPUTED


def test_reused_runs_weigh_neither_in_the_median_nor_in_the_error() -> None:
    measured = [finished(step_s=step_s) for step_s in (1.0, 2.0)]
    reused = [finished(step_s=2.0, tags={**HERE, REUSED_FROM: "1"}) for _ in range(5)]

    assert CostModel([*measured, *reused]).estimate(SPEC, CARD) == CostModel(measured).estimate(SPEC, CARD)
    assert CostModel([*measured, *reused]).error == CostModel(measured).error


def test_the_error_is_the_median_over_the_runs_of_each_estimated_from_the_others() -> None:
    costs = CostModel([finished(step_s=step_s) for step_s in (1.0, 2.0, 4.0)])

    # 10 s by the median of 20 and 40 is off by 2, 20 s by that of 10 and 40 by 0.25, 40 s by 10 and 20 by 0.625.
    assert costs.error == 0.625
    assert costs.estimate(SPEC, CARD) == Estimate(
        20.0,
        None,
        "median of 3 finished runs like it; such estimates were off by 62% (median, each run left out in turn)",
    )


def test_a_single_run_of_each_kind_has_nothing_to_be_estimated_from() -> None:
    assert CostModel([finished(step_s=1.0), finished(SPEC.replace(height=240), step_s=1.0)]).error is None


def test_the_error_counts_how_far_scaling_between_shapes_was_off() -> None:
    costs = CostModel([finished(step_s=0.6), finished(SPEC.replace(guidance_scale=1.0), step_s=0.4)])

    # 6 s from the unguided run's 4 s is 8 s, off by 1/3; 4 s from the guided run's 6 s is 3 s, off by 1/4.
    assert costs.error == pytest.approx((1 / 3 + 1 / 4) / 2)


def test_no_video_without_guidance_is_estimated_slower_than_one_with_it() -> None:
    free = SPEC.replace(guidance_scale=1.0)
    rest = {"decode_s": 3.0, "encode_video_s": 0.5}
    costs = CostModel([finished(SPEC, step_s=0.4, **rest), finished(free, step_s=0.9, encode_text_s=7.0, **rest)])

    slow, fast = costs.estimate(SPEC, CARD).seconds, costs.estimate(free, CARD).seconds

    assert slow is not None
    assert fast is not None
    assert fast <= slow


def test_a_run_of_the_users_own_takes_the_place_of_what_was_computed_for_the_card() -> None:
    gpu = gpu_for_plan("RTX 3060").as_gpu()
    spec = SPEC.replace(device="cuda", dtype="float16")
    own = finished(spec, step_s=20.0, tags={DEVICE_NAME: "NVIDIA GeForce RTX 3060"})

    computed, learned = (CostModel(history, gpu).estimate(spec, CARD) for history in ([], [own]))

    assert (computed.basis, computed.is_rough) == ("rough: computed for RTX 3060", True)
    assert (learned.seconds, learned.is_rough) == (200.0, False)
