"""Formats of values, numbers, counts, signs, GiB and seconds, the same in all output."""

import math
import re
from reprlib import Repr
from typing import Any

MINUS = "−"
LONGEST_VALUE = 300
"""Characters of a value of the user's that a message shows."""
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Characters that act on a terminal or hide in it: controls but tab and line feed, those that turn the direction of
writing, and halves of a character."""


def printable(text: str) -> str:
    """Writes what a terminal would obey, not show, as JSON escapes it: `\\u001b` for the escape character."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class _Shortened(Repr):
    """Writes a value in the space that a message has for it."""

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002 (the signature is Repr's)
        # Python refuses to write a very large number out, so that its digits are counted otherwise.
        digits = math.floor(x.bit_length() * math.log10(2)) + 1
        return str(x) if digits < self.maxlong else f"a number of {digits:,} digits"


_SHORTENED = _Shortened()
_SHORTENED.maxstring = _SHORTENED.maxother = 100
_SHORTENED.maxlong = 40
_SHORTENED.maxlevel = 3


def shortened(value: Any) -> str:
    """Writes a value of the user's as a message shows it: as Python does, in at most LONGEST_VALUE characters."""
    return cut(_SHORTENED.repr(value))


def cut(text: str) -> str:
    """Cuts a text of the user's to the LONGEST_VALUE characters that a message has room for."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def write_value(value: Any) -> str:
    """Writes a parameter's value as a reader does: `6` for 6.0, `on` for True, `(empty)` for no text."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value) or "(empty)"


def write_exact(number: float | str) -> str:
    """Writes a number, or a text of one, with all its digits and no more: `6` for 6.0, `0.1`, `9223372036854775807`."""
    return str(number).removesuffix(".0")


def count(number: int, noun: str) -> str:
    """Writes a number of things: `1 prompt`, `2 prompts`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def signed(value: float, digits: str = "#.3g") -> str:
    """Writes a number with its sign, to three significant digits or in the format `digits`."""
    return f"{value:+{digits}}".replace("-", MINUS)


def fixed(value: float, digits: int, *, plus: bool = False) -> str:
    """Writes a number with `digits` decimals: `1,234.5`, `−0.4`. A number that rounds to zero has no sign; one above
    zero has a sign with `plus`."""
    text = f"{abs(value):,.{digits}f}"
    is_zero = not any(digit in text for digit in "123456789")
    return ("" if is_zero else MINUS if value < 0 else "+" if plus else "") + text


def gib_needed(gib: float) -> str:
    """Writes the memory that is needed in GiB, rounded up."""
    return f"{math.ceil(gib * 10) / 10:.1f}"


def gib_available(gib: float) -> str:
    """Writes the memory that is available in GiB, rounded down, so that what does not fit never looks as if it did."""
    return f"{max(0, math.floor(gib * 10) / 10):.1f}"


def whole_seconds(seconds: float) -> str:
    """Writes seconds without a fraction: `1,234`."""
    return f"{seconds:,.0f}"


def round_seconds(seconds: float) -> float:
    """Rounds to two significant digits."""
    return float(f"{seconds:.1e}")


def write_rough_duration(seconds: float) -> str:
    """Writes a rough time in one unit: `40 s`, `25 min`, `3 h`."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{round_seconds(seconds / length):g} {unit}"
    return f"{round_seconds(seconds):g} s"


def write_duration(seconds: float) -> str:
    """Writes a time in two units: `40 s`, `3 min 05 s`, `2 h 10 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
