"""Memory: what a cell needs, held against what was measured, and the placement that follows."""

from dataclasses import replace
from typing import Any

import pytest

from cogx_runs.definitions.parameters import Placement
from cogx_runs.definitions.spec import Workload
from cogx_runs.models.cards import HUB_MODELS, ModelCard
from cogx_runs.models.memory import (
    CONTEXT_GIB,
    RAM_RESERVE_GIB,
    Budget,
    Choice,
    TextChoice,
    choose_placement,
    choose_text_placement,
    count_tokens,
    largest_needs,
    needs,
    text_vram_gib,
)
from cogx_runs.system.hardware import GIB, avoid_fragmentation
from tests.support.gpus import FakeGpu, LeaveFree, PlugIn

SMALL, LARGE = HUB_MODELS["2b"], HUB_MODELS["5b"]
OWN = Workload("float16", num_frames=49, height=480, width=720, is_guided=True, vae_tiling=True)


def budget(vram: float, ram: float, max_vram_gib: float | None = None) -> Budget:
    """That of a GPU and a host with this many GiB free."""
    return Budget.of(round(vram * GIB), round(ram * GIB), max_vram_gib)


def choose(card: ModelCard, given: Budget) -> Choice:
    return choose_placement(card, [replace(OWN, dtype=card.dtype)], given)


@pytest.mark.parametrize(
    ("card", "placement", "changes", "phase", "measured"),
    [
        (SMALL, "resident", {}, "decode_gib", 7.5),
        (LARGE, "resident", {"dtype": "bfloat16"}, "denoise_gib", 13.50),
        (LARGE, "resident", {"dtype": "bfloat16"}, "decode_gib", 14.60),
        (SMALL, "group", {}, "decode_gib", 4.23),
        (SMALL, "sequential", {}, "decode_gib", 3.88),
        (SMALL, "group", {"vae_tiling": False}, "decode_gib", 15.4),
        (LARGE, "group", {"dtype": "bfloat16"}, "denoise_gib", 3.64),
        (SMALL, "group", {"decoder": "fused"}, "decode_gib", 2.57),
    ],
)
def test_needs_are_those_that_were_measured_on_an_h100_or_a_little_more(
    card: ModelCard, placement: Placement, changes: dict[str, Any], phase: str, measured: float
) -> None:
    expected = getattr(needs(card, placement, replace(OWN, **changes)), phase)

    assert measured <= expected <= measured + 0.25


@pytest.mark.parametrize(
    ("vram", "small", "small_text", "large", "large_text"),
    [
        (8, "group", "sequential", "group", "sequential"),
        (12, "resident", "resident", "group", "resident"),
        (16, "resident", "resident", "resident", "resident"),
        (24, "resident", "resident", "resident", "resident"),
        (40, "resident", "resident", "resident", "resident"),
        (80, "resident", "resident", "resident", "resident"),
    ],
)
def test_auto_is_the_fastest_placement_that_fits_the_gpu(
    vram: float, small: Placement, small_text: str, large: Placement, large_text: str
) -> None:
    given = budget(vram, ram=64)

    assert [(choose(card, given).placement, choose(card, given).shortage) for card in (SMALL, LARGE)] == [
        (small, ""),
        (large, ""),
    ]
    assert [choose_text_placement(card, card.dtype, given).placement for card in (SMALL, LARGE)] == [
        small_text,
        large_text,
    ]


def test_a_token_of_1_5_spans_two_latent_frames() -> None:
    later = HUB_MODELS["1.5-5b"]

    assert count_tokens(later, replace(OWN, num_frames=81, height=768, width=1360)) == 2 * (11 * 48 * 85 + 226)


def test_what_another_program_holds_of_the_gpu_counts() -> None:
    assert choose(SMALL, budget(9, ram=64)).placement == "resident"
    assert choose(SMALL, budget(8, ram=64)).placement == "group"
    assert choose(SMALL, budget(5, ram=64)).placement == "sequential"


def test_pinned_copies_do_not_drive_16_gb_of_host_memory_into_swap() -> None:
    available = 16e9 / GIB - 1

    small, large = (choose(card, budget(8, available)) for card in (SMALL, LARGE))

    assert (small.placement, small.shortage) == ("group", "")
    assert (large.placement, large.shortage) == ("sequential", "")
    assert large.reason == (
        "resident needs 15.1 GiB of VRAM and 7.5 can be used; group needs 20.8 GiB of host memory and 11.9 can be used"
    )
    assert choose(LARGE, budget(8, ram=32)).placement == "group"


def test_a_cap_is_planned_with_and_named() -> None:
    capped = choose(SMALL, budget(80, 64, max_vram_gib=6))

    assert (capped.placement, capped.shortage) == ("group", "")
    assert capped.reason == "resident needs 7.9 GiB of VRAM and 6.0 can be used (--max-vram 6)"
    assert budget(8, 64, max_vram_gib=20) == budget(8, 64)


def test_what_fits_says_what_it_needs() -> None:
    assert choose(SMALL, budget(80, ram=64)).reason == "it needs 7.9 of 79.5 GiB of VRAM"


def test_where_nothing_fits_it_is_sequential_and_says_what_is_short() -> None:
    choice = choose(SMALL, budget(4, ram=64))

    assert choice.placement == "sequential"
    assert choice.shortage == "needs 4.4 GiB of VRAM and 3.5 can be used"


