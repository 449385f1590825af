"""The errors that cogx-runs raises on purpose."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

MANY_NAMES = 30


class CogxError(Exception):
    """Something the user can mend; the message is one clear line: what, where, what instead."""


class WeightsUnavailableError(CogxError):
    """Weights that are neither on this machine nor to be fetched now; what does not need them can go on."""


class DegenerateError(CogxError):
    """A video that is noise, flat or not finite; the run is tagged with what it is."""

    def __init__(self, message: str, kind: str, reason: str) -> None:
        """`kind` is `noise`, `flat` or `nan`; `reason` names the quantity, its value and threshold."""
        super().__init__(message)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in what the user gave."""

    where: str
    """`file:dotted.path`, or the flag of the command line."""
    message: str


class InputError(CogxError):
    """Bad input, every mistake of it at once."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(f"{mistake.where}: {mistake.message}" for mistake in self.mistakes))

    @classmethod
    def single(cls, where: str, message: str) -> "InputError":
        return cls([Mistake(where, message)])


def did_you_mean(wrong: str, valid: Iterable[str]) -> str:
    """`did you mean X?` for the nearest valid name, else what names there are."""
    names = sorted(valid)
    near = get_close_matches(wrong, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    if len(names) > MANY_NAMES:
        return f"none of the {len(names)} valid names is near"
    return f"valid: {', '.join(names)}" if names else "there are none"


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
