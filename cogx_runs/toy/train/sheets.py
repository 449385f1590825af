"""Contact sheets: labelled grids of frames as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

SCALE = 2
LABEL_PIXELS = 14


def sheet(rows: list[tuple[str, torch.Tensor]], path: Path) -> None:
    """Saves rows of (label, uint8 frames (N, 3, H, W)), each row under its label."""
    height, width = (SCALE * n for n in rows[0][1].shape[2:])
    longest = max(len(frames) for _, frames in rows)
    gap = 2
    size = (longest * (width + gap), len(rows) * (height + LABEL_PIXELS + gap))
    canvas = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(canvas)
    for row, (label, frames) in enumerate(rows):
        top = row * (height + LABEL_PIXELS + gap)
        pen.text((2, top + 1), label, fill="black")
        for column, frame in enumerate(frames.cpu()):
            picture = Image.fromarray(np.ascontiguousarray(frame.permute(1, 2, 0).numpy()))
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
            canvas.paste(picture, (column * (width + gap), top + LABEL_PIXELS))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def evenly(video: torch.Tensor, count: int) -> torch.Tensor:
    """Picks `count` frames of a video (T, 3, H, W), from the first to the last."""
    rows = torch.linspace(0, len(video) - 1, count).round().long()
    return video[rows.to(video.device)]
