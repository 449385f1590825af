"""Parameters from a table: a CSV with the column `file` and one for each parameter."""

import csv
from dataclasses import dataclass
from pathlib import Path

from cogx_runs.definitions.mistakes import nearest_key
from cogx_runs.definitions.parameters import OF_VIDEO, OLD_NAMES, Parameters
from cogx_runs.errors import CogxError, InputError, Mistake, Place, did_you_mean
from cogx_runs.importing.naming import PROMPT
from cogx_runs.system.files import read_text

FILE, PROMPT_TEXT = "file", "prompt_text"
_COLUMNS = (FILE, PROMPT, PROMPT_TEXT, *OF_VIDEO)


@dataclass(frozen=True)
class TableRow:
    """What a table says of one file."""

    file: str
    """Its name in the folder."""
    place: Place
    """The row, as `table.csv:7`."""
    values: dict[str, str]
    """What is not empty, by column."""


def read_table(path: Path) -> list[TableRow]:
    """Reads the rows of a CSV in UTF-8. Columns: `file`; `prompt`, the name of a prompt, or `prompt_text`, its words;
    and parameters. An empty cell is a value that is not known.

    Raises InputError naming every mistake.
    """
    try:
        lines = list(csv.reader(read_text(path).splitlines(), strict=True))
    except (CogxError, csv.Error) as error:
        raise InputError.single(str(path), str(error)) from error
    if not lines or FILE not in lines[0]:
        raise InputError.single(str(path), f"has no column {FILE!r}; its first line names the columns")
    columns = [name.strip() for name in lines[0]]
    mistakes = [Mistake(Place(str(path), name, 1), _unknown(name)) for name in columns if name not in _COLUMNS]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    mistakes += [Mistake(Place(str(path), name, 1), "names two columns; leave one out") for name in twice]
    rows: list[TableRow] = []
    for number, cells in enumerate(lines[1:], start=2):
        place = Place(str(path), "", number)
        if not any(map(str.strip, cells)):
            continue
        if len(cells) != len(columns):
            mistakes.append(Mistake(place, f"has {len(cells)} cells, and there are {len(columns)} columns"))
            continue
        values = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
        file = values.pop(FILE, "")
        if not file:
            mistakes.append(Mistake(place, "names no file"))
        elif any(row.file == file for row in rows):
            mistakes.append(Mistake(place, f"names {file} a second time"))
        else:
            rows.append(TableRow(file, place, values))
    if mistakes:
        raise InputError(mistakes)
    return rows


def _unknown(name: str) -> str:
    if name in OLD_NAMES:
        return f"unknown column; {nearest_key(name, Parameters)}"
    return f"unknown column; {did_you_mean(name, _COLUMNS)}"
