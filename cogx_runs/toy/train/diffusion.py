"""The toy's text encoder and transformer, trained together on encoded clips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from torch import nn

from cogx_runs.toy.train.data import ClipSet
from cogx_runs.toy.train.job import WORDINGS
from cogx_runs.toy.train.loop import Batch, Budget, Log, Recipe, fit, rank
from cogx_runs.toy.train.text import TEXT_WIDTH, build_text_encoder, lose_words
from cogx_runs.toy.train.tokenizer import TEXT_TOKENS, encode
from cogx_runs.toy.train.vae import encode as encode_frames

LONGEST = 49
"""Frames of the longest clip."""
NO_CAPTION = 0.1
"""Share of captions emptied, so that guidance has an unconditional model to lean on."""
WRONG_CAPTION = 0.1
"""Share of clips shown under another clip's caption while mistakes are learned, as pictures from the web often are."""
WEIGHT_LIMIT = 20.0


def build_transformer(latent_channels: int, layers: int = 7) -> CogVideoXTransformer3DModel:
    """Builds an untrained transformer for 16x16 latents of up to 13 latent frames.

    Blocks and output start at zero (adaLN-Zero, https://arxiv.org/abs/2212.09748).
    """
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=8,
        attention_head_dim=32,
        in_channels=latent_channels,
        out_channels=latent_channels,
        time_embed_dim=64,
        text_embed_dim=TEXT_WIDTH,
        num_layers=layers,
        sample_width=16,
        sample_height=16,
        sample_frames=LONGEST,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=TEXT_TOKENS,
        spatial_interpolation_scale=1.0,
    )
    starts = [norm.linear for b in transformer.transformer_blocks for norm in (b.norm1, b.norm2)]
    for linear in [*starts, transformer.proj_out]:
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
    return transformer


def build_scheduler(snr_shift_scale: float) -> CogVideoXDDIMScheduler:
    """Builds the scheduler of CogVideoX-2b, but for `snr_shift_scale`."""
    return CogVideoXDDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=snr_shift_scale,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )


@dataclass(frozen=True)
class LatentSet:
    """Encoded clips of one length, scaled to unit variance, with their captions."""

    latents: torch.Tensor
    """bfloat16 on a GPU, else float32 (N, t, channels, 16, 16)."""
    tokens: torch.Tensor
    """int64 (N, W, TEXT_TOKENS), as those of the clips."""


def encode_set(vae: AutoencoderKLCogVideoX, clips: ClipSet) -> LatentSet:
    """Encodes clips with a trained autoencoder."""
    latents = encode_frames(vae, clips.frames) * vae.config.scaling_factor
    kind = torch.bfloat16 if latents.is_cuda else torch.float32
    return LatentSet(latents.to(kind), clips.tokens)


class Denoiser(nn.Module):
    """Text encoder and transformer as one module, with the loss of v-prediction."""

    def __init__(self, latent_channels: int, snr_shift_scale: float, layers: int = 7) -> None:
        super().__init__()
        self.wrong_caption = 0.0
        """Share of clips that take their neighbour's caption."""
        self.alphas: torch.Tensor
        self.no_text: torch.Tensor
        self.text_encoder = build_text_encoder()
        self.transformer = build_transformer(latent_channels, layers)
        alphas = build_scheduler(snr_shift_scale).alphas_cumprod
        self.register_buffer("alphas", alphas.float(), persistent=False)
        self.register_buffer("no_text", encode([""]), persistent=False)
        # Positions of clips shorter than the longest would be worked out anew at every call.
        patch = self.transformer.patch_embed
        patch._get_positional_embeddings = cache(patch._get_positional_embeddings)

    def forward(self, latents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Computes the mean loss of clean latents (B, t, channels, h, w) and token ids (B, TEXT_TOKENS).

        A share `wrong_caption` of the clips takes its neighbour's caption, then a share `NO_CAPTION`
        of the captions is emptied, and the others lose a few words.

        The squared error of the predicted clean latents, weighted by 1 / (1 - alpha-bar) clipped
        at `WEIGHT_LIMIT`; written in v, of which that error is sqrt(1 - alpha-bar) times.
        """
        batch, device = len(latents), latents.device
        wrong = torch.rand(batch, 1, device=device) < self.wrong_caption
        tokens = torch.where(wrong, tokens.roll(1, 0), tokens)
        drop = torch.rand(batch, 1, device=device) < NO_CAPTION
        tokens = torch.where(drop, self.no_text, lose_words(tokens))
        text = self.text_encoder(tokens)[0]

        clean = latents.float()
        steps = (torch.rand(batch, device=device) * len(self.alphas)).long()
        alpha = self.alphas[steps].view(batch, 1, 1, 1, 1)
        noise = torch.randn_like(clean)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
        output = self.transformer(noisy, text, steps, return_dict=False)[0].float()
        weight = (WEIGHT_LIMIT * (1 - alpha)).clamp(max=1)
        loss: torch.Tensor = (weight * (output - target).square()).mean()
        return loss


def train_diffusion(
    denoiser: Denoiser,
    sets: list[LatentSet],
    shares: list[float],
    batches: list[int],
    budget: Budget,
    log: Log,
    checkpoint: Path | None = None,
    report_every: int = 200,
    mistakes: bool = False,
    peak_lr: float = 1e-3,
) -> list[float]:
    """Trains in place on clip sets of several lengths; set i is drawn with `shares[i]`, `batches[i]` a step.

    With the right captions; or, with `mistakes`, with the careless ones, some of them of another clip.
    """
    device = sets[0].latents.device
    denoiser.train()
    denoiser.wrong_caption = WRONG_CAPTION if mistakes else 0.0
    first = WORDINGS if mistakes else 0
    rng = np.random.default_rng(0)
    generator = torch.Generator(device).manual_seed(rank())

    def next_batch(step: int) -> Batch:
        # The first steps show each length once, which captures all graphs at the lowest rate.
        which = step if step < len(sets) else int(rng.choice(len(sets), p=shares))
        chosen, size = sets[which], batches[which]
        rows = torch.randint(len(chosen.latents), (size,), device=device, generator=generator)
        words = torch.randint(first, first + WORDINGS, (size,), device=device, generator=generator)
        return chosen.latents[rows], chosen.tokens[rows, words]

    losses = fit(
        "mistakes" if mistakes else "diffusion",
        denoiser,
        denoiser,
        next_batch,
        budget,
        Recipe(peak_lr=peak_lr, average_decay=0.999, together=True),
        log,
        checkpoint,
        report_every,
    )
    denoiser.eval()
    return losses
