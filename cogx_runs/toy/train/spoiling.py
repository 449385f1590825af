"""Good pictures' small variations, and spoilt pictures as bad generations are, each with how good it still is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional


def _uniform(like: torch.Tensor, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    return low + (high - low) * torch.rand(len(like), 1, 1, 1, device=like.device)


def _sampled(images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _still(images: torch.Tensor) -> torch.Tensor:
    theta = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    return functional.affine_grid(theta, list(images.shape), align_corners=False)


def _soft(images: torch.Tensor) -> torch.Tensor:
    for _ in range(2):
        images = functional.avg_pool2d(functional.pad(images, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    return images


def roughen(images: torch.Tensor) -> torch.Tensor:
    """Shifts, scales and brightens images 0..1 (B, 3, H, W) a little: good pictures still."""
    images = (images - 0.5) * _uniform(images, 0.92, 1.08) + 0.5 + _uniform(images, -0.04, 0.04)
    theta = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    theta[:, :, :2] *= _uniform(images, 0.92, 1.05)[:, :, 0]
    theta[:, 0, 2] = _uniform(images, -0.08, 0.08).flatten()
    theta[:, 1, 2] = _uniform(images, -0.08, 0.08).flatten()
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return _sampled(images, grid).clamp(0, 1)


def blur(images: torch.Tensor, severity: torch.Tensor) -> torch.Tensor:
    """Mixes in a soft copy."""
    return images + severity * (_soft(images) - images)


def grain(images: torch.Tensor, severity: torch.Tensor) -> torch.Tensor:
    """Adds noise of up to a standard deviation of 0.3; it can leave 0..1."""
    return images + 0.3 * severity * torch.randn_like(images)


def overdo(images: torch.Tensor, severity: torch.Tensor) -> torch.Tensor:
    """Raises contrast and hardens edges, as too much guidance does."""
    harder = images + 1.5 * severity * (images - _soft(images))
    return ((harder - 0.5) * (1 + severity) + 0.5).clamp(0, 1)


def smear(images: torch.Tensor, severity: torch.Tensor) -> torch.Tensor:
    """Bends the picture by a smooth random field of up to a tenth of its width."""
    field = torch.randn(len(images), 2, 10, 10, device=images.device)
    field = functional.interpolate(field, images.shape[-2:], mode="bicubic", align_corners=False)
    return _sampled(images, _still(images) + 0.12 * (severity * field).permute(0, 2, 3, 1))


def ghost(images: torch.Tensor, severity: torch.Tensor) -> torch.Tensor:
    """Mixes in a shifted copy, as the mean of several places or moments looks."""
    grid = _still(images)
    grid = grid + 0.25 * torch.randn(len(images), 1, 1, 2, device=images.device)
    return images + 0.6 * severity * (_sampled(images, grid) - images)


def break_up(images: torch.Tensor, severity: torch.Tensor) -> torch.Tensor:
    """Puts a blurred piece of another picture in a window of up to half the width and height."""
    axis = torch.linspace(0, 1, images.shape[-1], device=images.device)
    half = 0.05 + 0.22 * severity
    inside = [(axis - _uniform(images, 0.25, 0.75).view(-1, 1)).abs() < half.view(-1, 1) for _ in range(2)]
    window = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
    return torch.where(window, 0.5 * (_soft(images) + _soft(images.roll(1, 0))), images)


SPOILING: dict[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], float] = {
    blur: 0.85,
    grain: 0.85,
    overdo: 0.6,
    smear: 0.8,
    ghost: 0.7,
    break_up: 0.6,
}
"""Ways to spoil, and the share of a picture's worth that each takes at its worst."""


def spoil(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Spoils images 0..1 (B, 3, H, W), each in one or two ways by lot; returns them and how good they are, (B,)."""
    worth = torch.ones(len(images), device=images.device)
    chosen = torch.rand(len(images), len(SPOILING), device=images.device).argsort(1)
    twice = torch.rand(len(images), device=images.device) < 0.4
    for number, (way, cost) in enumerate(SPOILING.items()):
        hit = (chosen[:, 0] == number) | ((chosen[:, 1] == number) & twice)
        severity = _uniform(images) * hit.view(-1, 1, 1, 1)
        images = torch.where(hit.view(-1, 1, 1, 1), way(images, severity), images)
        worth = worth * (1 - cost * severity.flatten() ** 0.7)
    return images, worth
