"""Pydantic's errors as mistakes in the user's words: place, what is wrong, what to write instead."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cogx_runs.definitions.document import Node
from cogx_runs.definitions.parameters import OLD_NAMES, SWEPT, Parameters
from cogx_runs.definitions.ranges import Range
from cogx_runs.definitions.scalars import must_be_text
from cogx_runs.definitions.templates import Template
from cogx_runs.errors import MOST_MISTAKES, Mistake, Place, did_you_mean
from cogx_runs.formatting import shortened

A_LIST, A_RANGE = "a list of values", "a range"
ALL, ENTRIES = "the word all", "a list of entries"
A_NAME, A_TEMPLATE = "a name", "a template"
_TYPES = {A_LIST, A_RANGE, ALL, ENTRIES, A_NAME, A_TEMPLATE}
"""The types of a value between which its own type chooses; pydantic puts them into its paths."""

HOW_TO_ADD = "one is added as a file prompts/NAME.txt whose NAME is listed there, or as {name: NAME, text: ...}"


class Source(Protocol):
    """Where values come from: a `Document`, or what was given in Python or on the command line."""

    def at(self, path: str) -> Place:
        """Returns the place of a dotted path."""

    def find(self, path: str) -> Node | None:
        """Finds the value at a dotted path as it is written; None where that is not known."""


class Given:
    """Values that are no file's."""

    def __init__(self, name: str) -> None:
        """Takes the name that stands for a file in places."""
        self._name = name

    def at(self, path: str) -> Place:
        """Returns the place of a dotted path."""
        return Place(self._name, path)

    def find(self, path: str) -> Node | None:  # noqa: ARG002 (the signature is that of a source)
        """Returns None: values that are given are not written anywhere."""
        return None


def mistakes_of(
    error: ValidationError, source: Source, models: Mapping[str, type[BaseModel]], prefix: str = ""
) -> list[Mistake]:
    """Converts a pydantic error: one mistake a place, with the nearest valid name for an unknown key.

    `models` are those of the dotted paths with keys, the whole at the empty path; `prefix` leads to what was checked.
    """
    found: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=False)[: MOST_MISTAKES + 1]:
        parts = [str(part) for part in detail["loc"] if part not in _TYPES]
        dotted = ".".join([prefix, *parts] if prefix else parts)
        if detail["type"] == "extra_forbidden":
            parent = ".".join(parts[:-1])
            inner = next((model for start, model in _INNER.items() if parent.startswith(start)), models[""])
            known = models.get(parent) or inner
            message = f"unknown key; {nearest_key(parts[-1], known)}"
        else:
            message = clause(detail, source.find(dotted))
        found.setdefault(dotted, message)
    return [Mistake(source.at(dotted), message) for dotted, message in found.items()]


_INNER: dict[str, type[BaseModel]] = {"axes.": Range, "prompts.": Template}
"""Models of mappings in lists and below names, by the beginning of their paths."""


def nearest_key(name: str, model: type[BaseModel]) -> str:
    """Suggests the key of `model` that was meant, also by a parameter's short name."""
    if model is Parameters and name in OLD_NAMES:
        return f"did you mean {OLD_NAMES[name]!r}?"
    return did_you_mean(name, model.model_fields)


def nearest_axis(name: str) -> str:
    """Suggests the parameter that was meant as an axis; of prompts says how one is added."""
    if name in {"prompt", "prompts", "text"}:
        return f"every prompt of `prompts` is compared anyway; {HOW_TO_ADD}"
    return f"did you mean {OLD_NAMES[name]!r}?" if name in OLD_NAMES else did_you_mean(name, SWEPT)


def clause(detail: ErrorDetails, node: Node | None) -> str:
    """Describes one of pydantic's errors as a clause; `node` is the value as it is written, where that is known."""
    kind, message, value = detail["type"], detail["msg"], detail["input"]
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        return "must be letters, digits, '.', '_' and '-', beginning with a letter or digit"
    if kind == "string_type" and not isinstance(value, list | dict):
        return must_be_text(value, str(value) if node is None else node.written)
    if kind == "bool_type":
        return f"must be true or false (got {shortened(value)})"
    if kind in {"list_type", "tuple_type"}:
        return f"must be a list: write [{shortened(value)}]"
    if kind == "too_short" and not value:
        return "is empty: name at least one value"
    if kind == "model_type" or kind == "dict_type":
        return f"must be keys with values (got {shortened(value)})"
    if kind.startswith("int_"):
        return f"must be a whole number{_unquoted(value)} (got {shortened(value)})"
    if kind.startswith("float_"):
        return f"must be a number{_unquoted(value)} (got {shortened(value)})"
    return f"{message} (got {shortened(value)})"


def _unquoted(value: object) -> str:
    """Adds, as a clause, that a number stands in quotes."""
    return ", without quotes" if isinstance(value, str) and value.replace(".", "", 1).isdecimal() else ""
