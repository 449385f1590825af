"""Formats of values, numbers, counts, signs, GiB and seconds, the same in all output."""

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
