"""Values as they are written, by the core schema of YAML 1.2, in sweep files and on the command line alike."""

import re

from cogx_runs.definitions.limits import LONGEST_NUMBER
from cogx_runs.formatting import cut

Scalar = str | int | float | bool | None
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_WHOLE = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = {"0o": 8, "0x": 16}


def read_scalar(written: str) -> Scalar:
    """Reads a plain value: `null`, `true`, a whole number such as 7, 007 (which is 7), 0o17 or 0xff, a number such as
    1e1, and any other text as itself; so `on`, `no` and `1:30` are texts.

    Raises ValueError for a number of more than LONGEST_NUMBER characters.
    """
    if written in _WORDS:
        return _WORDS[written]
    is_whole = _WHOLE.fullmatch(written)
    if not is_whole and not _NUMBER.fullmatch(written):
        return written
    if len(written) > LONGEST_NUMBER:
        raise ValueError(f"is a number of {len(written):,} characters, and {LONGEST_NUMBER} are the most")
    if is_whole:
        return int(written, _BASES.get(written[:2], 10))
    return float(written)


def must_be_text(value: Scalar, written: str) -> str:
    """Describes, as a clause, what to do about a value that is read as something else where a text is expected."""
    if value is None:
        return "must be a text, not null"
    kind = "true or false" if isinstance(value, bool) else "a number"
    return f"must be a text, and {cut(written)} is {kind}; write '{cut(written)}', in quotes"
