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
from cogx_runs.generation.embedding_cache import EmbeddingCache
from cogx_runs.system.disk import cache_directory
from cogx_runs.system.whole_file import PART, is_being_written
from cogx_runs.tracking.liveness import abandoned_folders
from cogx_runs.tracking.spool import left_behind

_UNNAMED = re.compile(r"cogx-runs-[a-z0-9_]{8}")
"""Names of the temporary folders of versions that did not name the process in them."""
_LIBRARY = "libtorch"
"""The library that a process has loaded if it made one of those."""


UNSEEN_S = 3600.0
"""How long a process that cannot be seen from here, as in another container, may work without writing."""


def machine_garbage(unseen_s: float = UNSEEN_S) -> Iterator[Garbage]:
    """Finds what nobody alive uses; `unseen_s` is how long a process that cannot be seen may work without writing."""
    temporary = Path(tempfile.gettempdir())
    for folder in abandoned_folders(temporary):
        yield of_path(Kind.TEMPORARY, folder)
    begun = min(_oldest_start(), time.time() - unseen_s)
    for folder in sorted(temporary.glob("cogx-runs-*")):
        is_ours = _UNNAMED.fullmatch(folder.name) and folder.is_dir() and _is_own(folder) and not _is_study(folder)
        if is_ours and _newest(folder) < begun:
            yield of_path(Kind.TEMPORARY, folder)
    for file in _half_files(unseen_s):
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


def _is_study(folder: Path) -> bool:
    """Whether a folder is one in which a user works, by a name like that of a temporary one."""
    return (folder / "mlruns").exists() or any(folder.glob("*.db"))


def _newest(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _is_own(path: Path) -> bool:
    return path.lstat().st_uid == os.getuid()


def _half_files(unseen_s: float) -> Iterator[Path]:
    """Lists the files of the cache that were written aside, to be given their names when whole, and that nobody
    writes."""
    digests = cache_directory() / "weights_sha256"
    for folder in (EmbeddingCache().folder, digests):
        yield from (part for part in sorted(folder.glob(f"*{PART}")) if not is_being_written(part))
    for file in sorted(digests.glob("*.*")):  # of versions that did not lock them, with the number of the process
        if re.fullmatch(r"\.\d+", file.suffix) and time.time() - file.lstat().st_mtime > unseen_s:
            yield file
