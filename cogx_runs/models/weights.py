"""Weights files of a model folder in diffusers' format: completeness, size and identity."""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from cogx_runs.errors import CogxError
from cogx_runs.system.disk import cache_directory


def weights_files(folder: Path) -> list[Path]:
    """Lists the safetensors files of a model folder."""
    return sorted(folder.rglob("*.safetensors"))


def parameter_count(folder: Path) -> int:
    """Counts the parameters of a model folder or of a component's, by the headers of its safetensors files."""
    count = 0
    for path in weights_files(folder):
        tensors = json.loads(_safetensors_header(path))
        count += sum(math.prod(entry["shape"]) for key, entry in tensors.items() if key != "__metadata__")
    return count


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object from a file of the folder. Raises CogxError where it is missing, unreadable or no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CogxError(f"{path}: is missing; name a complete model folder in diffusers' format") from error
    except OSError as error:
        raise CogxError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
    except ValueError as error:
        raise CogxError(f"{path}: is not valid JSON ({error}); copy or download it again") from error
    if not isinstance(content, dict):
        raise CogxError(f"{path}: holds no JSON object; copy or download it again")
    return content


def folder_revision(folder: Path) -> str:
    """Hashes the configs, safetensors headers, file sizes and modification times of a model folder.

    Raises CogxError where weights are missing, truncated or unreadable.
    """
    weights = weights_files(folder)
    for component in ("transformer", "vae", "text_encoder"):
        if not any(path.parent.name == component for path in weights):
            raise CogxError(f"{folder / component}: holds no .safetensors weights; copy or download it again")
    if not any((folder / "tokenizer" / name).is_file() for name in ("spiece.model", "tokenizer.json")):
        raise CogxError(f"{folder / 'tokenizer'}: holds no spiece.model or tokenizer.json; copy or download it again")
    for index in folder.rglob("*.safetensors.index.json"):
        for name in sorted(set(read_json(index).get("weight_map", {}).values())):
            if not (index.parent / name).is_file():
                raise CogxError(f"{index.parent / name}: is missing of the weights; copy or download it again")
    digest = hashlib.sha256()
    small = [path for path in folder.rglob("*") if path.suffix in {".json", ".model", ".txt"}]
    for path in sorted([*small, *weights]):
        try:
            content = _safetensors_header(path) if path.suffix == ".safetensors" else path.read_bytes()
            times = str(path.stat().st_mtime_ns).encode() if path.suffix == ".safetensors" else b""
        except OSError as error:
            raise CogxError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
        for part in (str(path.relative_to(folder)).encode(), str(path.stat().st_size).encode(), times, content):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]


def _safetensors_header(path: Path) -> bytes:
    """Reads the JSON header of a safetensors file. Raises CogxError where its size and header disagree."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 + length:
            raise CogxError(f"{path}: is truncated within its header; copy or download it again")
        header = file.read(length)
    try:
        tensors = json.loads(header)
        ends = [entry["data_offsets"][1] for key, entry in tensors.items() if key != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CogxError(f"{path}: is no safetensors file; copy or download it again") from error
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise CogxError(f"{path}: has {size:,} bytes instead of {expected:,}; copy or download it again")
    return header


def weights_sha256(folder: Path) -> str:
    """Computes the SHA-256 over all weights of a model folder, cached in the user's cache until the folder changes."""
    revision = folder_revision(folder)
    kept = cache_directory() / "weights_sha256" / hashlib.sha256(f"{folder}\n{revision}".encode()).hexdigest()
    if kept.is_file():
        return kept.read_text(encoding="ascii")
    digest = hashlib.sha256()
    for path in weights_files(folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(f".{os.getpid()}")
    temporary.write_text(digest.hexdigest(), encoding="ascii")
    temporary.replace(kept)
    return digest.hexdigest()