def test_a_host_too_small_to_load_from_is_no_reason_against_resident() -> None:
    choice = choose(LARGE, budget(24, ram=8))

    assert choice.placement == "resident"
    assert choice.shortage == "needs 10.8 GiB of host memory and 6.0 can be used"


def test_the_text_encoder_is_loaded_through_host_memory_whole() -> None:
    enough, little = (choose_text_placement(SMALL, "float16", budget(80, ram=ram)) for ram in (13, 10))

    assert enough == TextChoice("resident", "")
    assert little == TextChoice("resident", "needs 10.8 GiB of host memory and 8.0 can be used")


def test_the_text_encoder_needs_what_was_measured_on_an_h100_or_a_little_more() -> None:
    assert 10.84 <= text_vram_gib(SMALL, "float16", "resident") <= 11.2
    assert text_vram_gib(SMALL, "bfloat16", "resident") < 9.5


def test_the_placement_is_that_in_which_the_largest_cell_fits() -> None:
    small, large = replace(OWN, vae_tiling=True), replace(OWN, vae_tiling=False)
    given = budget(12, ram=64)

    assert choose_placement(SMALL, [small], given).placement == "resident"
    assert choose_placement(SMALL, [small, large], given) == choose_placement(SMALL, [large], given)


@pytest.mark.parametrize("placement", ["resident", "group", "model", "sequential"])
def test_more_of_anything_never_needs_less(placement: Placement) -> None:
    less = needs(SMALL, placement, replace(OWN, num_frames=25, is_guided=False))

    for changes in (
        {"num_frames": 49},
        {"is_guided": True},
        {"height": 960},
        {"width": 1440},
        {"vae_tiling": False},
        {"dtype": "float32"},
    ):
        more = needs(SMALL, placement, replace(OWN, **{"num_frames": 25, "is_guided": False} | changes))
        assert more.denoise_gib >= less.denoise_gib
        assert more.decode_gib >= less.decode_gib
        assert more != less


def test_guidance_doubles_the_activations_of_denoising_and_leaves_decoding_alone() -> None:
    weights = SMALL.transformer_parameters * 2 / GIB
    guided, alone = (needs(SMALL, "model", replace(OWN, is_guided=guided)) for guided in (True, False))

    assert guided.denoise_gib - weights == pytest.approx(2 * (alone.denoise_gib - weights))
    assert guided.decode_gib == alone.decode_gib


@pytest.mark.parametrize(("card", "saved"), [(SMALL, 1.236), (LARGE, 4.430)])
def test_a_quantised_transformer_is_smaller_on_the_gpu_and_is_loaded_whole(card: ModelCard, saved: float) -> None:
    plain = replace(OWN, dtype=card.dtype)
    whole, less = (needs(card, "resident", one) for one in (plain, replace(plain, quantization="int8")))

    assert whole.denoise_gib - less.denoise_gib == pytest.approx(saved, abs=0.001)
    assert whole.decode_gib - less.decode_gib == pytest.approx(saved, abs=0.001)
    assert less.host_gib == whole.host_gib


def test_fp8_takes_less_memory_than_the_exact_weights_only_where_it_is_compiled() -> None:
    plain, eager = replace(OWN, dtype="float16"), replace(OWN, dtype="float16", quantization="fp8")
    exact, scaled, fused = (
        needs(SMALL, "resident", one).denoise_gib for one in (plain, eager, replace(eager, compile=True))
    )

    assert scaled - exact == pytest.approx(6.57 - 4.99, abs=0.05)
    assert fused < exact


def test_auto_keeps_resident_what_fits_once_it_is_quantised() -> None:
    plain = replace(OWN, dtype="bfloat16")
    given = budget(12, 64)

    assert choose_placement(LARGE, [plain], given).placement == "group"
    assert choose_placement(LARGE, [replace(plain, quantization="int8")], given).placement == "resident"
    assert choose_placement(LARGE, [replace(plain, quantization="int8"), plain], given).placement == "group"


def test_the_needs_of_several_cells_are_the_most_of_each_phase() -> None:
    long, untiled = replace(OWN, vae_tiling=True), replace(OWN, num_frames=25, vae_tiling=False)

    both = largest_needs(SMALL, "group", [long, untiled])

    assert both.denoise_gib == needs(SMALL, "group", long).denoise_gib
    assert both.decode_gib == needs(SMALL, "group", untiled).decode_gib


def test_the_budget_is_what_is_free_here_less_what_goes_elsewhere(plug_in: PlugIn, leave_free: LeaveFree) -> None:
    plug_in(FakeGpu(free_gib=20, total_gib=24))
    leave_free(32)

    assert Budget.here("cuda") == Budget(20 - CONTEXT_GIB, 32 - RAM_RESERVE_GIB)
    assert Budget.here("cuda", 6) == Budget(6, 32 - RAM_RESERVE_GIB, 6)


def test_on_a_cpu_there_is_no_budget_and_all_is_resident() -> None:
    assert Budget.here("cpu", 6) is None
    assert choose_text_placement(SMALL, "float32", None) == TextChoice("resident", "")


@pytest.mark.parametrize(
    ("given", "platform", "expected"),
    [
        ({}, "linux", {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}),
        ({}, "win32", {}),
        ({"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}, "linux", {"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}),
    ],
)
def test_the_allocator_is_told_to_grow_its_segments_unless_the_user_has_set_it(
    given: dict[str, str], platform: str, expected: dict[str, str]
) -> None:
    environment = dict(given)

    avoid_fragmentation(environment, platform)

    assert environment == expected
