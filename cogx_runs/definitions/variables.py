"""Variables of prompts: their names, their values, and the params of a run that keep them."""

import re
from typing import Any

from cogx_runs.definitions.limits import LONGEST_VALUE
from cogx_runs.definitions.parameters import OLD_NAMES, Parameters
from cogx_runs.formatting import cut, shortened
from cogx_runs.system.files import fault_of_text

TEMPLATE = "template"
"""The variable that names what prompts have in common: those with the same one are compared along all others."""
_PARAM = "prompt."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")


def variable_param(name: str) -> str:
    """Names the param of a run that keeps a variable, which is the variable's name as an axis: `prompt.colour`."""
    return f"{_PARAM}{name}"


def is_variable(param: str) -> bool:
    """Checks whether a param keeps a variable of the prompt."""
    return param.startswith(_PARAM)


def variable_name(param: str) -> str:
    """Returns the name of the variable that a param keeps; any other param's own name."""
    return param.removeprefix(_PARAM)


TEMPLATE_PARAM = variable_param(TEMPLATE)


def fault_of_name(name: str) -> str | None:
    """Describes, as a clause, why a text cannot be the name of a variable; None where it can."""
    if name in Parameters.model_fields or name in OLD_NAMES:
        return "is a parameter, and no variable of a prompt; vary it under `axes`, or use another name"
    if _NAME.fullmatch(name) is None:
        near = re.sub(r"\W+", "_", name.strip().lower(), flags=re.ASCII).strip("_")[:50]
        instead = f", such as {near}" if _NAME.fullmatch(near) else ""
        return f"is no name of a variable: letters, digits and _ are, 50 at most, beginning with a letter{instead}"
    return None


def read_value(value: Any) -> str:
    """Reads a variable's value, a text or a number, as a text, white space folded. Raises ValueError for any other
    value, and one that is too long for a column."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be a text or a number (got {shortened(value)})")
    text = " ".join((value if isinstance(value, str) else str(value)).split())
    if fault := fault_of_text(text):
        raise ValueError(fault)
    if len(text) > LONGEST_VALUE:
        raise ValueError(f"is longer than the {LONGEST_VALUE} characters of a column: {cut(text)}")
    return text
