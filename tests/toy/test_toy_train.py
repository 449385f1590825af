"""The toy's training script: its losses fall within a few steps on a CPU, and what it makes of its data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cogx_runs.toy.train.clip import FULL, agreement, train_clip
from cogx_runs.toy.train.data import ClipSet, draw_set
from cogx_runs.toy.train.diffusion import NO_CAPTION, WRONG_CAPTION, Denoiser, LatentSet, train_diffusion
from cogx_runs.toy.train.job import UNSAID
from cogx_runs.toy.train.loop import Batch, Budget, Log
from cogx_runs.toy.train.settings import QUICK
from cogx_runs.toy.train.spoiling import SPOILING, roughen, spoil
from cogx_runs.toy.train.text import build_text_encoder, taken_over, train_text_encoder
from cogx_runs.toy.train.tokenizer import build_tokenizer
from cogx_runs.toy.train.train import Run
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


def test_agreement_falls_with_each_wrong_part_and_with_each_part_left_unsaid() -> None:
    shown = torch.tensor([[3, 2, 1, UNSAID, UNSAID, UNSAID], [3, 2, 1, 0, 4, 2]])
    told = torch.tensor(
        [
            [3, 2, 1, UNSAID, UNSAID, UNSAID],
            [3, 2, 0, UNSAID, UNSAID, UNSAID],
            [0, 2, 0, UNSAID, UNSAID, UNSAID],
            [3, 2, UNSAID, UNSAID, UNSAID, UNSAID],
            [3, 2, 1, 0, 4, 2],
        ]
    )

    found = agreement(told, shown)

    expected = [6.5 / 6.5, 5 / 6.5, 2 / 6.5, 5 / (5 * 6.5) ** 0.5, 6.5 / (8.9 * 6.5) ** 0.5]
    assert found[0].tolist() == pytest.approx(expected)
    assert found[1, 4].item() == pytest.approx(1)
    assert 0 < FULL < 0.5


@pytest.fixture(scope="module")
def pictures(clips: ClipSet) -> torch.Tensor:
    return clips.frames[:, 4].float() / 255


@pytest.mark.parametrize("way", list(SPOILING), ids=lambda way: way.__name__)
def test_a_way_to_spoil_does_nothing_at_severity_0_and_more_at_1_than_at_half(
    way: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], pictures: torch.Tensor
) -> None:
    def change(severity: float) -> float:
        torch.manual_seed(0)
        spoilt = way(pictures, torch.full((len(pictures), 1, 1, 1), severity))
        assert spoilt.shape == pictures.shape
        return (spoilt - pictures).abs().mean().item()

    assert change(1) > change(0.5) > 0.002
    assert change(0) < (0.02 if way.__name__ == "break_up" else 1e-4)


def test_spoilt_pictures_are_worth_less_the_more_they_are_changed(pictures: torch.Tensor) -> None:
    torch.manual_seed(0)
    many = pictures.repeat(8, 1, 1, 1)

    spoilt, worth = spoil(many)

    change = (spoilt - many).abs().mean(dim=(1, 2, 3))
    assert worth.min() > 0
    assert worth.max() < 1
    assert change[worth < worth.median()].mean() > 1.5 * change[worth > worth.median()].mean()


def test_a_good_picture_is_only_moved_and_brightened_a_little(pictures: torch.Tensor) -> None:
    torch.manual_seed(0)

    rough = roughen(pictures)

    assert rough.min() >= 0
    assert rough.max() <= 1
    assert (rough - pictures).abs().mean() < 0.12


def test_while_mistakes_are_learned_some_clips_are_shown_under_their_neighbours_caption_and_some_under_none() -> None:
    torch.manual_seed(0)
    count = 200
    denoiser = Denoiser(4, 3.0, layers=1)
    denoiser.wrong_caption = 0.3
    seen: list[torch.Tensor] = []
    denoiser.text_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    own = torch.arange(count) + 3
    tokens = own[:, None].repeat(1, 96)

    with torch.no_grad():
        denoiser(torch.zeros(count, 1, 4, 16, 16), tokens)

    shown = seen[0].mode(dim=1).values
    wrong, none = (shown == own.roll(1)).float().mean().item(), (shown == 0).float().mean().item()
    assert wrong == pytest.approx(0.3 * (1 - NO_CAPTION), abs=0.08)
    assert none == pytest.approx(NO_CAPTION, abs=0.06)
    assert (shown == own).float().mean().item() == pytest.approx(1 - wrong - none)


@pytest.mark.parametrize(("mistakes", "words"), [(False, set(range(4))), (True, set(range(4, 8)))])
def test_right_captions_are_learned_first_and_careless_ones_then(
    mistakes: bool, words: set[int], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = torch.arange(3, 11)[None, :, None].repeat(2, 1, 96)
    seen: set[int] = set()

    def collect(
        stage: str, module: object, loss_of: object, next_batch: Callable[[int], Batch], *rest: object
    ) -> list[float]:
        del stage, module, loss_of, rest
        for step in range(20):
            seen.update((next_batch(step)[1][:, 0] - 3).tolist())
        return []

    monkeypatch.setattr("cogx_runs.toy.train.diffusion.fit", collect)
    denoiser = Denoiser(4, 3.0, layers=1)
    train_diffusion(
        denoiser, [LatentSet(torch.zeros(2, 1, 4, 16, 16), tokens)], [1.0], [4], Budget(1), log, mistakes=mistakes
    )

    assert seen == words
    assert denoiser.wrong_caption == (WRONG_CAPTION if mistakes else 0)


def test_a_part_that_is_done_is_loaded_and_not_trained_again(tmp_path: Path, log: Log) -> None:
    done, fresh = Denoiser(16, 3.0, layers=1), Denoiser(16, 3.0, layers=1)
    torch.save(done.state_dict(), tmp_path / "right.pt")
    run = Run(tmp_path, QUICK, CPU, workers=1, log=log, patience_s=0, start=None)

    run._denoise(fresh, [], tmp_path / "right.pt", mistakes=False)

    torch.testing.assert_close(fresh.state_dict(), done.state_dict())


def test_words_known_before_keep_their_vectors_when_training_goes_on_with_more_words(tmp_path: Path) -> None:
    words = build_tokenizer().get_vocab()
    known = {"<pad>": 0, "</s>": 1, "<unk>": 2, "panda": 3, "gone": 4}
    before = build_text_encoder()
    before.resize_token_embeddings(len(known), mean_resizing=False)
    before.save_pretrained(tmp_path / "text_encoder")
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text(json.dumps({"model": {"vocab": known}}), "utf-8")

    after = taken_over(tmp_path)

    assert after.shared.weight.shape == (len(words), 128)
    torch.testing.assert_close(after.shared.weight[words["panda"]], before.shared.weight[3])
    torch.testing.assert_close(
        after.encoder.block[0].layer[1].layer_norm.weight, before.encoder.block[0].layer[1].layer_norm.weight
    )


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
