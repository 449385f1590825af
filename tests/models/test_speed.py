"""Speed: what is computed for a card, held against what was measured and published."""

from typing import Any

import pytest

from cogx_runs.definitions.parameters import Placement
from cogx_runs.models.cards import HUB_MODELS
from cogx_runs.models.gpus import find_gpu, gpu_for_plan
from cogx_runs.models.speed import Timing, predict, step_flop
from tests.support.specs import SPEC

SMALL, LARGE = HUB_MODELS["2b"], HUB_MODELS["5b"]


def timing(gpu: str, model: str = "2b", placement: Placement = "resident", **changes: Any) -> Timing:
    card = HUB_MODELS[model]
    found = predict(card, SPEC.replace(placement=placement, dtype=card.dtype, **changes), gpu_for_plan(gpu).as_gpu())
    assert isinstance(found, Timing)
    return found


def test_a_step_of_2b_takes_240_tflop() -> None:
    assert step_flop(SMALL, SPEC.workload) == pytest.approx(240e12, rel=0.01)


@pytest.mark.parametrize(
    ("model", "placement", "step_s"),
    [("2b", "resident", 0.661), ("2b", "sequential", 1.249), ("5b", "group", 1.871)],
)
def test_what_was_measured_on_an_h100_is_its_estimate(model: str, placement: Placement, step_s: float) -> None:
    found = timing("H100", model, placement)

    assert (found.step_s, found.is_rough) == (pytest.approx(step_s), False)
    assert timing("H100", "1.5-5b").is_rough


def test_fast_kernels_take_about_what_they_were_measured_to() -> None:
    found = timing("H200", compile=True, attention="fa4", decoder="fused")

    assert found.step_s == pytest.approx(0.454, rel=0.1)
    assert found.decode_s == pytest.approx(1.07, rel=0.3)
    assert found.is_rough


def test_fewer_frames_on_an_h100_take_about_what_they_were_measured_to() -> None:
    assert timing("H100", num_frames=25).step_s == pytest.approx(0.265, rel=0.1)


@pytest.mark.parametrize(("model", "published_s"), [("2b", 90), ("5b", 180), ("1.5-5b", 1000)])
def test_a_video_on_an_a100_takes_about_what_is_published(model: str, published_s: float) -> None:
    card = HUB_MODELS[model]
    found = timing("A100", model, num_frames=card.num_frames, height=card.height, width=card.width)

    assert found.is_rough
    assert found.total_s(50) == pytest.approx(published_s, rel=0.3)


@pytest.mark.parametrize("placement", ["resident", "group", "model", "sequential"])
@pytest.mark.parametrize("gpu", ["T4", "RTX 3060", "H100"])
def test_a_step_without_guidance_is_faster(gpu: str, placement: Placement) -> None:
    assert timing(gpu, placement=placement, guidance_scale=1.0).step_s < timing(gpu, placement=placement).step_s


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("NVIDIA GeForce RTX 3060", "RTX 3060"),
        ("NVIDIA GeForce RTX 3060 Ti", "RTX 3060 Ti"),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", None),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-PCIE-40GB", "A100"),
        ("Tesla V100-PCIE-16GB", "V100"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA L40", None),
        ("Tesla T4", "T4"),
        ("rtx4090", "RTX 4090"),
        ("3090", "RTX 3090"),
    ],
)
def test_a_card_is_known_by_its_products_name_and_no_other_card_by_it(written: str, name: str | None) -> None:
    found = find_gpu(written)

    assert (None if found is None else found.name) == name


def test_a_size_is_the_slowest_card_of_it() -> None:
    assert [gpu_for_plan(size).name for size in ("12GB", "12", "12 GiB")] == ["RTX 3060"] * 3
    assert gpu_for_plan("A100 40GB").memory_gib == 40


def test_a_model_in_bfloat16_has_no_time_on_a_card_without_it() -> None:
    spec = SPEC.replace(dtype="bfloat16")

    assert predict(LARGE, spec, gpu_for_plan("T4").as_gpu()) == "T4 has no native bfloat16"
