"""Files that are written whole or not at all: beside their place, then moved there.

A file that is being written is locked by its writer, and the system unlocks it however that process ends: so what the
dead have left is known from what the living write.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part"
"""The suffix of a file that is being written."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a block a file to write, and moves it to `path` at the block's end; nothing stays where that fails."""
    part, handle = _new_part(path.parent)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        os.close(handle)


def write_whole(path: Path, text: str) -> None:
    """Writes a text so that whoever reads it, after a power cut too, finds all of it or the one before."""
    with written_whole(path) as part, part.open("w", encoding="utf-8") as writing:
        writing.write(text)
        writing.flush()
        os.fsync(writing.fileno())


def remove_leftovers(folder: Path) -> int:
    """Removes the files that dead processes left half written, and returns their number."""
    removed = 0
    for part in folder.glob(f"*{PART}"):
        if not is_being_written(part):
            with suppress(OSError):
                part.unlink()
                removed += 1
    return removed


def is_being_written(part: Path) -> bool:
    """Checks whether the writer of a file lives; one that has just gone has none, one that cannot be asked does."""
    try:
        handle = os.open(part, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _new_part(folder: Path) -> tuple[Path, int]:
    """Makes an empty file and locks it, again where another process took it for a leftover in between."""
    while True:
        handle, name = tempfile.mkstemp(dir=folder, suffix=PART)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return Path(name), handle
        os.close(handle)
