"""How values are written, wherever they are shown."""

from typing import Any

import pytest

from cogx_runs.formatting import (
    count,
    cut,
    fixed,
    gib_available,
    gib_needed,
    printable,
    shortened,
    signed,
    whole_seconds,
    write_exact,
    write_value,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.0, "6"), (7.25, "7.25"), (1 / 3, "0.333333"), (42, "42"), (True, "on"), (False, "off"), ("", "(empty)")],
)
def test_a_parameters_value_is_written_as_a_reader_does(value: Any, text: str) -> None:
    assert write_value(value) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(6.0, "6"), (10, "10"), (0.1, "0.1"), (1 / 3, "0.3333333333333333"), (2**63 - 1, "9223372036854775807"),
     (1e-07, "1e-07"), ("12.0", "12"), ("dpm", "dpm")],
)  # fmt: skip
def test_an_exact_number_has_all_its_digits_and_no_more(number: float | str, text: str) -> None:
    assert write_exact(number) == text


def test_a_count_has_its_plural() -> None:
    assert [count(number, "pair") for number in (0, 1, 2)] == ["0 pairs", "1 pair", "2 pairs"]


def test_a_signed_number_has_three_digits_and_a_true_minus() -> None:
    assert [signed(value) for value in (1.2, -0.5, 0.0)] == ["+1.20", "−0.500", "+0.00"]
    assert signed(-1.234, ".2f") == "−1.23"


def test_a_number_of_fixed_decimals_has_no_sign_where_it_rounds_to_zero() -> None:
    assert [fixed(value, 1) for value in (1234.56, -0.4, -0.04)] == ["1,234.6", "−0.4", "0.0"]
    assert [fixed(value, 1, plus=True) for value in (0.4, -0.4, 0.04)] == ["+0.4", "−0.4", "0.0"]


def test_what_does_not_fit_never_looks_as_if_it_did() -> None:
    assert (gib_needed(7.91), gib_available(7.99)) == ("8.0", "7.9")
    assert gib_available(-0.3) == "0.0"


def test_seconds_are_whole() -> None:
    assert whole_seconds(12345.6) == "12,346"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\u001b[31mb"),
        ("\x00\r\x7f\x9b", "\\u0000\\u000d\\u007f\\u009b"),
        ("\u202e\u2066\ufeff\ud800", "\\u202e\\u2066\\ufeff\\ud800"),
        ("a\tb\nc 猫 😀 é ’", "a\tb\nc 猫 😀 é ’"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"), (2**63, "9223372036854775808"), (True, "True"), (None, "None"), ("a'b", '"a\'b"'), (1.5, "1.5"),
        ("x" * 1_000_000, f"'{'x' * 47}...{'x' * 48}'"),
    ],
)  # fmt: skip
def test_a_value_in_a_message_is_written_as_python_does_and_cut_where_it_is_long(value: Any, text: str) -> None:
    assert shortened(value) == text


def test_no_value_fills_a_message() -> None:
    nested: Any = "x" * 1000
    for _ in range(50):
        nested = [nested] * 50

    assert len(shortened(nested)) <= 303
    assert shortened(10**5000) == "a number of 5,001 digits"
    assert cut("x" * 1000) == "x" * 300 + "..."
