"""The folder of a CLIP in open_clip's format: what a plan reads of it."""

from pathlib import Path

from cogx_runs.errors import CogxError
from cogx_runs.models.configs import ClipConfig, ClipTextConfig
from cogx_runs.models.files import read_object
from cogx_runs.models.headers import read_header
from cogx_runs.models.tokenizers import tokenizer_of

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
_ENDINGS = {".safetensors", ".bin", ".pth", ".pt"}
"""Of the weights that open_clip loads, under any name where that one is not there."""


def check_clip_folder(folder: Path) -> None:
    """Raises CogxError naming what open_clip cannot load of a folder, as far as that is known without loading it."""
    if not (folder / CONFIG).exists():
        raise CogxError(f"{folder}: has no {CONFIG}; name a folder of open_clip's")
    clip_text_config(folder / CONFIG)
    weights = [path for path in folder.iterdir() if path.suffix in _ENDINGS]
    if not weights:
        raise CogxError(f"{folder}: has no {WEIGHTS}; name a folder of open_clip's")
    for path in weights:
        if path.suffix == ".safetensors":
            read_header(path)
    if (folder / "tokenizer.json").exists():
        tokenizer_of(folder / "tokenizer.json")


def clip_text_config(path: Path) -> ClipTextConfig:
    """Reads what a CLIP's configuration says of texts. Raises CogxError where it cannot be read."""
    return read_object(path, ClipConfig).text
