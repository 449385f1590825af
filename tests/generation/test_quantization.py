"""Weights in 8 bits: what becomes of them, under every placement, and that nothing of them stays."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from accelerate import cpu_offload
from diffusers import CogVideoXTransformer3DModel
from torch._inductor import config as inductor_config
from torchao.quantization import quant_api

from cogx_runs.definitions.parameters import Quantization
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.generate import Denoised, denoise
from cogx_runs.generation.loader import Loader
from cogx_runs.generation.placement import place
from cogx_runs.models.cards import resolve_model
from cogx_runs.models.quantization import quantized_parameters
from cogx_runs.progress import SilentProgress
from tests.support.loras import QUERY, write_lora
from tests.support.pipelines import load, make_spec

QUANTIZATIONS = get_args(Quantization)[1:]


@pytest.fixture(autouse=True)
def _fp8_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has torchao take a CPU for a GPU with multiplication in 8 bits, which PyTorch does on both."""
    monkeypatch.setattr(quant_api, "_check_hardware_support", lambda _: None)


def denoised(loader: Loader, spec: RunSpec) -> Denoised:
    pipe = loader.load(resolve_model(spec.model), spec, SilentProgress())
    return denoise(pipe, spec, loader.texts.of(spec))


def predicted(transformer: CogVideoXTransformer3DModel) -> torch.Tensor:
    config = transformer.config
    generator = torch.Generator().manual_seed(0)
    inputs: dict[str, Any] = {
        "hidden_states": torch.randn(1, 3, config.in_channels, 4, 4, generator=generator),
        "encoder_hidden_states": torch.randn(1, config.max_text_seq_length, config.text_embed_dim, generator=generator),
        "timestep": torch.tensor([500]),
    }
    with torch.no_grad():
        sample: torch.Tensor = transformer(**inputs).sample
    return sample


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_a_run_says_what_was_quantised_and_the_plain_cell_after_it_is_bitwise_what_it_was(
    tiny_model: Path, loader: Loader, quantization: Quantization
) -> None:
    plain = make_spec(tiny_model, num_inference_steps=2)
    compiling = inductor_config.get_config_copy()
    card = resolve_model(str(tiny_model))

    before, quantized, after = (
        denoised(loader, spec) for spec in (plain, plain.replace(quantization=quantization), plain)
    )

    assert torch.equal(after.latents, before.latents)
    assert inductor_config.get_config_copy() == compiling
    assert 0 < (quantized.latents - before.latents).norm() / before.latents.norm() < 0.05
    assert before.quantized is after.quantized is None
    found = quantized.quantized
    assert found is not None
    assert (found.layers, found.linear_layers) == (12, 21)
    assert found.bytes_before == 4 * card.transformer_parameters
    saved = 3 * quantized_parameters(card.transformer)
    assert found.bytes_before - found.bytes_after == pytest.approx(saved, rel=0.05)  # less scales, more biases


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_every_placement_gives_the_same_with_quantisation(tiny_model: Path, quantization: Quantization) -> None:
    spec = make_spec(tiny_model, quantization=quantization)
    wanted = predicted(load(spec).transformer)
    offloaded = {placement: load(spec) for placement in ("group", "model", "sequential")}

    place(offloaded["group"], "group", "cpu")
    offloaded["model"].enable_model_cpu_offload(device="cpu")
    cpu_offload(offloaded["sequential"].transformer, torch.device("cpu"))  # `sequential` itself needs a GPU

    for placement, pipe in offloaded.items():
        assert torch.equal(predicted(pipe.transformer), wanted), placement
        assert torch.equal(predicted(pipe.transformer), wanted), placement


@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_compiled_blocks_are_quantised_too(tiny_model: Path, quantization: Quantization) -> None:
    transformer = load(make_spec(tiny_model, quantization=quantization)).transformer
    wanted = predicted(transformer)

    block = transformer.transformer_blocks[0]
    block.forward = torch.compile(block.forward, fullgraph=True, dynamic=False, backend="aot_eager")

    torch.testing.assert_close(predicted(transformer), wanted)


def test_weights_in_int8_are_off_by_half_a_step_of_their_output_at_most(tiny_model: Path) -> None:
    plain, quantized = (_query(make_spec(tiny_model, quantization=name)) for name in ("none", "int8"))

    steps = plain.abs().amax(1, keepdim=True) / 127.5

    assert ((plain - quantized.dequantize()).abs() <= steps / 2 * 1.01).all()


def test_adapters_are_merged_before_their_weights_are_quantised(tiny_model: Path, tmp_path: Path) -> None:
    width = resolve_model(str(tiny_model)).hidden_size
    lora = str(write_lora(tmp_path / "lora.safetensors", width=width))

    merged, quantized = (_query(make_spec(tiny_model, lora=lora, quantization=name)) for name in ("none", "int8"))

    torch.testing.assert_close(quantized.dequantize(), merged, rtol=0, atol=float(merged.abs().max()) / 254)


def _query(spec: RunSpec) -> Any:
    return load(spec).transformer.get_parameter(f"{QUERY}.weight").data
