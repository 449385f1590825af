"""The errors that cogx-runs raises on purpose."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

MANY_NAMES = 30


class CogxError(Exception):
    """An error that the user can mend; the message is one clear line: what is wrong, where, and what to do instead."""


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


@dataclass(frozen=True)
class Mistake:
    """One mistake in the user's input."""

    where: str
    """`file:dotted.path`, or the flag of the command line."""
    message: str


class InputError(CogxError):
    """Invalid input, with all its mistakes at once."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(f"{mistake.where}: {mistake.message}" for mistake in self.mistakes))

    @classmethod
    def single(cls, where: str, message: str) -> "InputError":
        """Builds the error for one mistake."""
        return cls([Mistake(where, message)])


def did_you_mean(wrong: str, valid: Iterable[str]) -> str:
    """Suggests the nearest valid name, as `did you mean X?`, else lists the valid names."""
    names = sorted(valid)
    near = get_close_matches(wrong, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    if len(names) > MANY_NAMES:
        return f"none of the {len(names)} valid names is near"
    return f"valid: {', '.join(names)}" if names else "there are none"


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or the name of its type where the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
