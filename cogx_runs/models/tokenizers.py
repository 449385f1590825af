"""Tokenizers read from the files of a folder, each once for as long as its file stays as it is."""

from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from cogx_runs.errors import CogxError, first_line
from cogx_runs.models.files import AGAIN, opened, read_file


def tokenizer_of(path: Path) -> Tokenizer:
    """Reads a `tokenizer.json`, without its padding and truncation. Raises CogxError where it cannot be read."""
    return _tokenizer(path, _state(path))


def sentencepiece_of(path: Path) -> Any:
    """Reads a `spiece.model`. Raises CogxError where it cannot be read."""
    return _sentencepiece(path, _state(path))


def _state(path: Path) -> tuple[int, int]:
    with opened(path):
        found = path.stat()
    return found.st_size, found.st_mtime_ns


@cache
def _tokenizer(path: Path, _of: tuple[int, int]) -> Tokenizer:
    content = read_file(path)
    try:
        tokenizer = Tokenizer.from_buffer(content)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode("A panda, 7 years old.")
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic in tokenizers is no Exception
        raise CogxError(f"{path}: is no tokenizer that can be read ({first_line(error)}); {AGAIN}") from error
    return tokenizer


@cache
def _sentencepiece(path: Path, _of: tuple[int, int]) -> Any:
    import sentencepiece

    content = read_file(path)
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        processor.encode("A panda, 7 years old.")
    except Exception as error:
        raise CogxError(f"{path}: is no SentencePiece model that can be read ({first_line(error)}); {AGAIN}") from error
    return processor
