"""The toy's CLIP: a small image and text encoder in open_clip's own classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import save_file
from torch.nn import functional

from cogx_runs.toy.train.data import ClipSet
from cogx_runs.toy.train.job import UNSAID
from cogx_runs.toy.train.loop import Batch, Budget, Log, Recipe, fit
from cogx_runs.toy.train.raster import FRAME_PIXELS
from cogx_runs.toy.train.tokenizer import (
    END,
    PAD,
    TEXT_TOKENS,
    UNKNOWN,
    build_tokenizer,
    save_tokenizer,
)

MEAN, STD = 0.5, 0.25
"""Of each channel, as open_clip's preprocessing is told to normalise."""


def clip_config() -> dict[str, Any]:
    """Describes the architecture as open_clip's `open_clip_config.json` does."""
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {
                "image_size": FRAME_PIXELS,
                "layers": 4,
                "width": 128,
                "head_width": 32,
                "patch_size": 8,
            },
            "text_cfg": {
                "context_length": TEXT_TOKENS,
                "vocab_size": build_tokenizer().get_vocab_size(),
                "width": 96,
                "heads": 3,
                "layers": 3,
                "pool_type": "eos",
                "eos_id": END,
                "pad_id": PAD,
                # The name only tells open_clip to read the tokenizer beside this file.
                "hf_tokenizer_name": "toy",
            },
        },
        "preprocess_cfg": {
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def build_clip() -> CLIP:
    """Builds an untrained CLIP."""
    config = clip_config()["model_cfg"]
    return CLIP(
        embed_dim=config["embed_dim"],
        vision_cfg=CLIPVisionCfg(**config["vision_cfg"]),
        text_cfg=CLIPTextCfg(**config["text_cfg"]),
    )


def roughen(images: torch.Tensor) -> torch.Tensor:
    """Shifts, scales and brightens images 0..1 (B, 3, H, W), most a little noisy then: good pictures still."""
    batch = len(images)

    def random(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(batch, 1, 1, 1, device=images.device)

    images = images + random(-0.04, 0.08).clamp_min(0) * torch.randn_like(images)
    images = (images - 0.5) * random(0.85, 1.15) + 0.5 + random(-0.06, 0.06)
    theta = torch.eye(2, 3, device=images.device).repeat(batch, 1, 1)
    theta[:, :, :2] *= random(0.92, 1.05)[:, :, 0]
    theta[:, 0, 2] = random(-0.08, 0.08).flatten()
    theta[:, 1, 2] = random(-0.08, 0.08).flatten()
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)


def spoil(images: torch.Tensor) -> torch.Tensor:
    """Spoils images 0..1 (B, 3, H, W) as bad generations are: each blurred, more or less; three in ten noisy too.

    The noise can leave 0..1.
    """
    blurred = images
    for _ in range(2):
        blurred = functional.avg_pool2d(functional.pad(blurred, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    mix = 0.3 + 0.7 * torch.rand(len(images), 1, 1, 1, device=images.device)
    noise = 0.15 * (torch.rand(len(images), 1, 1, 1, device=images.device) < 0.3) * torch.randn_like(images)
    return images + mix * (blurred - images) + noise


def clip_loss(
    model: CLIP,
    images: torch.Tensor,
    attributes: torch.Tensor,
    tokens: torch.Tensor,
    stated: torch.Tensor,
) -> torch.Tensor:
    """Computes the contrastive loss with all true pairs as positives.

    uint8 images (B, 3, H, W), attributes (B, 3), token ids (B, TEXT_TOKENS), stated (B, 3). A
    caption fits every image that it says nothing wrong about, not only the one it came with. It fits
    no spoilt copy of one: captions choose among both, so that the score falls where a picture is bad,
    not only where it shows something else. Spoilt images choose no caption.
    """
    lost = (torch.rand(tokens.shape, device=tokens.device) < 0.02) & (tokens > UNKNOWN)
    tokens = torch.where(lost, UNKNOWN, tokens)
    pictures = roughen(images.float() / 255)
    image_features = model.encode_image((pictures - MEAN) / STD, normalize=True).float()
    text_features = model.encode_text(tokens, normalize=True).float()
    scale = model.logit_scale.exp().clamp(max=60)
    logits = scale * image_features @ text_features.T
    fits = ((stated[None] == UNSAID) | (stated[None] == attributes[:, None])).all(2).float()
    by_image = (functional.log_softmax(logits, 1) * fits).sum(1) / fits.sum(1)
    spoilt_features = model.encode_image((spoil(pictures) - MEAN) / STD, normalize=True).float()
    candidates = torch.cat([logits, scale * spoilt_features @ text_features.T])
    by_text = (functional.log_softmax(candidates, 0)[: len(images)] * fits).sum(0) / fits.sum(0)
    return -(by_image.mean() + by_text.mean()) / 2


def train_clip(
    clips: ClipSet,
    budget: Budget,
    batch: int,
    log: Log,
    checkpoint: Path | None = None,
    report_every: int = 200,
) -> tuple[CLIP, list[float]]:
    """Trains on single frames of drawn clips; returns the model and its losses."""
    device = clips.frames.device
    model = build_clip().to(device).train()
    generator = torch.Generator(device).manual_seed(0)

    def next_batch(step: int) -> Batch:
        del step

        def pick(limit: int) -> torch.Tensor:
            return torch.randint(limit, (batch,), device=device, generator=generator)

        rows = pick(len(clips.frames))
        moments, words = pick(clips.frames.shape[1]), pick(clips.tokens.shape[1])
        return (
            clips.frames[rows, moments],
            clips.attributes[rows],
            clips.tokens[rows, words],
            clips.stated[rows, words],
        )

    losses = fit(
        "clip",
        model,
        lambda *parts: clip_loss(model, *parts),
        next_batch,
        budget,
        Recipe(peak_lr=1e-3, weight_decay=0.05, average_decay=0.998),
        log,
        checkpoint,
        report_every,
    )
    return model.eval(), losses


def save_clip(model: CLIP, folder: Path) -> None:
    """Writes what open_clip's `local-dir:` reads: config, float16 weights, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(clip_config(), indent=2) + "\n")
    weights = {k: v.detach().half().cpu().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, str(folder / "open_clip_model.safetensors"))
    save_tokenizer(folder)
