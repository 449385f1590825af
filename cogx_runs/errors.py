"""The errors that cogx-runs raises on purpose. None of them shows a credential."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from cogx_runs.credentials import without_credentials

MANY_NAMES = 30
MOST_MISTAKES = 100
LONGEST_MESSAGE = 2000
"""Characters of a message."""
LONGEST_NAME = 100
"""Characters beyond which no name is near another: comparing texts takes the product of their lengths."""


class CogxError(Exception):
    """An error that the user can mend; the message is one clear line: what is wrong, where, and what to do instead."""

    def __init__(self, message: str) -> None:
        """Takes the message, of which what a long value makes longer than LONGEST_MESSAGE is left out."""
        told = without_credentials(message)
        super().__init__(told if len(told) <= LONGEST_MESSAGE else f"{told[:LONGEST_MESSAGE]}...")


class WeightsUnavailableError(CogxError):
    """Weights that are neither on this machine nor can be downloaded; work that does not need them can go on."""


class StoreError(CogxError):
    """What the tracking store refuses or fails at; the message names its address."""


class StoreUnavailableError(StoreError):
    """A tracking store that does not answer; the same call may succeed later."""


class DamagedArtifactError(StoreError):
    """An artifact that is not what was logged; the same can be made again from what is whole."""


class DegenerateError(CogxError):
    """A video that is noise, flat or not finite; `kind` and `reason` are written into the tags of its run."""

    def __init__(self, message: str, kind: str, reason: str) -> None:
        """Takes the kind, `noise`, `flat` or `nan`, and the reason: the quantity, its value and its threshold."""
        super().__init__(message)
        self.kind = kind
        self.reason = reason


class IncompleteExportError(CogxError):
    """An export of which all that is there is written; `written` are the files, `missing` says of each video that is
    not among them why."""

    def __init__(self, message: str, written: Sequence[Path], missing: Mapping[str, str]) -> None:
        """Takes the files written, and the reasons by the names of the files that are not."""
        super().__init__(message)
        self.written = tuple(written)
        self.missing = dict(missing)


class Place(str):
    """A place in the user's input, `file:dotted.path` as `--json` gives it, which may know its line."""

    line: int | None
    _file: str
    _path: str

    def __new__(cls, file: str, path: str = "", line: int | None = None) -> "Place":
        """Joins the file and the dotted path in it; `line` counts from 1."""
        place = super().__new__(cls, f"{file}:{path}" if path else file)
        place.line, place._file, place._path = line, file, path
        return place

    @property
    def shown(self) -> str:
        """`file:line: dotted.path`, as compilers write it and editors open it; as it is without a line."""
        if self.line is None:
            return str(self)
        return f"{self._file}:{self.line}" + (f": {self._path}" if self._path else "")


def shown_place(where: str) -> str:
    """Writes a place for a reader, with its line where it is known."""
    return where.shown if isinstance(where, Place) else where


@dataclass(frozen=True)
class Mistake:
    """One mistake in the user's input."""

    where: str
    """`file:dotted.path`, a `Place` where the line is known, or the flag of the command line."""
    message: str

    def __str__(self) -> str:
        return f"{shown_place(self.where)}: {self.message}"


class InputError(CogxError):
    """Invalid input, with all its mistakes at once, at most MOST_MISTAKES."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        found = tuple(replace(mistake, message=without_credentials(mistake.message)) for mistake in mistakes)
        if len(found) > MOST_MISTAKES:
            others = Mistake("(input)", f"only the first {MOST_MISTAKES} mistakes are listed; mend these first")
            found = (*found[:MOST_MISTAKES], others)
        self.mistakes = found
        Exception.__init__(self, "\n".join(map(str, self.mistakes)))  # a line each, none of them cut

    @classmethod
    def single(cls, where: str, message: str) -> "InputError":
        """Builds the error for one mistake."""
        return cls([Mistake(where, message)])


def did_you_mean(wrong: str, valid: Iterable[str]) -> str:
    """Suggests the nearest valid name, as `did you mean X?`, else lists the valid names."""
    names = sorted(valid)
    near = get_close_matches(wrong, names, n=1, cutoff=0.5) if len(wrong) <= LONGEST_NAME else []
    if near:
        return f"did you mean {near[0]!r}?"
    if len(names) > MANY_NAMES:
        return f"none of the {len(names)} valid names is near"
    return f"valid: {', '.join(names)}" if names else "there are none"


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the name of its type where that is empty. No credential."""
    return without_credentials((str(error).strip().splitlines() or [type(error).__name__])[0])
