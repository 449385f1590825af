"""Weights files of a model folder in diffusers' format: identity and hash."""

import hashlib
import re
from itertools import islice
from pathlib import Path

from cogx_runs.errors import CogxError
from cogx_runs.models.files import AGAIN, read_file
from cogx_runs.models.headers import read_header
from cogx_runs.system.disk import cache_directory
from cogx_runs.system.whole_file import remove_leftovers, written_whole

MOST_FILES = 10_000
"""Files of a model folder; the published ones have some 20."""
_KEPT = re.compile(r"[0-9a-f]{64}\n[0-9a-f]{64}")


def weights_files(folder: Path) -> list[Path]:
    """Lists the safetensors files of a model folder."""
    return sorted(path for path in _all(folder) if path.suffix == ".safetensors")


def folder_revision(folder: Path) -> str:
    """Hashes the configs, safetensors headers, file sizes and modification times of a model folder.

    Raises CogxError where weights are missing, truncated or unreadable.
    """
    weights = weights_files(folder)
    for component in ("transformer", "vae", "text_encoder"):
        if not any(path.parent.name == component for path in weights):
            raise CogxError(f"{folder / component}: holds no .safetensors weights; {AGAIN}")
    if not any((folder / "tokenizer" / name).is_file() for name in ("spiece.model", "tokenizer.json")):
        raise CogxError(f"{folder / 'tokenizer'}: holds no spiece.model or tokenizer.json; {AGAIN}")
    digest = hashlib.sha256()
    small = [path for path in _all(folder) if path.suffix in {".json", ".model", ".txt"}]
    for path in sorted([*small, *weights]):
        content = read_header(path).content if path.suffix == ".safetensors" else read_file(path)
        found = path.stat()
        times = str(found.st_mtime_ns).encode() if path.suffix == ".safetensors" else b""
        for part in (str(path.relative_to(folder)).encode(), str(found.st_size).encode(), times, content):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]


def _all(folder: Path) -> list[Path]:
    found = list(islice(folder.rglob("*"), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        raise CogxError(
            f"{folder}: holds more than {MOST_FILES:,} files, as no model does; name the model's own folder"
        )
    return found


def weights_sha256(folder: Path) -> str:
    """Computes the SHA-256 over all weights of a model folder, cached in the user's cache until the folder changes.

    What is kept carries a hash of its own; where that is wrong, the weights are read again.
    """
    revision = folder_revision(folder)
    key = hashlib.sha256(f"{folder}\n{revision}".encode()).hexdigest()
    kept = cache_directory() / "weights_sha256" / key
    known = _read_kept(kept, key)
    if known is not None:
        return known
    digest = hashlib.sha256()
    for path in weights_files(folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    kept.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(kept.parent)
    with written_whole(kept) as part:
        part.write_text(f"{digest.hexdigest()}\n{_check(digest.hexdigest(), key)}", encoding="ascii")
    return digest.hexdigest()


def _read_kept(path: Path, key: str) -> str | None:
    """Reads a kept hash; None where there is none, or one that is damaged."""
    try:
        content = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    digest, _, check = content.partition("\n")
    return digest if _KEPT.fullmatch(content) and check == _check(digest, key) else None


def _check(digest: str, key: str) -> str:
    return hashlib.sha256(f"{key}\n{digest}".encode()).hexdigest()
