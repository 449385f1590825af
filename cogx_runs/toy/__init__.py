"""Ships a small trained CogVideoX and CLIP that run the whole study on a CPU.

Import the folders of both and their revision from here. `train`, which made them, is imported by nothing.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from cogx_runs.errors import CogxError

WEIGHTS_DIR = Path(__file__).parent / "weights"


def pipeline_dir() -> Path:
    """Finds the folder that `CogVideoXPipeline.from_pretrained` loads; its hashes are checked first.

    Raises `CogxError` when a file is missing or altered.
    """
    check_weights(WEIGHTS_DIR)
    return WEIGHTS_DIR / "cogvideox"


def clip_dir() -> Path:
    """Finds the folder that open_clip loads as `local-dir:`; its hashes are checked first.

    Raises `CogxError` when a file is missing or altered.
    """
    check_weights(WEIGHTS_DIR)
    return WEIGHTS_DIR / "clip"


def lora_file() -> Path:
    """Finds the LoRA of the toy that is shipped; what reads it identifies it by its content.

    It is not in the manifest, whose hash is the toy's revision.
    """
    return WEIGHTS_DIR / "lora" / "night.safetensors"


def revision() -> str:
    """Identifies the weights, the same wherever they are installed, by a hash of their hashes."""
    return hashlib.sha256((WEIGHTS_DIR / "MANIFEST.json").read_bytes()).hexdigest()[:16]


@cache
def check_weights(folder: Path) -> None:
    """Compares the files of `folder` with its `MANIFEST.json`, once a process.

    Raises `CogxError` naming the first file that is missing or altered.
    """
    remedy = "install cogx-runs again or restore it from git"
    manifest = folder / "MANIFEST.json"
    try:
        entries = json.loads(manifest.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CogxError(f"toy weights: cannot read {manifest}; {remedy}") from error
    for name, entry in entries.items():
        path = folder / name
        if not path.is_file():
            raise CogxError(f"toy weights: {path} is missing; {remedy}")
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            raise CogxError(f"toy weights: {path} is not as shipped; {remedy}")
