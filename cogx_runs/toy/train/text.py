"""The text encoder's schooling: to tell what a caption names before any picture is learned.

Learned from the diffusion loss alone, words that change few pixels come last: a trial of 8,000
updates still guessed the subject from the place. A few seconds of naming mend that.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import T5Config, T5EncoderModel

from cogx_runs.toy.train.captions import caption
from cogx_runs.toy.train.job import CHOICES, UNSAID, attributes_of
from cogx_runs.toy.train.loop import Batch, Budget, Log, Recipe, fit
from cogx_runs.toy.train.tokenizer import END, PAD, TEXT_TOKENS, UNKNOWN, build_tokenizer, encode
from cogx_runs.toy.train.world import MOTIONS, sample_scene, scene_rng

TEXT_WIDTH = 128
NO_WORD = 0.02
"""Share of words made unknown, so that an unknown word does no harm."""


def build_text_encoder() -> T5EncoderModel:
    """Builds an untrained T5 encoder over the toy's words."""
    return T5EncoderModel(
        T5Config(
            vocab_size=build_tokenizer().get_vocab_size(),
            d_model=TEXT_WIDTH,
            d_kv=32,
            d_ff=384,
            num_layers=3,
            num_heads=4,
            dropout_rate=0.0,
            pad_token_id=PAD,
            eos_token_id=END,
        )
    )


def lose_words(tokens: torch.Tensor) -> torch.Tensor:
    """Makes a few words of the token ids (B, TEXT_TOKENS) unknown."""
    lost = (torch.rand(tokens.shape, device=tokens.device) < NO_WORD) & (tokens > UNKNOWN)
    return torch.where(lost, UNKNOWN, tokens)


def taken_over(folder: Path) -> T5EncoderModel:
    """Loads the encoder of a pipeline folder; words that its tokenizer lacks get vectors to be learned."""
    known = json.loads((folder / "tokenizer" / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    state = T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).state_dict()
    encoder = build_text_encoder()
    for name, fresh in encoder.state_dict().items():
        if fresh.shape != state[name].shape:
            rows = fresh.clone()
            for word, row in build_tokenizer().get_vocab().items():
                if word in known:
                    rows[row] = state[name][known[word]]
            state[name] = rows
    encoder.load_state_dict(state)
    return encoder


class Schooling(nn.Module):
    """The encoder with one linear head an attribute and one for motion, on its mean output."""

    def __init__(self, encoder: T5EncoderModel) -> None:
        super().__init__()
        self.encoder = encoder
        # One more answer each: the caption does not say.
        self.heads = nn.ModuleList(nn.Linear(TEXT_WIDTH, n + 1) for n in (*CHOICES, len(MOTIONS)))

    def forward(self, tokens: torch.Tensor, stated: torch.Tensor) -> torch.Tensor:
        """Computes the mean cross-entropy; token ids (B, TEXT_TOKENS), stated (B, 7) with -1 for unsaid."""
        output = self.encoder(lose_words(tokens))[0].float()
        losses = []
        for column, (head, silent) in enumerate(zip(self.heads, (*CHOICES, len(MOTIONS)), strict=True)):
            target = torch.where(stated[:, column] == UNSAID, silent, stated[:, column])
            # Both ways of reading: all tokens together, and each one by itself.
            losses.append(functional.cross_entropy(head(output.mean(1)), target))
            each = head(output).flatten(0, 1)
            repeated = target[:, None].expand(-1, TEXT_TOKENS).flatten()
            losses.append(0.3 * functional.cross_entropy(each, repeated))
        return torch.stack(losses).sum()


def train_text_encoder(
    count: int,
    seed: int,
    budget: Budget,
    batch: int,
    device: torch.device,
    log: Log,
    report_every: int = 200,
) -> tuple[T5EncoderModel, list[float]]:
    """Schools a new encoder on `count` captions; returns it and the losses."""
    captions, stated_rows = [], []
    for index in range(count):
        rng = scene_rng(seed, index)
        scene = sample_scene(rng)
        captions.append(caption(scene, rng))
        motion = captions[-1].motion
        stated_rows.append([*attributes_of(captions[-1]), MOTIONS.index(motion) if motion else UNSAID])
    tokens = encode([c.text for c in captions]).to(device)
    stated = torch.tensor(stated_rows).to(device)
    school = Schooling(build_text_encoder()).to(device).train()
    generator = torch.Generator(device).manual_seed(0)

    def next_batch(step: int) -> Batch:
        del step
        rows = torch.randint(count, (batch,), device=device, generator=generator)
        return tokens[rows], stated[rows]

    losses = fit("text", school, school, next_batch, budget, Recipe(peak_lr=1e-3), log, report_every=report_every)
    return school.encoder.eval(), losses
