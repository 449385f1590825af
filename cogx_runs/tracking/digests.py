"""Sizes and SHA-256 of a run's artifacts, by which whatever is read back is checked."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Digest(NamedTuple):
    """What an artifact was when it was logged."""

    size_bytes: int
    sha256: str


Digests = Mapping[str, Digest]
"""Digests by the artifact's name, with its folder: `video.mp4`, `images/clip.webp`."""


def digest(file: Path) -> Digest:
    """Computes the digest of one file."""
    with file.open("rb") as opened:
        return Digest(file.stat().st_size, hashlib.file_digest(opened, "sha256").hexdigest())


def damage(file: Path, logged: Digest | None) -> str | None:
    """Tells what is wrong with a file, given what was logged; None where it is whole, or nothing is known of it."""
    if not file.is_file():
        return "gone"
    found = digest(file)
    if logged is None or found == logged:
        return None
    if found.size_bytes != logged.size_bytes:
        return f"damaged ({found.size_bytes} bytes, not {logged.size_bytes})"
    return f"damaged (SHA-256 {found.sha256[:12]}..., not {logged.sha256[:12]}...)"


def digests(folder: Path) -> dict[str, Digest]:
    """Computes the digests of all files below a folder that is logged as it is."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): digest(file) for file in files}


def write_digests(found: Digests) -> str:
    """Writes digests as the text of the tag `cogx.artifacts`."""
    return json.dumps(found, separators=(",", ":"))


def read_digests(text: str) -> dict[str, Digest]:
    """Reads the text of the tag `cogx.artifacts`; what is not of its form, as after an edit by hand, is left out."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {
        name: Digest(entry[0], entry[1])
        for name, entry in entries.items()
        if isinstance(entry, list) and len(entry) == 2 and type(entry[0]) is int and type(entry[1]) is str
    }
