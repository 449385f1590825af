"""The toy's video autoencoder: 4x smaller in time, height and width."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from torch.nn import functional

from cogx_runs.toy.train.data import ClipSet, to_signal
from cogx_runs.toy.train.loop import Budget, Log, Recipe, fit, rank

FRAMES = 17
"""Frames of a training clip: one first chunk and one later chunk, as encoding and decoding cut."""
KL_WEIGHT = 1e-4


def build_vae(latent_channels: int) -> AutoencoderKLCogVideoX:
    """Builds an untrained autoencoder. Its sample size is twice the real one, so that a runner that
    switches tiling on still decodes the toy's 64 pixels in one tile."""
    blocks = (32, 64, 64)
    return AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * len(blocks),
        up_block_types=("CogVideoXUpBlock3D",) * len(blocks),
        block_out_channels=blocks,
        latent_channels=latent_channels,
        layers_per_block=1,
        norm_num_groups=8,
        temporal_compression_ratio=4,
        sample_height=128,
        sample_width=128,
    )


def vae_loss(vae: AutoencoderKLCogVideoX, frames: torch.Tensor) -> torch.Tensor:
    """Computes L1 plus four times the squared error plus a little KL, of uint8 frames (N, T, 3, H, W)."""
    signal = to_signal(frames)
    posterior = vae.encode(signal).latent_dist
    mean, log_variance = posterior.mean.float(), posterior.logvar.float()
    noise = torch.randn_like(mean)
    latents = mean + torch.exp(0.5 * log_variance) * noise
    output = vae.decode(latents).sample.float()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    loss: torch.Tensor = functional.l1_loss(output, signal) + 4 * functional.mse_loss(output, signal) + KL_WEIGHT * kl
    return loss


def train_vae(
    clips: ClipSet,
    vae: AutoencoderKLCogVideoX,
    budget: Budget,
    batch: int,
    log: Log,
    checkpoint: Path | None = None,
    report_every: int = 200,
) -> list[float]:
    """Trains `vae` in place on clips of `FRAMES` frames and sets its scale to unit latents."""
    device = clips.frames.device
    vae.train()
    generator = torch.Generator(device).manual_seed(rank())

    def next_batch(step: int) -> tuple[torch.Tensor, ...]:
        del step
        rows = torch.randint(len(clips.frames), (batch,), device=device, generator=generator)
        return (clips.frames[rows],)

    losses = fit(
        "vae",
        vae,
        lambda frames: vae_loss(vae, frames),
        next_batch,
        budget,
        Recipe(peak_lr=1.5e-3, weight_decay=0.0, average_decay=0.998, together=True),
        log,
        checkpoint,
        report_every,
    )
    vae.eval()
    std = encode(vae, clips.frames[:512]).std().item()
    vae.register_to_config(scaling_factor=1 / std)
    log("vae", latent_std=round(std, 4))
    return losses


@torch.no_grad()
def encode(vae: AutoencoderKLCogVideoX, frames: torch.Tensor, batch: int = 64) -> torch.Tensor:
    """Encodes uint8 frames (N, T, 3, H, W) to unscaled latents, float32 (N, t, channels, h, w)."""
    parts = []
    for i in range(0, len(frames), batch):
        signal = to_signal(frames[i : i + batch])
        with torch.autocast(signal.device.type, torch.bfloat16, enabled=signal.is_cuda):
            parts.append(vae.encode(signal).latent_dist.mean.transpose(1, 2).float())
    return torch.cat(parts)


@torch.no_grad()
def reconstruct(vae: AutoencoderKLCogVideoX, frames: torch.Tensor) -> torch.Tensor:
    """Encodes and decodes uint8 frames (N, T, 3, H, W)."""
    output = vae.decode(encode(vae, frames).transpose(1, 2)).sample.clamp(-1, 1)
    decoded: torch.Tensor = ((output + 1) * 127.5).round().to(torch.uint8).transpose(1, 2)
    return decoded


@torch.no_grad()
def reconstruction_psnr(vae: AutoencoderKLCogVideoX, frames: torch.Tensor, batch: int = 16) -> float:
    """Measures the mean PSNR (dB, over clips) of uint8 frames (N, T, 3, H, W) through encoder and decoder."""
    values: list[float] = []
    for i in range(0, len(frames), batch):
        part = frames[i : i + batch]
        error = (reconstruct(vae, part).float() - part.float()).square().mean(dim=(1, 2, 3, 4))
        values += [10 * math.log10(255**2 / max(e, 1e-9)) for e in error.tolist()]
    return sum(values) / len(values)
