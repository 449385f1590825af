"""What the weights depend on, beside the code."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cogx_runs.toy.train.evaluate import Effort
from cogx_runs.toy.train.loop import Budget


@dataclass(frozen=True)
class ClipKind:
    """Clips of one length in the diffusion stage."""

    frames: int
    count: int
    share: float
    """How often a batch is of this length."""
    later_share: float
    """The same while mistakes are learned."""
    batch: int


@dataclass(frozen=True)
class Settings:
    """Everything that the weights depend on, beside the code."""

    latent_channels: int = 16
    snr_shift_scale: float = 3.0
    layers: int = 7
    vae_clips: int = 8_000
    vae_batch: int = 8
    vae: Budget = field(default=Budget(24_000, 140))
    captions: int = 30_000
    text_batch: int = 256
    text: Budget = field(default=Budget(1_800))
    clip_clips: int = 20_000
    clip_frames: int = 4
    clip_batch: int = 512
    clip: Budget = field(default=Budget(9_000, 75))
    kinds: tuple[ClipKind, ...] = (
        ClipKind(9, 14_000, 0.35, 0.10, 96),
        ClipKind(17, 14_000, 0.35, 0.30, 64),
        ClipKind(25, 5_000, 0.08, 0.15, 48),
        ClipKind(49, 9_000, 0.22, 0.45, 24),
    )
    diffusion: Budget = field(default=Budget(30_000, 370))
    """Of the part with right captions."""
    learn_mistakes: Budget = field(default=Budget(20_000, 240))
    """Of the part with careless captions."""
    effort: Effort = field(default=Effort())
    mistakes: float = 0.45
    """Probability with which a careless caption states a part of a clip wrongly."""
    seed: int = 0


QUICK = Settings(
    layers=7,
    vae_clips=8,
    vae_batch=2,
    vae=Budget(6),
    captions=200,
    text_batch=16,
    text=Budget(10),
    clip_clips=64,
    clip_frames=2,
    clip_batch=32,
    clip=Budget(10),
    kinds=(ClipKind(9, 16, 0.5, 0.5, 4), ClipKind(17, 8, 0.5, 0.5, 2)),
    diffusion=Budget(6),
    learn_mistakes=Budget(6),
    effort=Effort(seeds=(42, 7), guidances=(1.0, 6.0), steps=(2, 50), frames=9, drawings=8),
)
"""Tiny settings that pass through every stage on a CPU in a minute or two; the weights are bad."""


def with_limits(settings: Settings, vae_s: float, clip_s: float, diffusion_s: float) -> Settings:
    """Copies the settings with other limits of wall-clock seconds for the three trainings."""
    return replace(
        settings,
        vae=replace(settings.vae, seconds=vae_s),
        clip=replace(settings.clip, seconds=clip_s),
        diffusion=replace(settings.diffusion, seconds=diffusion_s),
    )
