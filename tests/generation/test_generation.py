"""Generation with diffusers' own pipeline on a small random model."""

import hashlib
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import CogVideoXPipeline

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.generation.generate import (
    Decoded,
    Denoised,
    OnStep,
    decode,
    denoise,
    warm_up_decoding,
    warm_up_denoising,
)
from cogx_runs.generation.measure import IdleTime
from cogx_runs.generation.pipeline import load_pipeline, load_vae
from cogx_runs.generation.text import TextEncoding
from cogx_runs.models.cards import resolve_model
from cogx_runs.progress import SilentProgress
from cogx_runs.system.disk import cache_directory
from tests.support.gpus import LeaveFree
from tests.support.pipelines import TEXT, load, make_spec
from tests.support.running import Phases
from tests.support.specs import SPEC


def make(
    spec: RunSpec, pipe: CogVideoXPipeline | None = None, on_step: OnStep | None = None
) -> tuple[Denoised, Decoded]:
    """Encode, denoise and decode a cell as the runner does."""
    texts = TextEncoding()
    texts.encode_missing(resolve_model(spec.model), [spec], SilentProgress())
    pipe = pipe or load(spec)
    denoised = denoise(pipe, spec, texts.of(spec), on_step)
    return denoised, decode(pipe.vae, spec, denoised.latents)


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

    made, decoded = make(spec)

    latents = plain_pipeline(tiny_model, spec, "latent")
    frames = plain_pipeline(tiny_model, spec, "pil")
    assert isinstance(latents, torch.Tensor)
    assert torch.equal(made.latents, latents)
    assert np.array_equal(decoded.frames, np.stack([np.asarray(frame) for frame in frames[0]]))  # type: ignore[index]
    assert decoded.frames.shape == (9, 32, 32, 3)
    assert decoded.frames.dtype == np.uint8


def test_frames_of_1_5_are_bitwise_those_of_a_plain_diffusers_call(tiny_1_5: Path) -> None:
    spec = make_spec(tiny_1_5, num_frames=17, num_inference_steps=2)
    pipe, texts = load(spec), TextEncoding()
    predicted: list[tuple[int, ...]] = []

    made, decoded = make(spec, pipe)
    denoise(pipe, spec, texts.of(spec), on_x0_prediction=lambda _d, _n, latents: predicted.append(latents.shape))

    frames = plain_pipeline(tiny_1_5, spec, "pil")
    assert np.array_equal(decoded.frames, np.stack([np.asarray(frame) for frame in frames[0]]))  # type: ignore[index]
    assert decoded.frames.shape == (17, 32, 48, 3)
    assert made.latents.shape == (1, 5, 4, 4, 6)
    assert predicted == [made.latents.shape] * 2
    noise = torch.randn((1, 6, 4, 4, 6), generator=torch.Generator("cpu").manual_seed(42))
    assert made.noise_sha256 == hashlib.sha256(noise.numpy().tobytes()).hexdigest()


def test_group_placement_gives_the_same_latents_as_resident(tiny_model: Path) -> None:
    resident, group = make_spec(tiny_model), make_spec(tiny_model, placement="group")

    assert resident.signature == group.signature
    (made, decoded), (offloaded, decoded_offloaded) = make(resident), make(group)

    assert torch.equal(made.latents, offloaded.latents)
    assert np.array_equal(decoded.frames, decoded_offloaded.frames)


