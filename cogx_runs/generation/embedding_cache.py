"""The folder that keeps embeddings of texts from run to run, and its limit."""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from cogx_runs.system.disk import cache_directory
from cogx_runs.system.hardware import GIB
from cogx_runs.system.whole_file import PART, remove_leftovers

LIMIT_BYTES = 2 * GIB
"""Some 1,100 texts of 2b or 5b, of 1.9 MB each."""


class EmbeddingCache:
    """Files of embeddings, shared by all processes of a user; above the limit those not used for longest go."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes

    @property
    def folder(self) -> Path:
        """Where the files are. Raises CogxError where the user's cache cannot be made."""
        return cache_directory() / "embeddings"

    def size_bytes(self) -> int:
        """Adds up the files of the folder."""
        return sum(found.st_size for _, found in self._files())

    def mark_used(self, path: Path) -> None:
        """Makes a file the last to go. The time of modification serves, since many disks do not note that of access."""
        with suppress(OSError):  # one that has just gone, or a folder that can only be read
            os.utime(path)

    def shrink(self, needed: Collection[Path]) -> None:
        """Removes the files not used for longest until the rest is within the limit; those `needed` stay whatever
        their size, and so does what another process is writing.

        Any process may do so at any time: who misses a file encodes its text again.
        """
        files = sorted(self._files(), key=lambda file: file[1].st_mtime_ns)
        size = sum(found.st_size for _, found in files)
        for path, found in files:
            if size <= self.limit_bytes:
                return
            if path in needed or path.suffix == PART:
                continue
            with suppress(OSError):
                path.unlink(missing_ok=True)
                size -= found.st_size

    def remove_leftovers(self) -> None:
        """Removes what processes that died have left half written."""
        remove_leftovers(self.folder)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        with suppress(FileNotFoundError):  # nothing has been kept yet
            for path in list(self.folder.iterdir()):
                with suppress(FileNotFoundError):  # another process has removed it
                    yield path, path.stat()
