"""Advice on the device: precision, placement and memory."""

from dataclasses import replace
from importlib import metadata
from typing import Any

import pytest

from cogx_runs.models.cards import HUB_MODELS
from cogx_runs.models.memory import Budget
from cogx_runs.planning.advice import advise
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.planning.plan import Advice
from cogx_runs.system.hardware import GIB, Gpu
from tests.support.advice import advice_on, make_sweep
from tests.support.planning import library_of


def test_a_bfloat16_model_in_float16_is_an_error() -> None:
    assert advice_on(device="cuda", model="5b", dtype="float16") == [
        Advice("error", "exp.yaml:base.dtype", "5b in float16 gives NaN or black frames; use bfloat16")
    ]


def test_auto_among_compared_placements_is_an_error() -> None:
    assert advice_on(axes={"placement": ("auto", "resident")}) == [
        Advice(
            "error",
            "exp.yaml:axes.placement",
            "auto is one of resident, group, model and sequential; name those to compare",
        )
    ]


def test_half_precision_on_a_cpu_is_a_warning() -> None:
    assert advice_on(dtype="bfloat16") == [
        Advice("warning", "exp.yaml:base.dtype", "bfloat16 is slow on a CPU; use float32, the default there")
    ]


def test_bfloat16_on_a_gpu_without_it_is_a_warning() -> None:
    old = Gpu("GPU-1", "Tesla T4", "580.65", 16 * GIB, (7, 5))

    assert advice_on(device="cuda", model="5b", gpu=old) == [
        Advice("warning", "exp.yaml:base.dtype", "Tesla T4 has no native bfloat16; 5b will be very slow on it")
    ]
    assert advice_on(device="cuda", model="2b", gpu=old) == []


@pytest.mark.parametrize("placement", ["model", "sequential"])
def test_a_placement_that_needs_a_gpu_is_an_error_on_a_cpu(placement: str) -> None:
    assert advice_on(placement=placement) == [
        Advice(
            "error",
            "exp.yaml:base.placement",
            f"{placement} moves weights between the host and a GPU, and this runs on a CPU; use auto",
        )
    ]
    assert advice_on(device="cuda", placement=placement) == []


@pytest.mark.parametrize(
    ("parameter", "value", "gpu", "lack"),
    [
        ("decoder", "fused", None, "fused needs an NVIDIA GPU; or use exact"),
        ("attention", "fa4", None, "fa4 needs an NVIDIA GPU; or use sdpa"),
        ("decoder", "fused", (6, 1), "fused needs a Volta GPU or a newer one, and this is Old; or use exact"),
        ("attention", "fa4", (8, 9), "fa4 needs a Hopper or Blackwell GPU, and this is Old; or use sdpa"),
        ("attention", "sage", (7, 5), "sage needs an Ampere GPU or a newer one, and this is Old; or use sdpa"),
        (
            "attention", "fa4", (9, 0),
            "fa4 needs the package flash-attn-4: pip install 'cogx-runs[fa4]'; or use sdpa",
        ),
        ("quantization", "fp8", None, "fp8 needs an NVIDIA GPU; or use none"),
        ("quantization", "fp8", (8, 6), "fp8 needs an Ada, Hopper or Blackwell GPU, and this is Old; or use none"),
    ],
)  # fmt: skip
def test_a_kernel_that_this_machine_lacks_is_an_error(
    parameter: str, value: str, gpu: tuple[int, int] | None, lack: str
) -> None:
    old = None if gpu is None else Gpu("GPU-1", "Old", "580.65", 16 * GIB, gpu)
    parameters: dict[str, Any] = {parameter: value}

    found = advice_on(device="cpu" if gpu is None else "cuda", gpu=old, **parameters)

    assert [one for one in found if one.level == "error"] == [Advice("error", f"exp.yaml:base.{parameter}", lack)]


def test_quantisation_without_torchao_is_an_error_and_int8_needs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advice_on(quantization="int8") == []
    monkeypatch.setattr("cogx_runs.system.kernels.metadata.version", _not_installed)

    lack = "int8 needs the package torchao: pip install 'cogx-runs[quantization]'; or use none"
    assert advice_on(quantization="int8") == [Advice("error", "exp.yaml:base.quantization", lack)]
    assert advice_on(quantization="fp8_storage") == []


def test_fp8_that_is_not_compiled_is_warned_of() -> None:
    given: dict[str, Any] = {"device": "cuda", "placement": "group", "quantization": "fp8"}

    assert [one.level for one in advice_on(**given)] == ["warning"]
    assert advice_on(compile=True, **given) == []


def _not_installed(package: str) -> str:
    raise metadata.PackageNotFoundError(package)


def test_layers_cast_inside_a_compiled_block_are_an_error() -> None:
    found = advice_on(device="cuda", placement="group", quantization="fp8_storage", compile=True)

    message = "fp8_storage casts the layers inside a compiled block; use int8, or compile: false"
    assert found == [Advice("error", "exp.yaml:base.quantization", message)]


