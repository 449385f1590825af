"""Token counts of a prompt for CLIP and for T5, without torch."""

import gzip
import html
import importlib.util
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import ftfy
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from cogx_runs.models.cards import ModelCard, clip_folder
from cogx_runs.models.clip_folder import clip_text_config
from cogx_runs.models.configs import ClipTextConfig
from cogx_runs.models.hub import cached_file
from cogx_runs.models.tokenizers import sentencepiece_of, tokenizer_of

CLIP_CONTEXT_LENGTH = 77
SHORT_WORD_TOKENS = 1.5
"""Tokens of a short word in the estimate for T5."""
LETTERS_OF_A_TOKEN = 2
"""Letters of a token in the estimate for T5: real words take fewer tokens, random letters about as many."""
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿĀ-ſ]+")
_UNKNOWN_TO_T5 = re.compile(
    "[\u1100-\u11ff\u2e80-\u303f\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Chinese, Japanese and Korean, which T5's vocabulary has no token for."""
_CLIP_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True)
class TokenCount:
    """The number of tokens of a text, special tokens included."""

    tokens: int
    limit: int
    """Number of tokens beyond which a text is cut."""
    exact: bool
    """Whether the count is exact; else it is estimated, without the right tokenizer."""
    unknown_words: tuple[str, ...] = ()
    """Words that the tokenizer has no token for."""

    @property
    def is_cut(self) -> bool:
        """Whether the text is longer than the limit."""
        return self.tokens > self.limit


def count_clip_tokens(text: str, clip_model: str) -> TokenCount:
    """Counts the tokens of `text` for a CLIP by its folder's tokenizer, else OpenAI's BPE as open_clip ships it.

    Architectures with a tokenizer of their own are counted by OpenAI's BPE and marked as not exact.
    """
    folder = clip_folder(clip_model)
    if folder is not None:
        config = _clip_text_config(folder / "open_clip_config.json")
    else:
        config = _clip_text_config(_open_clip() / "model_configs" / f"{clip_model.partition(':')[0]}.json")
    if folder is not None and (folder / "tokenizer.json").exists():
        return _count(tokenizer_of(folder / "tokenizer.json"), text, config.context_length)
    cleaned = " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).strip()
    return TokenCount(
        len(_openai_bpe().encode(cleaned).ids), config.context_length, exact=config.hf_tokenizer_name is None
    )


@cache
def clip_architectures() -> list[str]:
    """Lists the architectures that open_clip knows."""
    return sorted(path.stem for path in (_open_clip() / "model_configs").glob("*.json"))


def _clip_text_config(path: Path) -> ClipTextConfig:
    """Reads what a CLIP's configuration says of texts; the usual where there is no such file."""
    return clip_text_config(path) if _exists(path) else ClipTextConfig()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _open_clip() -> Path:
    """Finds open_clip's folder without importing it."""
    spec = importlib.util.find_spec("open_clip")
    assert spec is not None, "open_clip_torch is a dependency"
    assert spec.submodule_search_locations is not None, "open_clip is a package"
    return Path(spec.submodule_search_locations[0])


def count_t5_tokens(text: str, card: ModelCard) -> TokenCount:
    """Counts the tokens of `text` for the model's text encoder, exactly where its tokenizer is on this machine."""
    folder = _tokenizer_folder(card)
    if folder is not None and (folder / "tokenizer.json").exists():
        return _count(tokenizer_of(folder / "tokenizer.json"), text, card.max_sequence_length)
    if folder is not None and (folder / "spiece.model").exists():
        return _count_pieces(folder / "spiece.model", text, card.max_sequence_length)
    return TokenCount(_most_t5_tokens(text), card.max_sequence_length, False, _distinct(_UNKNOWN_TO_T5.findall(text)))


def _most_t5_tokens(text: str) -> int:
    """Estimates T5's tokens from above: by the letters of words, and one for each other character."""
    words = sum(max(SHORT_WORD_TOKENS, len(word) / LETTERS_OF_A_TOKEN) for word in _LATIN.findall(text))
    others = len("".join(_LATIN.sub("", text).split()))
    return math.ceil(words + others) + 1


def _count_pieces(path: Path, text: str, limit: int) -> TokenCount:
    processor = sentencepiece_of(path)
    ids, pieces = processor.encode(text), processor.encode(text, out_type=str)
    unknown = (piece for token, piece in zip(ids, pieces, strict=True) if token == processor.unk_id())
    return TokenCount(len(ids) + 1, limit, True, _distinct(piece.strip("▁") for piece in unknown))


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({word for word in words if word}))


def _count(tokenizer: Tokenizer, text: str, limit: int) -> TokenCount:
    encoding = tokenizer.encode(text)
    ids = [token for token, mask in zip(encoding.ids, encoding.attention_mask, strict=True) if mask]
    unknown = tokenizer.token_to_id("<unk>")
    words = (
        text[start:end].strip()
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        if unknown is not None and token == unknown
    )
    return TokenCount(len(ids), limit, True, _distinct(words))


def _tokenizer_folder(card: ModelCard) -> Path | None:
    if card.is_local:
        return Path(card.source) / "tokenizer"
    found = cached_file(card.source, "tokenizer/spiece.model", card.revision)
    return found.parent if found else None


@cache
def _openai_bpe() -> Tokenizer:
    """Builds OpenAI's CLIP tokenizer, as `open_clip.tokenizer.SimpleTokenizer` builds it from the same file."""
    with gzip.open(_open_clip() / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")
    merges = [(left, right) for left, right in (line.split() for line in lines[1 : 49152 - 256 - 2 + 1])]
    letters = list(_byte_letters())
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), *(left + right for left, right in merges)]
    vocabulary += ["<start_of_text>", "<end_of_text>"]
    tokenizer = Tokenizer(
        models.BPE(
            {token: index for index, token in enumerate(vocabulary)},
            merges,
            end_of_word_suffix="</w>",
            continuing_subword_prefix="",
        )
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, normalized=True) for word in vocabulary[-2:]])
    start, end = len(vocabulary) - 2, len(vocabulary) - 1
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start_of_text> $A <end_of_text>",
        special_tokens=[("<start_of_text>", start), ("<end_of_text>", end)],
    )
    return tokenizer


def _byte_letters() -> list[str]:
    """Lists the letters that stand for the 256 bytes, in the order of OpenAI's vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
