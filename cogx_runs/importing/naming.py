"""Parameters from the names of files: by the layout that `export` writes, or by a pattern with named fields."""

import re
from collections.abc import Callable
from string import Formatter
from typing import get_args

from cogx_runs.definitions.parameters import OF_VIDEO, OLD_NAMES, Parameters
from cogx_runs.definitions.spec import ROLES, short_name
from cogx_runs.errors import InputError, did_you_mean
from cogx_runs.formatting import cut

PROMPT, ANYTHING = "prompt", "_"
"""Fields of a pattern that are no parameters: the prompt's name, and what is not read."""
_PATTERN = "--pattern"
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"

ReadName = Callable[[str], dict[str, str] | None]
"""Reads a file's name without its ending: the prompt's name as PROMPT, and values of parameters; None for a name that
does not match."""


def _is_number(name: str) -> bool:
    annotation = Parameters.model_fields[name].annotation
    return bool({int, float} & {annotation, *get_args(annotation)})


_SUFFIXES = {ROLES[name].suffix or short_name(name): name for name in OF_VIDEO if _is_number(name)}
_ONE_SUFFIX = rf"_({'|'.join(sorted(map(re.escape, _SUFFIXES), key=len, reverse=True))})({_NUMBER})"
_OLD_LAYOUT = re.compile(rf"(?P<prompt>.+?)(?P<suffixes>(?:{_ONE_SUFFIX})+)(?:_[0-9a-f]{{6}})?")


def read_old_layout(stem: str) -> dict[str, str] | None:
    """Reads `panda_guitar_gs6` as `export` writes it, also with the hash that tells equal names apart. A name without
    such a suffix is the prompt's; None where a suffix is there twice."""
    match = _OLD_LAYOUT.fullmatch(stem)
    if match is None:
        return {PROMPT: stem}
    found = [(_SUFFIXES[suffix], value) for suffix, value in re.findall(_ONE_SUFFIX, match["suffixes"])]
    values = dict(found)
    return {PROMPT: match["prompt"], **values} if len(values) == len(found) else None


def name_pattern(pattern: str) -> ReadName:
    """Compiles a pattern such as `{prompt}_gs{guidance_scale}`, with or without its `.mp4`; `{_}` stands for anything.

    Raises InputError where it has no valid fields.
    """
    parts = []
    fields: list[str] = []
    try:
        parsed = list(Formatter().parse(pattern.removesuffix(".mp4")))
    except ValueError as error:
        raise InputError.single(f"{_PATTERN} {cut(pattern)}", f"{error}; write fields as {{prompt}}") from error
    for literal, field, form, conversion in parsed:
        parts.append(re.escape(literal))
        if field is not None:
            parts.append(_expression(pattern, field, fields, bool(form or conversion)))
    if not fields:
        raise InputError.single(f"{_PATTERN} {cut(pattern)}", "names no field; write it as {prompt}_gs{guidance_scale}")
    expression = re.compile("".join(parts))

    def read(stem: str) -> dict[str, str] | None:
        match = expression.fullmatch(stem)
        return None if match is None else match.groupdict()

    return read


def _expression(pattern: str, field: str, fields: list[str], is_formatted: bool) -> str:
    """Writes the group of a field, and adds the field to `fields`. Raises InputError for one that is not valid."""
    where = f"{_PATTERN} {cut(pattern)}"
    if is_formatted:
        raise InputError.single(where, f"the field {field} has a format; write it as {{{field}}}")
    if field == ANYTHING:
        return ".*?"
    if field != PROMPT and field not in OF_VIDEO:
        near = repr(OLD_NAMES[field]) if field in OLD_NAMES else None
        meant = f"did you mean {near}?" if near else did_you_mean(field, (PROMPT, *OF_VIDEO))
        raise InputError.single(where, f"unknown field {field!r}; {meant}")
    if field in fields:
        raise InputError.single(where, f"names {field} twice; {{_}} stands for what is not read")
    fields.append(field)
    return f"(?P<{field}>{_NUMBER if field != PROMPT and _is_number(field) else '.+?'})"
