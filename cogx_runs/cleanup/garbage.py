"""One thing that can be removed, and its removal."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from cogx_runs.errors import CogxError, first_line
from cogx_runs.system.disk import size_bytes
from cogx_runs.system.hardware import GIB


class Kind(StrEnum):
    """Why a thing can be removed."""

    DELETED = "deleted"
    """A run or an experiment that was deleted in MLflow."""
    ORPHANED = "orphaned"
    """Artifacts without a run."""
    PARTIAL = "partial"
    """A file that a process which is gone left half written."""
    TEMPORARY = "temporary"
    """A temporary folder of a process that is gone."""
    SPOOL = "spool"
    """What a process that is gone left in the spool, without anything whole."""


@dataclass(frozen=True)
class Garbage:
    """One thing that can be removed."""

    kind: Kind
    what: str
    """The run or experiment, else the path."""
    size_bytes: int
    """Size of its files on this machine's disks."""
    remove: Callable[[], None] = field(repr=False, compare=False)
    """Removes it."""
    is_removed: bool = False
    problem: str = ""
    """Why it could not be removed."""

    @property
    def size_gib(self) -> float:
        """Size in GiB."""
        return self.size_bytes / GIB

    def removed(self) -> "Garbage":
        """Removes it, and returns it with what came of that."""
        try:
            self.remove()
        except (OSError, CogxError) as error:
            return replace(self, problem=first_line(error))
        return replace(self, is_removed=True)

    def as_dict(self) -> dict[str, Any]:
        """Returns the object that `gc --json` prints."""
        return {
            "kind": self.kind,
            "what": self.what,
            "size_bytes": self.size_bytes,
            "removed": self.is_removed,
            "problem": self.problem or None,
        }


def of_path(kind: Kind, path: Path) -> Garbage:
    """Describes a file, or a folder with all that is in it."""
    return Garbage(kind, str(path), size_bytes(path), lambda: remove_path(path))


def remove_path(path: Path) -> None:
    """Removes a file, or a folder with all that is in it; of a link, the link. Raises OSError where it cannot."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
