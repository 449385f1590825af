"""Disk space and folders: checks free space before a cell, recognises a full disk, creates folders."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cogx_runs.errors import CogxError
from cogx_runs.formatting import cut
from cogx_runs.system.hardware import GIB

ANOTHER_CACHE = "set XDG_CACHE_HOME to a writable folder"
DISK_FULL = "no space left on the disk; free some and start again"
FREE_DISK_GIB = 0.25
"""Free space below which no further cell starts."""


def check_disk(*folders: Path) -> None:
    """Raises CogxError where too little is free on the disk of a folder, of the working one, or of those for temporary
    files, the cache and the spool."""
    own = (Path.cwd(), Path(tempfile.gettempdir()), cache_directory(), state_directory())
    disks = {place.stat().st_dev: place for place in map(_present, (*own, *folders))}
    for place in disks.values():
        free = shutil.disk_usage(place).free / GIB
        if free < FREE_DISK_GIB:
            raise CogxError(f"{free:.2f} GiB left on the disk of {place}; free some and start again")


def free_bytes(folder: Path) -> int:
    """Asks how many bytes are free on the disk of a folder, also of one that will be made."""
    return shutil.disk_usage(_present(folder)).free


def _present(folder: Path) -> Path:
    """Finds the nearest folder that is there: one that will be made is on the disk of its parent."""
    return next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path.cwd())


def is_disk_full(error: BaseException | None) -> bool:
    """Checks whether an error, or its cause, is that of a full disk: the system's, SQLite's or ffmpeg's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if any(text in str(error) for text in ("No space left on device", "database or disk is full")):
            return True
        error = error.__cause__ or error.__context__
    return False


def cache_directory() -> Path:
    """Finds, or creates, the user's folder for files that can be recreated. Raises CogxError where it cannot be
    created."""
    return _user_folder("XDG_CACHE_HOME", ".cache")


def keep_compiled_code(environment: MutableMapping[str, str] = os.environ) -> None:
    """Has what torch and FlashAttention 4 compile kept in the user's cache, as long as they are not imported yet;
    else a reboot clears it, or the end of the process. Places that the user has set stay. Raises CogxError as
    `cache_directory` does."""
    compiled = cache_directory() / "compiled"
    environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiled))
    environment.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED", "1")
    environment.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_DIR", str(compiled / "flash_attention"))


def state_directory() -> Path:
    """Finds, or creates, the user's folder for files that outlive a process and cannot be recreated. Raises CogxError
    where it cannot be created."""
    return _user_folder("XDG_STATE_HOME", ".local/state")


def _user_folder(variable: str, usual: str) -> Path:
    """The folder of this tool where an environment variable says, else at its usual place in the user's home."""
    folder = Path(os.environ.get(variable) or Path.home() / usual) / "cogx-runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CogxError(
            f"{folder}: cannot be created ({error.strerror}); set {variable} to a writable folder"
        ) from error
    return folder


def size_bytes(path: Path) -> int:
    """Sums up the sizes of a file, or of all files in a folder; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        return sum(size_bytes(inner) for inner in path.iterdir())
    return path.lstat().st_size if path.exists() or path.is_symlink() else 0


@contextmanager
def new_folder(directory: Path) -> Iterator[None]:
    """Creates the folder into which the block writes, and removes what is still empty of it where the block fails.

    Raises CogxError as `create_folder` does.
    """
    created = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        create_folder(directory)
        yield
    except BaseException:
        for path in created:
            with suppress(OSError):
                path.rmdir()
        raise


def create_folder(directory: Path) -> None:
    """Creates the folder into which a command writes. Raises CogxError where it cannot be created or written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise CogxError(f"{directory}: is a file; name a folder") from error
    except OSError as error:
        name = cut(str(directory))
        raise CogxError(f"{name}: cannot be created ({error.strerror}); name another folder") from error
    if not os.access(directory, os.W_OK):
        raise CogxError(f"{directory}: cannot be written; name another folder")
