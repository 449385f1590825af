"""What a parameter does, said once where it is declared; every list of parameters follows from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any

from pydantic import BaseModel


class Changes(Enum):
    """Names what another value makes another one of."""

    PIXELS = auto()
    """The video; part of the signature."""
    WEIGHTS = auto()
    """The video, by the weights that it names; `model_revision` stands for it in the signature."""
    FILE = auto()
    """The mp4 of the same pixels; part of the output hash."""
    SCORE = auto()
    """What is measured of the same pixels; part of the output hash."""
    NOTHING = auto()


class Reloads(Flag):
    """Names what must be loaded anew for another value."""

    NOTHING = 0
    PIPELINE = auto()
    VAE = auto()


class Warms(Flag):
    """Names what must be warmed up, or compiled, anew for another value."""

    NOTHING = 0
    STEP = auto()
    DECODING = auto()


class Logged(Enum):
    """Names where a run says it."""

    PARAM = auto()
    TEXT = auto()
    """In an artifact and a tag: it may be too long for a param."""
    ELSEWHERE = auto()
    """Within another field, or a tag of its own kind."""


class Compared(Enum):
    """Tells whether runs that differ in it are compared along it."""

    ALONG = auto()
    NEVER = auto()
    AS_DRAWS = auto()
    """Only how far they differ: each value is one draw, none is better."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """Says what one parameter does."""

    changes: Changes
    reloads: Reloads = Reloads.NOTHING
    warms: Warms = Warms.NOTHING
    costs: bool = False
    """Whether times of one value tell nothing about another's, so that they are learned apart. What time follows from
    by a formula (steps, frames, guidance) is in `planning/cost.py`."""
    acts_as: Callable[[Any], object] | None = None
    """What shapes, advice and warm-up see of the value; None for the value itself."""
    logged: Logged = Logged.PARAM
    is_of_machine: bool = False
    """Whether it is certain only once the cell is made: a reused one was made elsewhere."""
    compared: Compared = Compared.ALONG
    mixes: bool = True
    """Whether figures of different values may be averaged."""
    is_shape: bool = False
    """Whether videos that differ in it cannot be compared frame by frame."""
    is_judged: bool = True
    """Whether the rules of advice look at it."""
    tells_apart: bool = True
    """Whether tables name it where runs differ in it: not what the prompt or the model tells, or has no effect."""
    short: str = ""
    """Its name on the command line, in the names of runs and in tables; empty for its own."""
    suffix: str = ""
    """Its name in exported files; empty for `short`."""
    is_stated: bool = False
    """Whether the command that makes a cell again always says it, by the option of its short name."""
    asked: int = 4
    """How soon a reader of a report asks for it: 0 first; what is equal stays in the fields' order."""


def roles_of(model: type[BaseModel]) -> dict[str, Role]:
    """Finds the role of each field, in order; a field that a subclass narrows keeps the role that it was declared with.

    Raises TypeError for a field without one.
    """
    found = {}
    bases = [base for base in model.__mro__ if issubclass(base, BaseModel)]
    for name in model.model_fields:
        declared = [base.model_fields[name] for base in bases if name in base.model_fields]
        role = next((one for field in declared for one in field.metadata if isinstance(one, Role)), None)
        if role is None:
            raise TypeError(f"{model.__name__}.{name} has no Role: say what it changes where it is declared")
        found[name] = role
    return found


def names_where(roles: Mapping[str, Role], holds: Callable[[Role], object]) -> tuple[str, ...]:
    """Lists the names of those whose role is so, in the fields' order."""
    return tuple(name for name, role in roles.items() if holds(role))
