"""Tables that fit the terminal: no empty columns, headings wrapped, spare columns left out where it is narrow."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

HEADING_WIDTH = 8
"""Characters after which a terminal's headings go on in the next line; a word is never broken."""

UNBOUNDED = 10_000
"""Width at which a table is measured: rich measures nothing wider than the console."""


@dataclass(frozen=True)
class Column:
    """A column of a table, with a cell for each row."""

    heading: str
    cells: Sequence[str]
    """In rich's markup."""
    is_number: bool = False
    is_spare: bool = False
    """Whether it may be left out where the terminal is narrow, the last one first."""
    may_fold: bool = False
    """Whether its cells go on in the next line where the terminal is narrow; else they are kept whole."""


def print_table(console: Console, columns: Sequence[Column]) -> list[str]:
    """Prints a table as `fit_table` lays it out. Returns the headings of the columns that are left out."""
    table, left_out = fit_table(console, columns)
    console.print(table)
    return left_out


def fit_table(console: Console, columns: Sequence[Column]) -> tuple[Table, list[str]]:
    """Lays out the columns that have something in them. Returns the headings of those left out for the terminal's
    width, too; in a file or a pipe none is."""
    shown = [column for column in columns if any(column.cells)]
    left_out: list[str] = []
    table = _table(shown, console.is_terminal)
    unbounded = console.options.update(width=UNBOUNDED)
    while console.is_terminal and console.measure(table, options=unbounded).maximum > console.width:
        spare = next((column for column in reversed(shown) if column.is_spare), None)
        if spare is None:
            break
        shown.remove(spare)
        left_out.insert(0, spare.heading)
        table = _table(shown, is_wrapped=True)
    return table, left_out


def _table(columns: Sequence[Column], is_wrapped: bool) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        wrapped = textwrap.wrap(column.heading, HEADING_WIDTH, break_long_words=False, break_on_hyphens=False)
        table.add_column(
            escape("\n".join(wrapped) if is_wrapped else column.heading),
            justify="right" if column.is_number else "left",
            no_wrap=not column.may_fold,
            overflow="fold",
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table
