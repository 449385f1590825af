"""LoRA adapters in the weights: what they add, under every placement, and that nothing of them stays."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXPipeline
from safetensors.torch import save_file

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.generation.generate import denoise
from cogx_runs.generation.loader import Loader
from cogx_runs.models.cards import resolve_model
from cogx_runs.progress import SilentProgress
from tests.support.loras import QUERY, lora_tensors, write_lora
from tests.support.pipelines import load, make_spec

OUT = "transformer_blocks.1.attn1.to_out.0"


@pytest.fixture
def width(tiny_model: Path) -> int:
    """Values of a token in the small model."""
    return resolve_model(str(tiny_model)).hidden_size


@pytest.fixture
def files(tmp_path: Path, width: int) -> tuple[Path, Path]:
    """Two adapters of the small model; the second is kept with alpha 4 over rank 2."""
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    write_lora(one, width=width)
    config = json.dumps({"transformer.r": 2, "transformer.lora_alpha": 4})
    save_file(lora_tensors(2, width, OUT), two, metadata={"lora_adapter_metadata": config})
    return one, two


def latents(loader: Loader, spec: RunSpec) -> torch.Tensor:
    pipe = loader.load(resolve_model(spec.model), spec, SilentProgress())
    return denoise(pipe, spec, loader.texts.of(spec)).latents


def test_adapters_change_the_latents_and_are_gone_bitwise_from_the_next_cell(
    tiny_model: Path, files: tuple[Path, Path], loader: Loader
) -> None:
    plain = make_spec(tiny_model, num_inference_steps=2)
    both = make_spec(tiny_model, num_inference_steps=2, lora=f"{files[0]}*0.1 + {files[1]}*0.1")
    off = make_spec(tiny_model, num_inference_steps=2, lora=str(files[0]), lora_scale=0.0)

    before, adapted, zero, after = (latents(loader, spec) for spec in (plain, both, off, plain))

    assert not torch.equal(adapted, before)
    assert torch.equal(after, before)
    assert torch.equal(zero, before)


def test_merged_adapters_are_what_adapters_beside_the_weights_add(
    tiny_model: Path, files: tuple[Path, Path], width: int
) -> None:
    merged = load(make_spec(tiny_model, lora=f"{files[0]} + {files[1]}*0.1", lora_scale=0.5)).transformer
    beside = load(make_spec(tiny_model)).transformer
    for layer, factor in ((QUERY, 0.5), (OUT, 0.5 * 0.1 * 4 / 2)):
        down, up = lora_tensors(2, width, layer).values()
        beside.get_submodule(layer).register_forward_hook(
            lambda _, taken, given, down=down, up=up, factor=factor: given + factor * (taken[0] @ down.T @ up.T)
        )

    outputs = [_step(transformer) for transformer in (merged, beside)]

    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(outputs[0], _step(load(make_spec(tiny_model)).transformer), rtol=1e-4, atol=1e-5)


def _step(transformer: Any) -> torch.Tensor:
    config = transformer.config
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, config.in_channels, config.sample_height, config.sample_width, generator=generator)
    text = torch.randn(1, config.max_text_seq_length, config.text_embed_dim, generator=generator)
    with torch.no_grad():
        output: torch.Tensor = transformer(noise, text, torch.tensor([500]), return_dict=False)[0]
    return output


@pytest.mark.parametrize("placement", ["group", "model"])  # accelerate's `sequential` needs a GPU
def test_every_placement_gives_the_same_with_an_adapter(
    tiny_model: Path, files: tuple[Path, Path], loader: Loader, placement: str
) -> None:
    resident = make_spec(tiny_model, num_inference_steps=1, lora=str(files[0]))

    assert torch.equal(latents(loader, resident), latents(loader, resident.replace(placement=placement)))


def test_a_file_that_has_changed_since_planning_is_one_line(
    tiny_model: Path, files: tuple[Path, Path], width: int
) -> None:
    spec = make_spec(tiny_model, lora=str(files[0]))
    write_lora(files[0], width=width, seed=1)

    with pytest.raises(CogxError, match="is another file than"):
        load(spec)


def test_weights_of_another_precision_are_rounded_once(tiny_model: Path, files: tuple[Path, Path], width: int) -> None:
    plain, half = (_query(load(make_spec(tiny_model, dtype=dtype))) for dtype in ("float32", "bfloat16"))
    down, up = lora_tensors(2, width).values()

    merged = _query(load(make_spec(tiny_model, dtype="bfloat16", lora=str(files[0]))))

    assert half.dtype == merged.dtype == torch.bfloat16
    assert torch.equal(merged, (half.float() + up @ down).bfloat16())
    assert torch.equal(half, plain.bfloat16())


def _query(pipe: CogVideoXPipeline) -> torch.Tensor:
    weight: torch.Tensor = pipe.transformer.get_parameter(f"{QUERY}.weight").data
    return weight
