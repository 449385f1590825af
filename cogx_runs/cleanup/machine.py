"""What processes that are gone left on this machine: temporary folders, half files, entries of the spool."""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from cogx_runs.cleanup.garbage import Garbage, Kind, of_path
from cogx_runs.generation.embedding_cache import ABANDONED_S, PART, EmbeddingCache
from cogx_runs.system.disk import cache_directory
from cogx_runs.tracking.liveness import abandoned_folders
from cogx_runs.tracking.spool import left_behind

_UNNAMED = "cogx-runs-*"
"""Temporary folders of versions that did not name the process in them."""
_LIBRARY = "libtorch"
"""The library that a process has loaded if it made one of those."""


def machine_garbage(unseen_s: float = ABANDONED_S) -> Iterator[Garbage]:
    """Finds what nobody alive uses. A process that cannot be seen from here, as in another container, is taken to work
    for at most `unseen_s` without writing."""
    temporary = Path(tempfile.gettempdir())
    for folder in abandoned_folders(temporary):
        yield of_path(Kind.TEMPORARY, folder)
    begun = min(_oldest_start(), time.time() - unseen_s)
    for folder in sorted(temporary.glob(_UNNAMED)):
        if folder.is_dir() and _is_own(folder) and _newest(folder) < begun:
            yield of_path(Kind.TEMPORARY, folder)
    for file in _half_files():
        if time.time() - file.lstat().st_mtime > unseen_s:
            yield of_path(Kind.PARTIAL, file)
    for run in left_behind():
        if not run.is_dear:
            yield of_path(Kind.SPOOL, run.folder)


def _oldest_start() -> float:
    """Finds when the oldest living process of this user was started that may have made an unnamed folder, in s since
    1970: a folder from before is nobody's."""
    starts = [time.time()]
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.uids().real == os.getuid() and _has_library(process):
                starts.append(process.create_time())
    return min(starts)


def _has_library(process: psutil.Process) -> bool:
    """Whether a process has torch loaded; one of which that cannot be told is taken to."""
    try:
        return any(_LIBRARY in loaded.path for loaded in process.memory_maps())
    except psutil.AccessDenied:
        return True


def _newest(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _is_own(path: Path) -> bool:
    return path.lstat().st_uid == os.getuid()


def _half_files() -> Iterator[Path]:
    """Lists the files of the cache that were written aside, to be given their names when whole."""
    yield from sorted(EmbeddingCache().folder.glob(f"*{PART}"))
    for file in sorted((cache_directory() / "weights_sha256").glob("*.*")):
        if re.fullmatch(r"\.\d+", file.suffix):  # the number of its process
            yield file