def test_a_cell_is_the_same_whatever_ran_before_it_on_the_pipeline(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    alone, decoded_alone = make(spec)
    pipe = load(spec)

    warm_up_denoising(pipe, spec)
    warm_up_decoding(pipe.vae, spec)
    dpm, _ = make(spec.replace(scheduler="dpm"), pipe)
    untiled = spec.replace(vae_tiling=False, vae_slicing=False, num_frames=17, guidance_scale=1.0)
    make(untiled, pipe)
    after, decoded_after = make(spec, pipe)

    assert torch.equal(after.latents, alone.latents)
    assert np.array_equal(decoded_after.frames, decoded_alone.frames)
    assert not torch.equal(dpm.latents, alone.latents)


def test_dpm_draws_its_noise_anew_from_the_seed_of_each_video(tiny_model: Path) -> None:
    spec = make_spec(tiny_model, scheduler="dpm")
    pipe = load(spec)

    assert torch.equal(make(spec, pipe)[0].latents, make(spec, pipe)[0].latents)


def test_the_noise_hash_is_that_of_the_cpu_generators_noise_and_goes_with_the_seed(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    pipe = load(spec)

    made, _ = make(spec, pipe)

    noise = torch.randn((1, 3, 4, 4, 4), generator=torch.Generator("cpu").manual_seed(42))
    assert made.noise_sha256 == hashlib.sha256(noise.numpy().tobytes()).hexdigest()
    assert make(spec.replace(seed=43), pipe)[0].noise_sha256 != made.noise_sha256


def test_every_step_is_told_and_the_phases_are_measured(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    told: list[tuple[int, int]] = []

    made, decoded = make(spec, on_step=lambda done, total: told.append((done, total)))

    assert told == [(1, 3), (2, 3), (3, 3)]
    assert min(made.denoise_s, decoded.decode_s) > 0
    assert made.step_s == made.denoise_s / 3
    for peak in (made.peak, decoded.peak):
        assert peak.ram_gib > 0.1
        assert (peak.vram_gib, peak.vram_reserved_gib) == (None, None)


def test_stored_latents_decode_to_the_same_frames_without_the_transformer(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    made, decoded = make(spec)

    for placement in ("resident", "sequential"):
        again = decode(load_vae(resolve_model(str(tiny_model)), "float32", "cpu", placement), spec, made.latents)

        assert np.array_equal(again.frames, decoded.frames)


def test_latents_that_are_not_finite_are_refused_before_decoding(tiny_model: Path) -> None:
    spec = make_spec(tiny_model)
    pipe = load(spec)
    with torch.no_grad():
        pipe.transformer.proj_out.bias.fill_(float("nan"))

    with pytest.raises(CogxError, match="^the latents are not finite in float32"):
        make(spec, pipe)


def test_each_text_is_encoded_once_and_the_encoder_is_not_loaded_where_nothing_is_missing(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, card = make_spec(tiny_model, negative_prompt="blurry"), resolve_model(str(tiny_model))
    said = Phases()
    texts = TextEncoding()
    texts.encode_missing(card, [spec, spec.replace(seed=7), spec.replace(guidance_scale=1.0)], said)
    first, second = texts.of(spec), texts.of(spec.replace(seed=7))
    (seconds, peak), nothing = texts.take_cost(spec), texts.take_cost(spec.replace(seed=7))

    assert said.phases == [f"loading the text encoder of {tiny_model}", "encoding 2 texts"]
    assert seconds > 0
    assert peak is not None
    assert nothing == (0, None)
    assert torch.equal(first.prompt, second.prompt)
    later = TextEncoding()
    later.encode_missing(card, [spec], said)
    assert len(said.phases) == 2
    assert torch.equal(later.of(spec).prompt, first.prompt)
    later.encode_missing(card, [spec.replace(prompt="A cat.")], said)
    assert said.phases[-1] == "encoding 1 text"


def test_an_embedding_that_cannot_be_read_or_is_of_other_weights_is_encoded_again(tiny_model: Path) -> None:
    spec, card = make_spec(tiny_model, guidance_scale=1), resolve_model(str(tiny_model))
    texts = TextEncoding()
    texts.encode_missing(card, [spec], SilentProgress())
    expected = texts.of(spec).prompt
    (kept,) = (cache_directory() / "embeddings").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:100])
    assert not texts.has(spec)
    kept.write_bytes(whole[:-400] + bytes(400))
    assert not texts.has(spec)

    texts.encode_missing(card, [spec], SilentProgress())

    assert torch.equal(texts.of(spec).prompt, expected)
    assert not texts.has(spec.replace(model_revision="another"))
    assert not texts.has(spec.replace(dtype="bfloat16"))


@pytest.mark.slow
def test_seven_blocks_are_compiled_as_one_also_under_group_offloading() -> None:
    one_step = {"num_inference_steps": 1, "num_frames": 9}
    plain, _ = make(make_spec(Path("toy"), **one_step))
    for placement in ("resident", "group"):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        made, _ = make(make_spec(Path("toy"), compile=True, placement=placement, **one_step))

        # The first block's input is a view with other strides: a graph of its own.
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
        assert torch.allclose(made.latents, plain.latents, atol=1e-3)


def test_idle_time_is_what_lies_between_pieces_of_work() -> None:
    idle = IdleTime()
    assert idle.take() is None
    for _ in range(3):
        with idle.busy():
            time.sleep(0.05)
        time.sleep(0.02)

    assert 0.04 <= (idle.take() or 0) < 0.12
    assert idle.take() == 0


def test_a_hub_model_that_is_not_here_without_network_is_one_clear_line() -> None:
    card = resolve_model("2b")
    spec = SPEC.replace(device="cpu", dtype="float32", placement="resident")

    with pytest.raises(CogxError, match=r"^the weights of zai-org/CogVideoX-2b are not on this machine and [^\n]*$"):
        load_pipeline(card, spec)


def test_a_model_larger_than_free_memory_is_refused_before_loading(tiny_model: Path, leave_free: LeaveFree) -> None:
    spec = make_spec(tiny_model)
    leave_free(1e-6)

    with pytest.raises(CogxError, match="GiB of host memory in float32 and 0.0 GiB are free"):
        load(spec)
