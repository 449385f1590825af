"""One way to write each kind of value: a parameter's, a number, a count, a sign, GiB, seconds."""

import math
from typing import Any

MINUS = "−"


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
    """Writes a number with its sign, to three significant digits or as the format `digits` says."""
    return f"{value:+{digits}}".replace("-", MINUS)


def fixed(value: float, digits: int, *, plus: bool = False) -> str:
    """Writes a number with so many decimals: `1,234.5`, `−0.4`; what rounds to zero has no sign, what is above it one
    with `plus`."""
    text = f"{abs(value):,.{digits}f}"
    is_zero = not any(digit in text for digit in "123456789")
    return ("" if is_zero else MINUS if value < 0 else "+" if plus else "") + text


def gib_needed(gib: float) -> str:
    """Writes what is needed in GiB, rounded up."""
    return f"{math.ceil(gib * 10) / 10:.1f}"


def gib_available(gib: float) -> str:
    """Writes what there is in GiB, rounded down, so that what does not fit never looks as if it did."""
    return f"{max(0, math.floor(gib * 10) / 10):.1f}"


def whole_seconds(seconds: float) -> str:
    """Writes seconds without a fraction: `1,234`."""
    return f"{seconds:,.0f}"
