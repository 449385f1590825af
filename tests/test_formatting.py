"""How values are written, wherever they are shown."""

from typing import Any

import pytest

from cogx_runs.formatting import (
    count,
    fixed,
    gib_available,
    gib_needed,
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
