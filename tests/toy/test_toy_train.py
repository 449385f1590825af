"""The toy's training script: its losses fall within a few steps on a CPU, and what it makes of its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cogx_runs.toy.train.clip import spoil, train_clip
from cogx_runs.toy.train.data import ClipSet, draw_set
from cogx_runs.toy.train.diffusion import NO_CAPTION, WRONG_CAPTION, Denoiser, LatentSet, train_diffusion
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


@pytest.mark.slow
def test_the_autoencoder_learns(clips: ClipSet, log: Log) -> None:
    vae = build_vae(4)

    losses = train_vae(replace(clips, frames=clips.frames[:4]), vae, Budget(6), 1, log, report_every=2)

    assert losses[-1] < losses[0]
    assert vae.config.scaling_factor != 1.15258426


@pytest.mark.slow
def test_the_denoiser_learns(clips: ClipSet, log: Log) -> None:
    latents = LatentSet(torch.randn(16, 3, 4, 16, 16) * 0.1 + 0.7, clips.tokens)
    denoiser = Denoiser(4, 3.0, layers=1)

    losses = train_diffusion(denoiser, [latents], [1.0], [4], Budget(30), log, report_every=10)

    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
def test_clip_learns(clips: ClipSet, log: Log) -> None:
    _, losses = train_clip(clips, Budget(12), 16, log, report_every=4)

    assert losses[-1] < losses[0]


def test_spoilt_pictures_are_smooth_or_noisy(clips: ClipSet) -> None:
    def detail(pictures: torch.Tensor) -> torch.Tensor:
        return pictures.diff(dim=3).abs().mean(dim=(1, 2, 3))

    torch.manual_seed(0)
    pictures = (clips.frames[:, 4].float() / 255).repeat(4, 1, 1, 1)

    spoilt = spoil(pictures)

    assert spoilt.shape == pictures.shape
    assert spoilt.isfinite().all()
    assert ((spoilt - pictures).abs().mean(dim=(1, 2, 3)) > 0.01).all()
    assert 0.5 < (detail(spoilt) < 0.9 * detail(pictures)).float().mean() < 0.9


def test_some_clips_are_shown_under_their_neighbours_caption_and_some_under_none() -> None:
    torch.manual_seed(0)
    count = 200
    denoiser = Denoiser(4, 3.0, layers=1)
    seen: list[torch.Tensor] = []
    denoiser.text_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    own = torch.arange(count) + 3
    tokens = own[:, None].repeat(1, 96)

    with torch.no_grad():
        denoiser(torch.zeros(count, 1, 4, 16, 16), tokens)

    shown = seen[0].mode(dim=1).values
    wrong, none = (shown == own.roll(1)).float().mean().item(), (shown == 0).float().mean().item()
    assert wrong == pytest.approx(WRONG_CAPTION * (1 - NO_CAPTION), abs=0.08)
    assert none == pytest.approx(NO_CAPTION, abs=0.06)
    assert (shown == own).float().mean().item() == pytest.approx(1 - wrong - none)


@pytest.mark.slow
def test_the_text_encoder_learns_to_name(log: Log) -> None:
    _, losses = train_text_encoder(100, 0, Budget(40), 8, CPU, log, report_every=10)

    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
def test_training_goes_on_from_its_checkpoint(tmp_path: Path, log: Log) -> None:
    from torch import nn

    from cogx_runs.toy.train.loop import Recipe, _save, _Update, fit

    def loss_of(x: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = (model(x) - 1).square().mean()
        return loss

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
