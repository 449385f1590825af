"""Whether what a process has begun still has it: the process holds the lock of a file for as long as it is at it.

Where the folder of the locks is cleared while a holder lives, its file is gone, and it looks dead to others.
"""

import hashlib
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from cogx_runs.system.disk import cache_directory
from cogx_runs.tracking import tags

_MACHINE_ID = Path("/etc/machine-id")


class HeldLock:
    """A file that is locked while the block runs; the system unlocks it however the process ends."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self._path = _path(self.name)
        self._lock = FileLock(self._path)

    def __enter__(self) -> "HeldLock":
        self._lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        self._lock.release()

    @property
    def tags(self) -> dict[str, str]:
        """What names this lock, and for a reader the process, on what is claimed with it."""
        return {tags.PROCESS_HOST: host(), tags.PROCESS_ID: str(os.getpid()), tags.PROCESS_LOCK: self.name}


def is_alive(claimed: Mapping[str, str]) -> bool:
    """Tells whether the holder of a claim still has it, by the claim's tags; that of another host is taken to.

    What was claimed on this host without a lock is of an earlier version, and its process is taken to have ended.
    """
    if tags.PROCESS_LOCK not in claimed:
        return claimed.get(tags.PROCESS_HOST, "").split(" ")[0] != socket.gethostname()
    return not is_of_this_host(claimed) or is_held(claimed[tags.PROCESS_LOCK])


@contextmanager
def temporary_folder(directory: Path | None = None) -> Iterator[Path]:
    """Creates a folder of this process for as long as the block runs, in `directory` or the system's folder for
    temporary files; first removes those that processes left there which are gone."""
    directory = directory or Path(tempfile.gettempdir())
    remove_temporary_folders(directory)
    with HeldLock() as own:
        folder = directory / f"{_temporary()}{own.name}"
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_temporary_folders(directory: Path) -> None:
    """Removes the temporary folders of processes of this host that are gone."""
    for folder in abandoned_folders(directory):
        shutil.rmtree(folder, ignore_errors=True)


def abandoned_folders(directory: Path) -> list[Path]:
    """Lists the temporary folders of processes of this host that are gone."""
    folders = sorted(directory.glob(f"{_temporary()}*"))
    return [folder for folder in folders if not is_held(folder.name.removeprefix(_temporary()))]


def _temporary() -> str:
    """How the temporary folders are called whose holders can be judged here."""
    return f".cogx-runs-{host().split(' ')[1]}-"


def is_held(name: str) -> bool:
    """Tells whether the lock of this name is held, by a process that sees the same folder of locks."""
    return _is_held(_path(name))


def is_of_this_host(claimed: Mapping[str, str]) -> bool:
    """Tells whether a claim, by its tags, was made where this process can see whether the holder lives."""
    return claimed.get(tags.PROCESS_HOST) == host()


def host(machine_id: Path = _MACHINE_ID) -> str:
    """Names this host and the folder of its locks: only who sees the same files can judge who holds them.

    It is the same after the folder was cleared: what a process that died before had claimed is still judged.
    """
    machine = machine_id.read_bytes().strip() if machine_id.is_file() else b""
    identity = hashlib.sha256(machine + b"\0" + os.fsencode(_folder().resolve())).hexdigest()[:12]
    return f"{socket.gethostname()} {identity}"


def remove_leftovers() -> None:
    """Removes the files of this host's holders that died without doing so.

    In a home that several hosts share, not every file system shows the locks of the others.
    """
    for path in _folder().glob(f"*{_ending()}"):
        _is_held(path)


def _is_held(path: Path) -> bool:
    """Whether somebody holds the lock of a file; one that nobody holds is removed.

    Nobody locks such a file but its holder, at its making, and who asks here: a file that is not held stays so.
    """
    if not path.exists():
        return False
    try:
        with FileLock(path, blocking=False):
            path.unlink(missing_ok=True)
    except Timeout:
        return True
    except FileNotFoundError:  # its folder was cleared meanwhile
        return False
    return False


def _path(name: str) -> Path:
    return _folder() / f"{name}{_ending()}"


def _ending() -> str:
    """How the files of this host's holders end: by its name too, since nodes of a cluster may have one machine id."""
    return f".{hashlib.sha256(host().encode()).hexdigest()[:12]}.holder"


def _folder() -> Path:
    folder = cache_directory() / "locks"
    folder.mkdir(exist_ok=True)
    return folder
