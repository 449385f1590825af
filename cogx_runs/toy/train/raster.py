"""Paints the shapes of `drawing.py`, many frames at once, on any torch device.

Each shape covers a pixel by its signed distance from the pixel's middle, which gives smooth edges
without drawing larger and shrinking.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cogx_runs.toy.train.drawing import ELLIPSE, NOTHING, QUAD, STROKE

FRAME_PIXELS = 64
"""Height and width of a frame."""


def _plane(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    """a x + b y + c at all pixels: coefficients (N,), axis (P,), result (N, P, P)."""
    return (a[:, None] * axis + c[:, None])[:, None, :] + (b[:, None] * axis)[:, :, None]


def _ellipse_distance(g: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    cos, sin = torch.cos(g[:, 4]), torch.sin(g[:, 4])
    rx, ry = g[:, 2].clamp_min(1e-4), g[:, 3].clamp_min(1e-4)
    across = -(cos * g[:, 0] + sin * g[:, 1]) / rx
    along = (sin * g[:, 0] - cos * g[:, 1]) / ry
    uu = _plane(cos / rx, sin / rx, across, axis).square_()
    vv = _plane(-sin / ry, cos / ry, along, axis).square_()
    k0 = (uu + vv).sqrt_()
    k1 = uu.div_(rx[:, None, None] ** 2).add_(vv.div_(ry[:, None, None] ** 2)).sqrt_()
    return (k0 - 1).mul_(k0).div_(k1.clamp_min_(1e-6))


def _quad_distance(g: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    xs, ys = g[:, 0:8:2], g[:, 1:8:2]
    nx, ny = torch.roll(xs, -1, 1), torch.roll(ys, -1, 1)
    turn = torch.sign((xs * ny - nx * ys).sum(1, keepdim=True))
    ex, ey = nx - xs, ny - ys
    length = torch.sqrt(ex * ex + ey * ey)
    real = (length > 1e-5).float()
    scale = real * turn / length.clamp_min(1e-6)
    a, b = scale * ey, -scale * ex
    c = -(a * xs + b * ys) - 1e3 * (1 - real)
    distance = _plane(a[:, 0], b[:, 0], c[:, 0], axis)
    for i in range(1, 4):
        distance = torch.maximum(distance, _plane(a[:, i], b[:, i], c[:, i], axis))
    return distance


def _stroke_distance(g: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    ex, ey = g[:, 2] - g[:, 0], g[:, 3] - g[:, 1]
    square = (ex * ex + ey * ey).clamp_min(1e-8)
    a, b = ex / square, ey / square
    along = _plane(a, b, -(a * g[:, 0] + b * g[:, 1]), axis).clamp_(0, 1)
    dx = (axis - g[:, 0, None])[:, None, :] - along * ex[:, None, None]
    dy = (axis - g[:, 1, None])[:, :, None] - along * ey[:, None, None]
    return torch.hypot(dx, dy) - g[:, 4, None, None]


_DISTANCES = {ELLIPSE: _ellipse_distance, QUAD: _quad_distance, STROKE: _stroke_distance}


def rasterise(shapes: NDArray[np.floating], device: torch.device | str = "cpu") -> torch.Tensor:
    """Paints frames: shapes (N, MAX_SHAPES, SHAPE_FIELDS) to uint8 (N, 3, 64, 64) on `device`."""
    chunk = 64 if torch.device(device).type == "cpu" else 2048
    parts = [_paint(shapes[i : i + chunk], device) for i in range(0, len(shapes), chunk)]
    return torch.cat(parts)


def _paint(shapes: NDArray[np.floating], device: torch.device | str) -> torch.Tensor:
    kinds = shapes[:, :, 0].astype(np.int64)
    used = int((kinds != NOTHING).any(0).sum())
    table = torch.from_numpy(np.asarray(shapes[:, :used], dtype=np.float32)).to(device)
    axis = (torch.arange(FRAME_PIXELS, device=device) + 0.5) / FRAME_PIXELS
    canvas = torch.zeros(len(shapes), 3, FRAME_PIXELS, FRAME_PIXELS, device=device)
    for n in range(used):
        row = table[:, n]
        present = [k for k in _DISTANCES if (kinds[:, n] == k).any()]
        distance = _DISTANCES[present[0]](row[:, 1:9], axis)
        for kind in present[1:]:
            other = _DISTANCES[kind](row[:, 1:9], axis)
            distance = torch.where((row[:, 0] == kind)[:, None, None], other, distance)
        cover = distance.mul_(-FRAME_PIXELS).add_(0.5).clamp_(0, 1)
        cover *= row[:, 12, None, None]
        canvas.lerp_(row[:, 9:12, None, None].expand_as(canvas), cover[:, None].expand_as(canvas))
    return canvas.round_().clamp_(0, 255).to(torch.uint8)
