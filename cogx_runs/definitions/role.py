"""The role of a parameter, declared once with it; every list of parameters is derived from the roles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any

from pydantic import BaseModel


class Changes(Enum):
    """The result that changes with the value."""

    PIXELS = auto()
    """The video; part of the signature."""
    WEIGHTS = auto()
    """The video, by the weights that the value names; in the signature as `model_revision`."""
    FILE = auto()
    """The mp4 of the same pixels; part of the output hash."""
    SCORE = auto()
    """The scores of the same pixels; part of the output hash."""
    COST = auto()
    """Time and memory alone; part of the signature where it is an axis, since each value is measured then."""
    OTHERS = auto()
    """The values of other parameters, which are recorded in its place."""
    NOTHING = auto()


class Reloads(Flag):
    """The parts that another value needs loaded again."""

    NOTHING = 0
    PIPELINE = auto()
    VAE = auto()


class Warms(Flag):
    """The parts that another value needs warmed up, or compiled, again."""

    NOTHING = 0
    STEP = auto()
    DECODING = auto()


class Logged(Enum):
    """The place of the value in a tracked run."""

    PARAM = auto()
    TEXT = auto()
    """An artifact and a tag: the value may be too long for a param."""
    ELSEWHERE = auto()
    """Within another field, or a separate tag."""


class Compared(Enum):
    """The comparison of runs that differ in the parameter."""

    ALONG = auto()
    NEVER = auto()
    AS_DRAWS = auto()
    """Compared as random draws: only their spread counts, no value is better."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """The effects of one parameter."""

    changes: Changes
    identified_by: Callable[[Any], object] | None = None
    """Reduction of the value to what the signature depends on; None for the value itself."""
    reloads: Reloads = Reloads.NOTHING
    warms: Warms = Warms.NOTHING
    costs: bool = False
    """Whether times of one value do not predict another's, so that they are learned separately.
    `planning/cost.py` has the formula for steps, frames and guidance."""
    acts_as: Callable[[Any], object] | None = None
    """Reduction of the value to what shapes, advice and warm-up depend on; None for the value itself."""
    logged: Logged = Logged.PARAM
    is_of_machine: bool = False
    """Whether it is certain only once the cell has run: a reused cell may come from another machine."""
    compared: Compared = Compared.ALONG
    stands_for: tuple[str, ...] = ()
    """The parameters whose values are recorded in its place; it is no axis."""
    is_approximate: bool = False
    """Whether other values than the default give nearly the same pixels, not the same bits."""
    is_signed_by_default: bool = True
    """Whether the default is part of the signature: not where it gives the bits that there were before the parameter
    existed, so that cells finished then stay finished."""
    mixes: bool = True
    """Whether metrics of runs with different values may be averaged."""
    is_shape: bool = False
    """Whether videos that differ in it cannot be compared frame by frame."""
    is_judged: bool = True
    """Whether the rules of advice depend on it."""
    is_distinguishing: bool = True
    """Whether tables name it where runs differ in it: not where prompt or model imply it, or it has no effect."""
    short: str = ""
    """Short name on the command line, in the names of runs and in tables; empty for the parameter's name."""
    suffix: str = ""
    """Name in exported files; empty for `short`."""
    is_stated: bool = False
    """Whether the command that reproduces a cell always states it, by the option of its short name."""
    usual: Any = None
    """Value of 2b, 5b and the toy where the default, null, leaves it to the model: that of a run without it, and the
    baseline of a comparison that names none."""
    asked: int = 4
    """Order of the parameter in reports: 0 first; equal numbers keep the fields' order."""


def roles_of(model: type[BaseModel]) -> dict[str, Role]:
    """Collects the role of each field, in order; a field that a subclass narrows keeps its declared role.

    Raises TypeError for a field without one.
    """
    found = {}
    bases = [base for base in model.__mro__ if issubclass(base, BaseModel)]
    for name in model.model_fields:
        declared = [base.model_fields[name] for base in bases if name in base.model_fields]
        role = next((one for field in declared for one in field.metadata if isinstance(one, Role)), None)
        if role is None:
            raise TypeError(f"{model.__name__}.{name} has no Role: annotate it where it is declared")
        found[name] = role
    return found


def names_where(roles: Mapping[str, Role], holds: Callable[[Role], object]) -> tuple[str, ...]:
    """Selects the parameters whose role satisfies `holds`, in the fields' order."""
    return tuple(name for name, role in roles.items() if holds(role))
