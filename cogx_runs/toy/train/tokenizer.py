"""The word-level tokenizer that the toy's T5 and CLIP share."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from cogx_runs.toy.train.captions import vocabulary

TEXT_TOKENS = 96
"""Tokens a text is padded to, for the transformer and for CLIP."""
PAD, END, UNKNOWN = 0, 1, 2
SPECIAL = ("<pad>", "</s>", "<unk>")


@cache
def build_tokenizer() -> Tokenizer:
    """Builds one that lower-cases, drops punctuation, maps unknown words to `<unk>` and ends with `</s>`."""
    words = {word: i for i, word in enumerate([*SPECIAL, *vocabulary()])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex("[^\\p{L}\\p{N}]+"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    return tokenizer


def save_tokenizer(folder: Path) -> None:
    """Writes `tokenizer.json` and its config, for diffusers, transformers and open_clip alike."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(),
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=TEXT_TOKENS,
        padding_side="right",
    )
    wrapped.save_pretrained(folder)
    # transformers 5 writes a class name that version 4 does not know; both know this one.
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


@cache
def _padding_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_str(build_tokenizer().to_str())
    tokenizer.enable_truncation(TEXT_TOKENS)
    tokenizer.enable_padding(pad_id=PAD, pad_token="<pad>", length=TEXT_TOKENS)
    return tokenizer


def encode(texts: list[str]) -> torch.Tensor:
    """Looks up the token ids of texts, cut and padded: int64 (N, TEXT_TOKENS)."""
    return torch.tensor([item.ids for item in _padding_tokenizer().encode_batch(texts)])
