"""The user's files and texts: whether they are there, and what they hold, within limits and whatever their bytes."""

import re
from pathlib import Path

from cogx_runs.errors import CogxError

MOST_BYTES = 1_000_000
"""Size of the largest file or text that is read."""
_LONGEST_NAME = 255
_LONGEST_PATH = 2048
"""Bytes that a file system takes for a name, and half of those for a path, which is completed by a folder's."""
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
"""What no text holds: the character that ends one in C, and halves of a character, which have no UTF-8."""


def is_file(path: Path) -> bool:
    """Checks for a regular file; there is none of a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Checks for a folder; there is none of a name that no folder can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def list_folder(path: Path) -> list[Path]:
    """Lists what is in a folder, by name. Raises CogxError where it cannot be read."""
    try:
        return sorted(path.iterdir())
    except OSError as error:
        raise CogxError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error


def read_text(path: Path) -> str:
    """Reads a file of UTF-8, at most MOST_BYTES of it. Raises CogxError, which does not name the file."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CogxError(f"cannot be read ({reason}); mend its name or its permissions") from error
    if len(content) > MOST_BYTES:
        raise CogxError(f"is larger than {MOST_BYTES // 10**6} MB; make it smaller")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CogxError(f"not UTF-8 at byte {error.start}; save the file as UTF-8") from error


def fault_of_text(text: str) -> str | None:
    """Describes, as a clause, why a text cannot be kept or written into a file; None where it can."""
    if len(text) > MOST_BYTES or len(text.encode(errors="surrogatepass")) > MOST_BYTES:
        return f"is longer than {MOST_BYTES // 10**6} MB; make it shorter"
    found = _NO_TEXT.search(text)
    if found is None:
        return None
    if found[0] == "\x00":
        return "holds a NUL character; take it out"
    return f"is not UTF-8 at character {found.start() + 1}; write that character anew"


def fault_of_path(text: str) -> str | None:
    """Describes, as a clause, why a text can be the path of no file; None where it can."""
    if fault := fault_of_text(text):
        return fault
    if len(text.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in text.split("/")):
        return "is longer than a file's name can be"
    try:
        Path(text).expanduser()
    except RuntimeError:
        return f"names no user's folder: {text.partition('/')[0]}"
    return None
