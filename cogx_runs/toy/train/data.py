"""Sets of drawn clips with their captions, drawn by several processes and painted on the device."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from cogx_runs.toy.train.captions import Caption
from cogx_runs.toy.train.job import ATTRIBUTES, DrawingJob, attributes_of, draw
from cogx_runs.toy.train.raster import FRAME_PIXELS, rasterise
from cogx_runs.toy.train.tokenizer import TEXT_TOKENS, encode
from cogx_runs.toy.train.world import Scene

CHUNK = 128
"""Clips a process draws at a time."""


@dataclass(frozen=True)
class ClipSet:
    """Clips of one length, on one device."""

    frames: torch.Tensor
    """uint8 (N, T, 3, 64, 64)."""
    attributes: torch.Tensor
    """int64 (N, ATTRIBUTES): what each clip shows."""
    tokens: torch.Tensor
    """int64 (N, W, TEXT_TOKENS): `WORDINGS` right captions, then, where mistakes are made, as many careless ones."""
    stated: torch.Tensor
    """int64 (N, W, ATTRIBUTES): what each caption names, `UNSAID` where it is silent."""
    scenes: tuple[Scene, ...]
    """The scene of each clip."""


@contextmanager
def drawing_pool(workers: int) -> Iterator[multiprocessing.pool.Pool | None]:
    """Starts processes that draw; none (drawing in this process) for `workers` < 2."""
    if workers < 2:
        yield None
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield pool


def draw_set(
    count: int,
    frames: int,
    seed: int,
    device: torch.device,
    pool: multiprocessing.pool.Pool | None = None,
    held_out: bool = False,
    start: int = 0,
    mistakes: float = 0.0,
) -> ClipSet:
    """Draws clips `start` to `start + count` of set `seed`; clip i depends on `seed`, i and `mistakes` alone."""
    starts = range(0, count, CHUNK)
    jobs = [DrawingJob(seed, start + s, min(CHUNK, count - s), frames, held_out, mistakes) for s in starts]
    painted = torch.empty((count, frames, 3, FRAME_PIXELS, FRAME_PIXELS), dtype=torch.uint8, device=device)
    scenes: list[Scene] = []
    captions: list[Caption] = []
    for job, (shapes, some, wordings) in zip(jobs, (pool.imap if pool else map)(draw, jobs), strict=True):
        flat = shapes.reshape(-1, *shapes.shape[2:])
        images = rasterise(flat, device)
        row = job.start - start
        painted[row : row + job.count] = images.view(job.count, frames, *images.shape[1:])
        scenes += some
        captions += [c for row in wordings for c in row]
    wordings_each = len(captions) // count
    tokens = encode([c.text for c in captions]).view(count, wordings_each, TEXT_TOKENS)
    stated = torch.tensor([attributes_of(c) for c in captions]).view(count, wordings_each, len(ATTRIBUTES))
    attributes = torch.tensor([attributes_of(s) for s in scenes])
    return ClipSet(painted, attributes.to(device), tokens.to(device), stated.to(device), tuple(scenes))


def to_signal(frames: torch.Tensor) -> torch.Tensor:
    """Scales uint8 (N, T, 3, H, W) to the VAE's float (N, 3, T, H, W) between -1 and 1."""
    return frames.transpose(1, 2).float() / 127.5 - 1
