"""One cell from embeddings to frames: denoise, then decode, each timed."""

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline
from diffusers.utils.torch_utils import randn_tensor

from cogx_runs.definitions.caches import NO_CACHE
from cogx_runs.definitions.parameters import Decoder
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, DegenerateError
from cogx_runs.generation.attention import set_attention
from cogx_runs.generation.caches import Ratios, Skipped, caching, calibrating
from cogx_runs.generation.decoders import decoding_with
from cogx_runs.generation.measure import Peak, PeakMemory, timed
from cogx_runs.generation.pipeline import DTYPES, set_scheduler
from cogx_runs.generation.quantization import Quantized, quantized_in
from cogx_runs.generation.text import Embeddings
from cogx_runs.generation.tiling import set_tiling
from cogx_runs.generation.x0_prediction import OnX0Prediction, X0Prediction, predicting_x0
from cogx_runs.system.hardware import Device
from cogx_runs.video import Frames

OnStep = Callable[[int, int], None]
"""Called after each denoising step with the steps done and their number."""

WARM_UP_LATENT_FRAMES = 5
"""Enough for both batch sizes in which the VAE decodes latent frames (3, then 2)."""


@dataclass(frozen=True)
class Denoised:
    """Latents of one cell and how they were come by."""

    latents: torch.Tensor
    """1 x latent frames x channels x height / 8 x width / 8, on the CPU."""
    noise_sha256: str
    """Hash of the initial noise's bytes."""
    denoise_s: float
    step_s: float
    """`denoise_s` over the number of steps."""
    peak: Peak
    latent_std: tuple[float, ...]
    """Standard deviation of the latents after each step: 1 for the noise at the beginning."""
    quantized: Quantized | None = None
    """What was quantised of the transformer; None for nothing."""
    skipped: Skipped | None = None
    """What the cell's cache skipped; None without a cache."""


def denoise(
    pipe: CogVideoXPipeline,
    spec: RunSpec,
    embeddings: Embeddings,
    on_step: OnStep | None = None,
    on_x0_prediction: OnX0Prediction | None = None,
    ratios: Ratios | None = None,
) -> Denoised:
    """Denoises a cell's noise under its embeddings.

    The noise comes from a CPU generator, so that a seed means the same on every machine. `on_x0_prediction` ends
    the run by raising DegenerateError. `ratios` are those of `calibrate`, for a cell with MagCache. Raises
    DegenerateError when the latents are not finite too, torch.OutOfMemoryError when a GPU's memory does not suffice.
    """
    with PeakMemory(spec.device) as memory, torch.no_grad():
        generator = torch.Generator("cpu").manual_seed(spec.seed)
        noise = _initial_noise(pipe, spec, generator)
        spread: list[torch.Tensor] = []
        try:
            with caching(pipe, spec, ratios) as skipped, timed(spec.device) as seconds:
                texts = embeddings.prompt, embeddings.negative
                latents = _denoise(pipe, spec, *texts, noise, generator, on_step, spread, on_x0_prediction)
        finally:
            pipe.maybe_free_model_hooks()
    if not torch.isfinite(latents).all():
        message = f"the latents are not finite in {spec.dtype}; try bfloat16 or float32"
        raise DegenerateError(message, "nan", "the latents are not finite")
    return Denoised(
        latents=latents.cpu(),
        noise_sha256=hashlib.sha256(noise.cpu().view(torch.uint8).numpy().tobytes()).hexdigest(),
        denoise_s=seconds.value,
        step_s=seconds.value / spec.num_inference_steps,
        peak=memory.peak,
        latent_std=tuple(torch.stack(spread).tolist()),
        quantized=quantized_in(pipe.transformer),
        skipped=skipped(),
    )


def calibrate(pipe: CogVideoXPipeline, spec: RunSpec, embeddings: Embeddings) -> Ratios:
    """Denoises a cell without skipping anything, and returns the ratios of its steps that MagCache needs."""
    measured: list[Ratios] = []
    with calibrating(pipe.transformer, spec.num_inference_steps) as ratios:

        def at_the_end(step: int, steps: int) -> None:
            if step == steps:
                measured.append(ratios())

        denoise(pipe, spec, embeddings, at_the_end)
    return measured[0]


@dataclass(frozen=True)
class Decoded:
    """Frames of latents."""

    frames: Frames
    """uint8, T x H x W x C."""
    decode_s: float
    peak: Peak


def decode(vae: AutoencoderKLCogVideoX, spec: RunSpec, latents: torch.Tensor) -> Decoded:
    """Decodes latents, new or kept.

    Raises CogxError where they are not those of the cell's size, torch.OutOfMemoryError when a GPU's memory does not
    suffice.
    """
    with PeakMemory(spec.device) as memory, timed(spec.device) as seconds:
        frames = decode_latents(
            vae, latents, spec.device, tiling=spec.vae_tiling, slicing=spec.vae_slicing, decoder=spec.decoder
        )
    check_size(frames, spec.num_frames, spec.height, spec.width)
    return Decoded(frames, seconds.value, memory.peak)


def check_size(frames: Frames, num_frames: int, height: int, width: int) -> None:
    """Raises CogxError where frames are not as many or not as large as was asked for."""
    if frames.shape[:3] != (num_frames, height, width):
        decoded = "{} frames of {}x{}".format(*frames.shape[:3])
        raise CogxError(f"the VAE decodes to {decoded}, not to the {num_frames} of {height}x{width} asked for")


