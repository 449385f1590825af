"""Templates of prompts: a text with choices and variables, of which each combination is a named prompt."""

import itertools
import math
import re
from typing import Annotated, Any

from pydantic import Field, PlainValidator, model_validator

from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.limits import LONGEST_KEY, MOST_CELLS, MOST_VARIABLES
from cogx_runs.definitions.prompts import Prompt, PromptSet, marked, name_of
from cogx_runs.definitions.texts import Text
from cogx_runs.definitions.variables import TEMPLATE, fault_of_name, read_value
from cogx_runs.errors import did_you_mean
from cogx_runs.formatting import shortened
from cogx_runs.system.files import fault_of_path

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
"""A brace that is written, twice, and a field: the name of a variable, or a choice `a|b`."""
_STRAY = re.compile(r"[{}]")
EMPTY = "none"
"""Value of an empty choice in columns and names."""


def fault_of_prompt_name(name: str) -> str | None:
    """Describes, as a clause, why a text cannot name a prompt, and so an exported file; None where it can."""
    if not name.strip():
        return "is an empty name"
    if "/" in name or len(name) > LONGEST_KEY:
        return f"is no name of a prompt: no `/` is in it, and {LONGEST_KEY} characters at most (got {shortened(name)})"
    return fault_of_path(name)


def _prompt_name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text (got {shortened(value)})")
    if fault := fault_of_prompt_name(value):
        raise ValueError(fault)
    return value


def _values(value: Any) -> tuple[str, ...] | str:
    """Reads the values of a variable: those that it takes in turn, or the one that it has."""
    if not isinstance(value, list):
        return read_value(value)
    found = tuple(map(read_value, value))
    if not found:
        raise ValueError("needs a value")
    return found


_Value = str | int | float
_Values = Annotated[
    tuple[str, ...] | str,
    PlainValidator(_values, json_schema_input_type=_Value | Annotated[list[_Value], Field(min_length=1)]),
]


class Template(Frozen):
    """A text of which prompts are made: `{a|b}` is a choice, `{colour}` a variable, `{{` a brace."""

    name: Annotated[str, PlainValidator(_prompt_name, json_schema_input_type=str)] | None = None
    """Begins the names of its prompts; None is made of the text."""
    text: Text
    variables: dict[str, _Values] = Field(default_factory=dict)
    """A list of values for a variable of the text; a single one for what is a column alone, or in the text, too."""

    @model_validator(mode="after")
    def _fields_have_values(self) -> "Template":
        for name in self.variables:
            if fault := fault_of_name(name):
                raise ValueError(f"variable {shortened(name)} {fault}")
        _, in_text, _ = _parsed(self.text)
        for name, values in self.variables.items():
            if name == TEMPLATE:
                raise ValueError(f"variable `{TEMPLATE}` is the template's own name; set `name`")
            if not isinstance(values, str) and name not in in_text:
                raise ValueError(f"variable `{name}` has several values and is not in the text; write {{{name}}} there")
        for name, choices in in_text.items():
            if not choices and name not in self.variables:
                near = did_you_mean(name, self.variables) if self.variables else f"write {name}: [A, B] there"
                raise ValueError(f"no variable {shortened(name)} under `variables`; {near}; a choice is {{a|b}}")
            if choices and name in self.variables:
                raise ValueError(f"`{name}` is the name of a choice of the text; give the variable another one")
        taken = self._taken()
        if len(taken) > MOST_VARIABLES:
            raise ValueError(f"has more than {MOST_VARIABLES} choices and variables")
        for name, values in taken.items():
            if len(set(values)) < len(values):
                twice = next(value for value in values if values.count(value) > 1)
                raise ValueError(f"`{name}` has {shortened(twice)} more than once")
        if math.prod(map(len, taken.values())) > MOST_CELLS:
            raise ValueError(f"makes more than {MOST_CELLS:,} prompts; take fewer values")
        return self

    def prompts(self, where: str) -> PromptSet:
        """Makes a prompt of each combination of values, the last one changing fastest. `where` names their source."""
        literals, _, used = _parsed(self.text)
        name = self.name or name_of(" ".join(literals))
        taken = self._taken()
        made: dict[str, Prompt] = {}
        for values in itertools.product(*taken.values()):
            chosen = dict(zip(taken, values, strict=True))
            written = [text for pair in zip(literals, [*map(chosen.get, used), ""], strict=True) for text in pair]
            text = " ".join("".join(map(str, written)).split())
            shown = {key: value or EMPTY for key, value in chosen.items()}
            full = "_".join([name, *(name_of(value) for key, value in shown.items() if len(taken[key]) > 1)])
            if full in made or len(full) > LONGEST_KEY:
                full = marked(full[: LONGEST_KEY - 7], text)
            made[full] = Prompt(full, text, where, ((TEMPLATE, name), *shown.items()) if shown else ())
        return tuple(made.values())

    def _taken(self) -> dict[str, tuple[str, ...]]:
        """Lists the values of each variable, those of the text first, in its order."""
        named = {name: (values,) if isinstance(values, str) else values for name, values in self.variables.items()}
        _, in_text, _ = _parsed(self.text)
        return {name: choices or named[name] for name, choices in in_text.items()} | named


def _parsed(text: str) -> tuple[list[str], dict[str, tuple[str, ...]], list[str]]:
    """Splits a text into what stands before, between and behind its fields, and the variables of the fields.

    Returns the literal parts, the values of each variable, none for one that is named, and the fields' variables in
    order. The first choice is the variable `choice_1`, the next one `choice_2`. Raises ValueError for a stray brace.
    """
    literals, variables, used = [""], dict[str, tuple[str, ...]](), list[str]()
    end = 0
    for match in _FIELD.finditer(text):
        literals[-1] += _literal(text[end : match.start()])
        end = match.end()
        if match[1] is None:
            literals[-1] += match[0][0]
            continue
        is_choice = "|" in match[1]
        name = f"choice_{1 + sum(map(bool, variables.values()))}" if is_choice else match[1].strip()
        variables[name] = tuple(map(read_value, match[1].split("|"))) if is_choice else ()
        used.append(name)
        literals.append("")
    literals[-1] += _literal(text[end:])
    return literals, variables, used


def _literal(text: str) -> str:
    if stray := _STRAY.search(text):
        raise ValueError(
            f"`text` has a {stray[0]} without its other, or one in another; write {stray[0] * 2} for itself"
        )
    return text
