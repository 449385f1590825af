"""Sweep files of a test, and the mistakes in them."""

from pathlib import Path

import pytest

from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import InputError, Mistake


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def mistakes_in(*files: Path | str, **overrides: object) -> tuple[Mistake, ...]:
    with pytest.raises(InputError) as caught:
        load_sweeps(files, overrides)
    return caught.value.mistakes
