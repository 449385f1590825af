"""Tables on a terminal: they fit it, hide what is empty, and have plain minus signs."""

from io import StringIO

import pytest
from rich.console import Console

from cogx_runs.cli.columns import Column, print_table
from cogx_runs.cli.terminal import echo

COLUMNS = [
    Column("prompt", ["panda_guitar", "dog"]),
    Column("peak VRAM, GiB", ["", ""], is_number=True),
    Column("time per step, s", ["0.25", "0.3"], is_number=True, is_spare=True),
    Column("file size, kB", ["12.5", "3.0"], is_number=True, is_spare=True),
]


def printed(width: int, *, is_terminal: bool = True) -> tuple[list[str], list[str]]:
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=is_terminal, color_system=None, highlight=False)
    left_out = print_table(console, COLUMNS)
    return [line.rstrip() for line in file.getvalue().splitlines()], left_out


def test_a_terminal_has_wrapped_headings_and_a_pipe_one_line() -> None:
    assert printed(80) == (
        ["              time per      file", "prompt         step, s  size, kB", "panda_guitar      0.25      12.5",
         "dog                0.3       3.0"], [],
    )  # fmt: skip
    assert printed(1000, is_terminal=False)[0][0] == "prompt        time per step, s  file size, kB"


def test_spare_columns_are_left_out_where_the_terminal_is_narrow_and_named() -> None:
    assert printed(24)[1] == ["file size, kB"]
    assert printed(14)[1] == ["time per step, s", "file size, kB"]
    assert printed(14)[0][1] == "panda_guitar"


def test_a_minus_sign_is_one_that_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    echo("from −0.4 to 1")

    assert capsys.readouterr().out == "from -0.4 to 1\n"
