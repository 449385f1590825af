"""The toy's CLIP: a small image and text encoder in open_clip's own classes."""

from __future__ import annotations

import json
from functools import cache
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
from cogx_runs.toy.train.spoiling import roughen, spoil
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
FULL = 0.36
"""Cosine of a good picture with a caption that says all of it."""
WEIGHTS = (3.0, 2.0, 1.5, 1.0, 0.7, 0.7)
"""How much each of `ATTRIBUTES` counts."""
GRADING = 100.0
"""How much the graded part of the loss counts."""


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


@cache
def _weights(device: torch.device) -> torch.Tensor:
    # Made once: no copy to the device can be captured in a graph.
    return torch.tensor(WEIGHTS, device=device)


def agreement(stated: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
    """Computes how far captions agree with pictures, 0 to 1: stated (T, 6), attributes (B, 6), result (B, T).

    The cosine of two sums of orthogonal vectors, one an attribute: what a caption does not say is missing from its
    sum, what it says wrongly meets nothing in the picture's.
    """
    weights = _weights(stated.device)
    said, shown = (stated != UNSAID) * weights, (attributes != UNSAID) * weights
    right = ((stated[None] == attributes[:, None]) * said[None]).sum(2)
    return right / (said.sum(1)[None] * shown.sum(1)[:, None]).sqrt()


def clip_loss(
    model: CLIP,
    images: torch.Tensor,
    attributes: torch.Tensor,
    tokens: torch.Tensor,
    stated: torch.Tensor,
) -> torch.Tensor:
    """Computes the contrastive loss with all true pairs as positives, and how far cosines are from what pairs deserve.

    uint8 images (B, 3, H, W), attributes (B, 6), token ids (B, TEXT_TOKENS), stated (B, 6). A
    caption fits every image that it says nothing wrong about, not only the one it came with. It fits
    no spoilt copy of one: captions choose among both. Spoilt images choose no caption.

    Contrast alone gives every good picture the same full score; the second part grades. A pair
    deserves `FULL` x agreement x how good the picture is.
    """
    lost = (torch.rand(tokens.shape, device=tokens.device) < 0.02) & (tokens > UNKNOWN)
    tokens = torch.where(lost, UNKNOWN, tokens)
    # In full precision, but for the encoders: bfloat16 would shift pixels by a quarter and round cosines to 0.2 points.
    with torch.autocast(images.device.type, enabled=False):
        pictures = roughen(images.float() / 255)
        spoilt, worth = spoil(pictures)
        both = (torch.cat([pictures, spoilt]) - MEAN) / STD
    features = model.encode_image(both, normalize=True).float()
    text_features = model.encode_text(tokens, normalize=True).float()
    with torch.autocast(images.device.type, enabled=False):
        cosines = features @ text_features.T
        logits = model.logit_scale.exp().clamp(max=100) * cosines
        fits = ((stated[None] == UNSAID) | (stated[None] == attributes[:, None])).all(2).float()
        good = len(images)
        by_image = (functional.log_softmax(logits[:good], 1) * fits).sum(1) / fits.sum(1)
        by_text = (functional.log_softmax(logits, 0)[:good] * fits).sum(0) / fits.sum(0)
        contrast = -(by_image.mean() + by_text.mean()) / 2

        deserved = FULL * agreement(stated, attributes)
        deserved = torch.cat([deserved, deserved * worth[:, None]])
        # Most pairs have little in common; those that have much are what a score is asked for.
        importance = 0.02 + deserved.square()
        error = (importance * (cosines - deserved).square()).sum() / importance.sum()
        loss: torch.Tensor = contrast + GRADING * error
    return loss


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
