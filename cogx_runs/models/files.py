"""Files of a model folder, read within limits whatever stands in their place."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from cogx_runs.errors import CogxError
from cogx_runs.formatting import count

AGAIN = "copy or download it again"
MOST_BYTES = 64_000_000
"""Size of the largest file of a model folder that is read whole; T5's vocabulary has 2.4 MB."""
MOST_JSON_BYTES = 1_000_000
"""Size of the largest configuration; T5's tokenizer has one of 0.02 MB."""
_LONGEST_NAME = 60
_Model = TypeVar("_Model", bound=BaseModel)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a regular file for a block, and waits for nobody: a pipe without a writer would take for ever.

    Raises CogxError where it is missing, no regular file, or unreadable.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CogxError(f"{path}: is no regular file; {AGAIN}")
            yield file
    except FileNotFoundError as error:
        raise CogxError(f"{path}: is missing; name a complete model folder in diffusers' format") from error
    except OSError as error:
        raise CogxError(f"{path}: cannot be read ({error.strerror}); mend its permissions, or {AGAIN}") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Reads a file whole. Raises CogxError as `opened` does, and for one above `most_bytes`."""
    with opened(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise CogxError(f"{path}: is larger than {most_bytes // 10**6} MB, as no such file is; {AGAIN}")
    return content


def read_object(path: Path, model: type[_Model]) -> _Model:
    """Reads a JSON file into its model. Raises CogxError as `read_file` does, and naming what is wrong in it."""
    return validated(path, read_file(path, MOST_JSON_BYTES), model)


def validated(path: Path, content: bytes, model: type[_Model]) -> _Model:
    """Reads JSON that stands in the file `path`. Raises CogxError naming what is wrong in it."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise CogxError(f"{path}: {_fault(error)}; {AGAIN}") from error


def _fault(error: ValidationError) -> str:
    """Describes the first mistake as a clause, and counts the others; keys that are missing are listed."""
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    if missing := [_place(mistake["loc"]) for mistake in mistakes if mistake["type"] == "missing"]:
        return f"has no {', '.join(missing)}"
    first, *others = mistakes
    if first["type"] == "json_invalid":
        return f"is not valid JSON ({first['msg'].removeprefix('Invalid JSON: ')})"
    if first["type"] == "model_type" and not first["loc"]:
        return "holds no JSON object"
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {count(len(others), 'more mistake')})" if others else ""
    return (f"{_place(first['loc'])}: " if first["loc"] else "") + message[:1].lower() + message[1:] + more


def _place(location: tuple[Any, ...]) -> str:
    """Writes a dotted path; the keys come from the file, and may be of any length and any characters."""
    return ".".join(repr(str(part))[1:-1][:_LONGEST_NAME] for part in location)
