"""Room on the disk: asked before a cell is begun, and told from other errors where it runs out."""

import errno
import shutil
from pathlib import Path

from cogx_runs.errors import CogxError
from cogx_runs.hardware import GIB

DISK_FULL = "no space left on the disk; free some and start again"
FREE_DISK_GIB = 0.25
"""Below this much free space no further cell is begun."""


def check_disk(folder: Path) -> None:
    """Raise CogxError where too little is free on the disk of a folder, or of the working one."""
    for place in (folder, Path.cwd()):
        free = shutil.disk_usage(place).free / GIB
        if free < FREE_DISK_GIB:
            raise CogxError(f"{free:.2f} GiB left on the disk of {place}; free some and start again")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that of a full disk: the system's, SQLite's or ffmpeg's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if any(text in str(error) for text in ("No space left on device", "database or disk is full")):
            return True
        error = error.__cause__ or error.__context__
    return False