def decode_latents(
    vae: AutoencoderKLCogVideoX,
    latents: torch.Tensor,
    device: Device,
    *,
    tiling: bool,
    slicing: bool,
    decoder: Decoder = "exact",
) -> Frames:
    """Decodes latents (1 x t x c x h x w) to uint8 frames (T x H x W x C), rounded as diffusers' PIL output is."""
    if tiling:
        set_tiling(vae, *latents.shape[-2:])
    else:
        vae.disable_tiling()
    (vae.enable_slicing if slicing else vae.disable_slicing)()
    with torch.no_grad(), decoding_with(vae, decoder):
        latents = latents.to(device=device, dtype=vae.dtype).permute(0, 2, 1, 3, 4)
        video = vae.decode(1 / vae.config.scaling_factor * latents).sample
        pixels = (video[0] * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 3, 0)
        pixels = (pixels.float() * 255).round().to(torch.uint8).contiguous()
        frames = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=pixels.is_cuda)
        return np.asarray(frames.copy_(pixels))


def warm_up_denoising(pipe: CogVideoXPipeline, spec: RunSpec) -> None:
    """Pays once, outside every measured time, for what the first use of a shape costs: one step at the cell's shape."""
    short = spec.replace(num_inference_steps=1, cache=NO_CACHE)
    width = pipe.transformer.config.text_embed_dim
    no_text = torch.zeros(1, spec.max_sequence_length, width, dtype=DTYPES[spec.dtype])
    with torch.no_grad():
        generator = torch.Generator("cpu").manual_seed(spec.seed)
        noise = _initial_noise(pipe, short, generator)
        _denoise(pipe, short, no_text, no_text if spec.is_guided else None, noise, generator, None, [])
        pipe.maybe_free_model_hooks()


def warm_up_decoding(vae: AutoencoderKLCogVideoX, spec: RunSpec) -> None:
    """Pays once for the first decode at the cell's size, by a short one of zeros."""
    spatial = 2 ** (len(vae.config.block_out_channels) - 1)
    shape = (1, WARM_UP_LATENT_FRAMES, vae.config.latent_channels, spec.height // spatial, spec.width // spatial)
    options = {"tiling": spec.vae_tiling, "slicing": spec.vae_slicing}
    decode_latents(vae, torch.zeros(shape), spec.device, **options, decoder=spec.decoder)


def _initial_noise(pipe: CogVideoXPipeline, spec: RunSpec, generator: torch.Generator) -> torch.Tensor:
    """Draws the noise that the pipeline itself would, here so that it can be hashed; with the frames that are padded
    to."""
    shape = (
        1,
        _latent_frames(pipe, spec) + _padding(pipe, spec),
        pipe.transformer.config.in_channels,
        spec.height // pipe.vae_scale_factor_spatial,
        spec.width // pipe.vae_scale_factor_spatial,
    )
    noise: torch.Tensor = randn_tensor(
        shape, generator=generator, device=torch.device(spec.device), dtype=DTYPES[spec.dtype]
    )
    return noise


def _latent_frames(pipe: CogVideoXPipeline, spec: RunSpec) -> int:
    """Counts the latent frames that are decoded."""
    return int((spec.num_frames - 1) // pipe.vae_scale_factor_temporal + 1)


def _padding(pipe: CogVideoXPipeline, spec: RunSpec) -> int:
    """Counts the latent frames put before others so that patches in time are full, as CogVideoX 1.5 was trained.

    The pipeline drops them before it decodes, but leaves them in latents that it returns, and does not add them to
    noise that it is given.
    """
    return int(-_latent_frames(pipe, spec) % (pipe.transformer.config.patch_size_t or 1))


def _denoise(
    pipe: CogVideoXPipeline,
    spec: RunSpec,
    prompt: torch.Tensor,
    negative: torch.Tensor | None,
    noise: torch.Tensor,
    generator: torch.Generator,
    on_step: OnStep | None,
    spread: list[torch.Tensor],
    on_x0_prediction: OnX0Prediction | None = None,
) -> torch.Tensor:
    """Denoises, and gives `spread` the latents' standard deviation after each step, on the device, so that nothing
    waits."""
    set_scheduler(pipe, spec.scheduler)
    set_attention(pipe.transformer, spec.attention)
    padding = _padding(pipe, spec)
    watched = nullcontext(X0Prediction()) if on_x0_prediction is None else predicting_x0(pipe.scheduler)

    def after_step(_pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        spread.append(tensors["latents"][:, padding:].float().std())
        if on_step is not None:
            on_step(step + 1, spec.num_inference_steps)
        if on_x0_prediction is not None and predicted.latents is not None:
            on_x0_prediction(step + 1, spec.num_inference_steps, predicted.latents[:, padding:])
        return tensors

    with watched as predicted:
        latents: torch.Tensor = pipe(
            prompt_embeds=prompt.to(spec.device),
            negative_prompt_embeds=None if negative is None else negative.to(spec.device),
            height=spec.height,
            width=spec.width,
            num_frames=spec.num_frames,
            num_inference_steps=spec.num_inference_steps,
            guidance_scale=spec.guidance_scale,
            use_dynamic_cfg=spec.use_dynamic_cfg,
            generator=generator,
            latents=noise,
            max_sequence_length=spec.max_sequence_length,
            output_type="latent",
            callback_on_step_end=after_step,
        ).frames
    return latents[:, padding:]
