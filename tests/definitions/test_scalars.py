"""Values as they are written, by YAML 1.2's core schema."""

import math

import pytest

from cogx_runs.definitions.scalars import Scalar, read_scalar


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("7", 7), ("007", 7), ("010", 10), ("-3", -3), ("+3", 3), ("0o17", 15), ("0xff", 255),
        ("1e1", 10.0), ("1.0e38", 1e38), ("1e-3", 0.001), ("6.", 6.0), (".5", 0.5), ("-.inf", -math.inf),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("on", "on"), ("no", "no"), ("off", "off"), ("y", "y"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("2001-13-45", "2001-13-45"), ("0x_", "0x_"), ("0b1", "0b1"), ("１２", "１２"), ("1e", "1e"), ("tRue", "tRue"),
    ],
)  # fmt: skip
def test_a_value_is_read_as_yaml_1_2_reads_it(written: str, value: Scalar) -> None:
    read = read_scalar(written)

    assert (type(read), read) == (type(value), value)


def test_a_number_that_is_none_is_read_as_such() -> None:
    assert math.isnan(float(str(read_scalar(".nan"))))


@pytest.mark.parametrize("written", ["9" * 5000, "0." + "1" * 5000, "0x" + "f" * 5000])
def test_a_number_of_thousands_of_digits_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"^is a number of 5,00\d characters, and 100 are the most$"):
        read_scalar(written)
