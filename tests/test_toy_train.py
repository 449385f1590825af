"""The toy's training script: its losses fall within a few steps on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cogx_runs.toy.train.clip import train_clip
from cogx_runs.toy.train.data import ClipSet, draw_set
from cogx_runs.toy.train.diffusion import Denoiser, LatentSet, train_diffusion
from cogx_runs.toy.train.loop import Budget, Log
from cogx_runs.toy.train.text import train_text_encoder
from cogx_runs.toy.train.vae import build_vae, train_vae

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    return draw_set(16, 9, 0, CPU)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    torch.manual_seed(0)
    return Log(tmp_path / "log.jsonl")


def test_the_autoencoder_learns(clips: ClipSet, log: Log) -> None:
    vae = build_vae(4)

    losses = train_vae(clips, vae, Budget(6), 1, log, report_every=2)

    assert losses[-1] < losses[0]
    assert vae.config.scaling_factor != 1.15258426


def test_the_denoiser_learns(clips: ClipSet, log: Log) -> None:
    latents = LatentSet(torch.randn(16, 3, 4, 16, 16) * 0.1 + 0.7, clips.tokens)
    denoiser = Denoiser(4, 3.0, layers=1)

    losses = train_diffusion(denoiser, [latents], [1.0], [4], Budget(30), log, report_every=10)

    assert losses[-1] < 0.9 * losses[0]


def test_clip_learns(clips: ClipSet, log: Log) -> None:
    _, losses = train_clip(clips, Budget(12), 16, log, report_every=4)

    assert losses[-1] < losses[0]


def test_the_text_encoder_learns_to_name(log: Log) -> None:
    _, losses = train_text_encoder(100, 0, Budget(40), 8, CPU, log, report_every=10)

    assert losses[-1] < 0.9 * losses[0]


def test_training_goes_on_from_its_checkpoint(tmp_path: Path, log: Log) -> None:
    from torch import nn

    from cogx_runs.toy.train.loop import Recipe, _save, _Update, fit

    def loss_of(x: torch.Tensor) -> torch.Tensor:
        return (model(x) - 1).square().mean()

    model = nn.Linear(2, 1)
    recipe = Recipe(peak_lr=0.1)
    update = _Update(loss_of, model, recipe)
    update.prepare(0, 0.1)
    update((torch.ones(4, 2),))
    _save(tmp_path / "x.ckpt", update, 7, 1.5)
    seen: list[int] = []

    def next_batch(step: int) -> tuple[torch.Tensor, ...]:
        seen.append(step)
        return (torch.ones(4, 2),)

    fit("x", model, loss_of, next_batch, Budget(10), recipe, log, tmp_path / "x.ckpt")

    assert seen == [7, 8, 9]
