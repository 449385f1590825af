"""Generation with diffusers' own pipeline on a small random model."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import CogVideoXPipeline

from cogx_runs.errors import CogxError
from cogx_runs.generation.generate import decode_stored, generate, warm_up_decoding, warm_up_denoising
from cogx_runs.generation.pipeline import PipelineKey, load_pipeline, load_vae
from cogx_runs.models import resolve_model
from cogx_runs.plan import RunSpec, resolve_cell
from cogx_runs.prompts import Prompt
from cogx_runs.sweep import Parameters, Sweep

TEXT = "A panda plays the guitar in a bamboo forest."


def make_spec(model: Path, **changes: object) -> RunSpec:
    base = Parameters.model_validate({"model": str(model), "num_inference_steps": 3, "num_frames": 9, **changes})
    sweep = Sweep(name="exp", file="exp.yaml", description="", prompts=None, base=base, axes={}, vary="one_at_a_time")
    return resolve_cell(sweep, base.model_dump(), Prompt("p", TEXT, ""), resolve_model(str(model)), "cpu", {})


def load(spec: RunSpec) -> CogVideoXPipeline:
    return load_pipeline(resolve_model(spec.model), PipelineKey.of(spec))


def plain_pipeline(model: Path, spec: RunSpec, output_type: str) -> object:
    """What a user of diffusers would write."""
    pipe = CogVideoXPipeline.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    pipe.vae.enable_tiling()
    pipe.vae.enable_slicing()
    return pipe(
        prompt=TEXT,
        negative_prompt=spec.negative_prompt,
        num_frames=spec.num_frames,
        num_inference_steps=spec.num_inference_steps,
        guidance_scale=spec.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(spec.seed),
        output_type=output_type,
    ).frames


@pytest.mark.parametrize("guidance_scale", [1.0, 6.0])
def test_latents_and_frames_are_bitwise_those_of_a_plain_diffusers_call(
    tiny_model: Path, guidance_scale: float
) -> None:
    spec = make_spec(tiny_model, guidance_scale=guidance_scale, negative_prompt="blurry")

    made = generate(load(spec), spec)

    latents = plain_pipeline(tiny_model, spec, "latent")
    frames = plain_pipeline(tiny_model, spec, "pil")
    assert isinstance(latents, torch.Tensor)
    assert torch.equal(made.latents, latents)
    assert np.array_equal(made.frames, np.stack([np.asarray(frame) for frame in frames[0]]))  # type: ignore[index]
    assert made.frames.shape == (9, 32, 32, 3)
    assert made.frames.dtype == np.uint8


def test_group_placement_gives_the_same_latents_as_resident(tiny_model: Path) -> None:
    resident, group = make_spec(tiny_model), make_spec(tiny_model, placement="group")

    assert resident.signature == group.signature
    made, offloaded = generate(load(resident), resident), generate(load(group), group)

    assert torch.equal(made.latents, offloaded.latents)
    assert np.array_equal(made.frames, offloaded.frames)


def test_a_cell_is_the_same_whatever_ran_before_it_on_the_pipeline(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    alone = generate(load(spec), spec)
    pipe = load(spec)

    warm_up_denoising(pipe, spec)
    warm_up_decoding(pipe.vae, spec)
    dpm = generate(pipe, replace(spec, scheduler="dpm"))
    untiled = replace(spec, vae_tiling=False, vae_slicing=False, num_frames=17, guidance_scale=1.0)
    generate(pipe, untiled)
    after = generate(pipe, spec)

    assert torch.equal(after.latents, alone.latents)
    assert np.array_equal(after.frames, alone.frames)
    assert not torch.equal(dpm.latents, alone.latents)


def test_dpm_draws_its_noise_anew_from_the_seed_of_each_video(tiny_model: Path) -> None:
    spec = make_spec(tiny_model, scheduler="dpm")
    pipe = load(spec)

    assert torch.equal(generate(pipe, spec).latents, generate(pipe, spec).latents)


def test_the_noise_hash_is_that_of_the_cpu_generators_noise_and_goes_with_the_seed(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    pipe = load(spec)

    made = generate(pipe, spec)

    noise = torch.randn((1, 3, 4, 4, 4), generator=torch.Generator("cpu").manual_seed(42))
    assert made.noise_sha256 == hashlib.sha256(noise.numpy().tobytes()).hexdigest()
    assert generate(pipe, replace(spec, seed=43)).noise_sha256 != made.noise_sha256


def test_every_step_is_told_and_the_phases_are_measured(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    told: list[tuple[int, int]] = []

    made = generate(load(spec), spec, lambda done, total: told.append((done, total)))

    assert told == [(1, 3), (2, 3), (3, 3)]
    assert min(made.encode_text_s, made.denoise_s, made.decode_s) > 0
    assert made.step_s == made.denoise_s / 3
    assert made.peak_ram_gib > 0.1
    assert (made.peak_vram_gib, made.peak_vram_reserved_gib) == (None, None)


def test_stored_latents_decode_to_the_same_frames_without_the_transformer(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    made = generate(load(spec), spec)

    again = decode_stored(load_vae(resolve_model(str(tiny_model)), "float32", "cpu"), spec, made.latents)

    assert np.array_equal(again.frames, made.frames)
    assert again.decode_s > 0


def test_latents_that_are_not_finite_are_refused_before_decoding(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    pipe = load(spec)
    with torch.no_grad():
        pipe.transformer.proj_out.bias.fill_(float("nan"))

    with pytest.raises(CogxError, match="^the latents are not finite in float32"):
        generate(pipe, spec)


def test_a_hub_model_that_is_not_here_without_network_is_one_clear_line() -> None:
    card = resolve_model("2b")
    key = PipelineKey(card.source, card.revision, "cpu", "float32", "resident")

    with pytest.raises(CogxError, match=r"^the weights of zai-org/CogVideoX-2b are not on this machine and [^\n]*$"):
        load_pipeline(card, key)


def test_a_model_larger_than_free_memory_is_refused_before_loading(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(tiny_model)
    monkeypatch.setattr("cogx_runs.generation.pipeline.available_memory", lambda: 1000)

    with pytest.raises(CogxError, match="GiB of host memory in float32 and 0.0 GiB are free"):
        load(spec)
