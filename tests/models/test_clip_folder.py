"""Folders of CLIPs that are not what they should be, found while planning."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cogx_runs.errors import CogxError
from cogx_runs.models.clip_folder import check_clip_folder
from tests.support.advice import advice_on


@pytest.fixture
def clip(tiny_clip: Path, tmp_path: Path) -> Path:
    """A folder that a test may spoil."""
    return shutil.copytree(tiny_clip, tmp_path / "clip")


def spoil_config(content: object) -> Callable[[Path], None]:
    def spoil(clip: Path) -> None:
        (clip / "open_clip_config.json").write_text(json.dumps(content))

    return spoil


def cut_weights(clip: Path) -> None:
    os.truncate(clip / "open_clip_model.safetensors", 1000)


def pipe_in_place(clip: Path) -> None:
    (clip / "open_clip_config.json").unlink()
    os.mkfifo(clip / "open_clip_config.json")


def no_weights(clip: Path) -> None:
    (clip / "open_clip_model.safetensors").unlink()


def no_tokenizer(clip: Path) -> None:
    (clip / "tokenizer.json").write_text('{"version": "1.0", "trunc')


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (spoil_config([1]), "open_clip_config.json: holds no JSON object"),
        (
            spoil_config({"model_cfg": {"text_cfg": {"context_length": "77"}}}),
            "context_length: input should be a valid",
        ),
        (spoil_config({"model_cfg": []}), "open_clip_config.json: model_cfg: input should be an object"),
        (cut_weights, "open_clip_model.safetensors: is truncated within its header"),
        (pipe_in_place, "open_clip_config.json: is no regular file"),
        (no_weights, "has no open_clip_model.safetensors"),
        (no_tokenizer, "tokenizer.json: is no tokenizer that can be read"),
    ],
)
def test_a_damaged_clip_is_one_line_while_planning(clip: Path, damage: Callable[[Path], None], expected: str) -> None:
    check_clip_folder(clip)
    damage(clip)

    with pytest.raises(CogxError) as caught:
        advice_on(clip_model=str(clip))

    assert str(caught.value).startswith(f"exp.yaml:base.clip_model: {clip}")
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