def test_fp8_of_layers_that_torchao_leaves_alone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = HUB_MODELS["2b"].transformer.model_copy(update={"attention_head_dim": 8, "num_attention_heads": 3})
    monkeypatch.setitem(HUB_MODELS, "2b", replace(HUB_MODELS["2b"], transformer=narrow))

    found = advice_on(device="cuda", placement="group", quantization="fp8")

    message = "fp8 does nothing to 2b, whose layers are no multiples of 16 wide; use int8 or fp8_storage"
    assert found == [Advice("error", "exp.yaml:base.quantization", message)]


def test_a_fused_decoder_is_no_error_where_there_is_a_gpu() -> None:
    assert advice_on(device="cuda", decoder="fused") == []


def test_what_auto_is_and_why_is_noted_once_for_each_model() -> None:
    found = advice_on(
        device="cuda",
        budget=Budget(vram_gib=12, ram_gib=14),
        axes={"model": ("2b", "5b"), "seed": (1, 2), "vae_tiling": (True,)},
    )

    assert found == [
        Advice(
            "note",
            "exp.yaml:base.placement",
            "auto for 2b is resident: it needs 7.9 of 12.0 GiB of VRAM; text encoder resident",
        ),
        Advice(
            "note",
            "exp.yaml:base.placement",
            "auto for 5b is sequential: resident needs 15.1 GiB of VRAM and 12.0 can be used; group needs 20.8 GiB of "
            "host memory and 14.0 can be used; text encoder resident",
        ),
    ]


def test_the_advice_tells_the_choice_that_the_cells_were_placed_by() -> None:
    budget, sweep = Budget(vram_gib=80, ram_gib=60), make_sweep()
    library = library_of("A cat.")
    cells = resolve_cells([sweep], library, "cuda", {}, budget)
    ((key, choice),) = cells.choices.items()
    told = replace(choice, placement="group", reason="as was chosen")

    (found,) = advise(replace(cells, choices={key: told}), [sweep], budget)

    assert [spec.placement for spec in cells.specs] == [choice.placement] == ["resident"]
    assert found.message == "auto for 2b is group: as was chosen; text encoder resident"


def test_a_placement_that_does_not_fit_is_a_warning() -> None:
    small = Budget(vram_gib=6, ram_gib=30, max_vram_gib=6)

    assert advice_on(device="cuda", budget=small, placement="resident", axes={"num_frames": (25, 49)}) == [
        Advice(
            "warning",
            "exp.yaml:base.placement",
            "resident needs 7.9 GiB of VRAM and 6.0 can be used (--max-vram 6)",
        )
    ]
    assert advice_on(device="cuda", budget=small, placement="group") == []


def test_what_is_short_where_nothing_fits_is_a_warning() -> None:
    found = advice_on(device="cuda", budget=Budget(vram_gib=3, ram_gib=7))

    assert [(advice.level, advice.message) for advice in found] == [
        ("warning", "sequential needs 4.4 GiB of VRAM and 3.0 can be used"),
        ("warning", "the text encoder of 2b needs 10.8 GiB of host memory and 7.0 can be used"),
        (
            "note",
            "auto for 2b is sequential: resident needs 7.9 GiB of VRAM and 3.0 can be used; group needs 4.7 GiB of "
            "VRAM and 3.0 can be used; text encoder sequential",
        ),
    ]


@pytest.mark.parametrize("compiled", [{"compile": True}, {"axes": {"compile": (False, True)}}])
def test_compiled_blocks_whose_layers_move_are_an_error(compiled: dict[str, Any]) -> None:
    errors = [found for found in advice_on(device="cuda", placement="sequential", **compiled) if found.level == "error"]

    assert [found.message for found in errors] == [
        "placement sequential moves the layers inside a compiled block; use resident or group"
    ]
    assert advice_on(device="cuda", placement="group", **compiled) == []


def errors(**given: Any) -> list[str]:
    return [f"{found.where}: {found.message}" for found in advice_on(**given) if found.level == "error"]


def test_a_size_that_no_memory_of_the_machine_suffices_for_is_an_error() -> None:
    gpu = Gpu("GPU-1", "NVIDIA GeForce RTX 3090", "580.65", 24 * GIB, (8, 6))

    assert errors(device="cuda", gpu=gpu, height=4096, width=4096) == [
        "exp.yaml:base.height: 2b needs 82.3 GiB of VRAM while denoising and there are 24.0 for 49 frames of "
        "4096x4096 in float16; use 480x720"
    ]
    assert errors(device="cuda", gpu=gpu, height=960, width=1440) == []
    (error,) = errors(device="cuda", gpu=gpu, vae_tiling=False, height=960, width=1440)
    assert error.endswith("while decoding and there are 24.0 for 49 frames of 960x1440 in float16; "
                          "use 480x720 or vae_tiling: true")  # fmt: skip


def test_a_size_that_the_host_cannot_hold_is_an_error_on_a_cpu() -> None:
    (error,) = errors(height=16000, width=16000)

    assert "GiB of host memory while denoising and there are " in error
    assert error.endswith(" for 49 frames of 16000x16000 in float32; use 480x720")


def test_the_models_own_size_may_be_planned_on_any_machine() -> None:
    assert errors(device="cuda", gpu=Gpu("GPU-1", "A small GPU", "580.65", 2 * GIB, (8, 6)), model="5b") == []
