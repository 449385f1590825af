"""Files of many prompts: CSV and JSONL with names and variables, texts of one prompt a line, and VBench's lists."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from cogx_runs.definitions.limits import DEEPEST, MOST_CELLS, MOST_KEYS, MOST_VARIABLES
from cogx_runs.definitions.prompts import Prompt, PromptLibrary, PromptSet, marked, name_of
from cogx_runs.definitions.templates import fault_of_prompt_name
from cogx_runs.definitions.variables import fault_of_name, read_value
from cogx_runs.errors import MOST_MISTAKES, CogxError, InputError, Mistake, Place
from cogx_runs.formatting import shortened
from cogx_runs.system.files import fault_of_text, is_file, is_folder, read_text

NAMES, TEXTS = ("name", "id"), ("prompt", "text", "prompt_en")
"""Columns of a prompt's name and of its text, the first that is there; `prompt_en` is VBench's."""


def is_prompt_file(entry: str) -> bool:
    """Checks whether an entry of `prompts` is a file of prompts, or a folder, which ends with `/`, rather than a
    name."""
    return entry.endswith("/") or Path(entry).suffix.lower() in _READERS


def read_prompts(path: Path) -> PromptSet:
    """Reads the prompts of a file by its ending, or of a folder: `.csv` and `.jsonl` with a column of names and one of
    texts, all others being variables; `.json` with a list of such; `.txt` with a prompt a line.

    A prompt without a name has one of its text; one without a name that has the text of another is that one. Raises
    InputError naming every mistake.
    """
    if is_folder(path):
        library = PromptLibrary(path)
        if not library.names:
            raise InputError.single(str(path), "holds no .txt file; each prompt of a folder is a file NAME.txt")
        return tuple(library.select(None, lambda _: str(path)))
    reader = _READERS.get(path.suffix.lower())
    if not is_file(path) or reader is None:
        raise InputError.single(str(path), "no such folder" if reader is None else "no such file")
    found = _Prompts(path)
    try:
        for line, row in reader(read_text(path)):
            found.add(line, row)
            if len(found.mistakes) > MOST_MISTAKES:
                break
    except CogxError as error:
        raise InputError.single(str(path), str(error)) from error
    if not found.mistakes and not found.prompts:
        found.mistakes.append(Mistake(str(path), "holds no prompt"))
    if found.mistakes:
        raise InputError(found.mistakes)
    return tuple(found.prompts.values())


class _Prompts:
    """The prompts of one file by their names, and its mistakes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.prompts: dict[str, Prompt] = {}
        self.mistakes: list[Mistake] = []
        self._lines: dict[str, int] = {}
        self._misnamed: set[str] = set()
        """Columns whose names are none of variables, each told once."""
        self._unnamed: dict[str, str] = {}
        """Name of each text that came without one."""

    def add(self, line: int, row: Mapping[str, Any]) -> None:
        """Adds the prompt of a row, or what is wrong with it."""
        before = len(self.mistakes)
        of_name, of_text = (next((key for key in keys if key in row), keys[0]) for keys in (NAMES, TEXTS))
        text = self._text(line, of_text, row.get(of_text))
        name = self._name(line, of_name, row.get(of_name))
        variables = dict(self._variables(line, {key: row[key] for key in row if key not in (of_name, of_text)}))
        if len(self.mistakes) > before:
            return
        if not name:
            name = self._unnamed.get(text) or name_of(text)
            name = marked(name, text) if name in self.prompts and text not in self._unnamed else name
            self._unnamed[text] = name
            variables = _joined(dict(self.prompts[name].variables), variables) if name in self.prompts else variables
        elif name in self._lines:
            self._mistake(line, of_name, f"{shortened(name)} is the name in line {self._lines[name]} too")
        self._lines.setdefault(name, line)
        self.prompts[name] = Prompt(name, text, f"{self._path}:{line}", tuple(variables.items()))

    def _text(self, line: int, key: str, value: Any) -> str:
        if not isinstance(value, str):
            self._mistake(line, key, "needs a text" if value is None else f"must be a text (got {shortened(value)})")
            return ""
        text = " ".join(value.split())
        if fault := fault_of_text(text) or (None if text else "is empty; write the prompt there"):
            self._mistake(line, key, fault)
        return text

    def _name(self, line: int, key: str, value: Any) -> str:
        """Reads a name; empty where there is none."""
        name = "" if value is None else " ".join(str(value).split())
        if name and (fault := fault_of_prompt_name(name)):
            self._mistake(line, key, fault)
        return name

    def _variables(self, line: int, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        found = list(_leaves(row))
        if len({name for name, _ in found}) > MOST_VARIABLES:
            self._mistake(line, "", f"has more than {MOST_VARIABLES} variables; take some out")
            return
        for name, value in found:
            try:
                if fault := fault_of_name(name):
                    if name not in self._misnamed:
                        self._mistake(line, name, fault)
                    self._misnamed.add(name)
                elif text := read_value(value):
                    yield name, text
            except ValueError as error:
                self._mistake(line, name, str(error))

    def _mistake(self, line: int, key: str, message: str) -> None:
        self.mistakes.append(Mistake(Place(str(self._path), key, line), message))


def _leaves(row: Mapping[str, Any], depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Yields the values of a row by their keys: those of a mapping by its own keys, those of a list joined, none for
    null. Raises CogxError for more than DEEPEST levels."""
    if depth > DEEPEST:
        raise CogxError(f"holds more than {DEEPEST} levels of mappings in each other")
    for key, value in row.items():
        if isinstance(value, dict):
            yield from _leaves(value, depth + 1)
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            yield key, ", ".join(value)
        elif value is not None:
            yield key, value


def _joined(first: Mapping[str, str], then: Mapping[str, str]) -> dict[str, str]:
    """Joins the variables of a prompt that is there twice: both values where they differ."""
    joined = {
        name: ", ".join(dict.fromkeys(filter(None, (first.get(name), then.get(name))))) for name in {**first, **then}
    }
    return {name: read_value(value) for name, value in joined.items()}


def _lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, prompt in enumerate(text.split("\n"), 1):
        if prompt.strip():
            yield line, {TEXTS[0]: prompt}


def _table(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the rows of a CSV file. Raises CogxError for one that is none."""
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        head = [_key(name) for name in next(rows, [])]
        if twice := [name for name, number in Counter(head).items() if number > 1]:
            raise CogxError(f"has two columns {shortened(twice[0])}; give each a name of its own")
        if not set(head) & set(TEXTS):
            raise CogxError(f"has no column `prompt` or `text`, in its first line (got {shortened(', '.join(head))})")
        for row in rows:
            if len(row) > len(head):
                raise CogxError(
                    f"line {rows.line_num} has {len(row)} values, and {len(head)} columns are named in the first; "
                    "put a text with commas into quotes"
                )
            if any(value.strip() for value in row):
                yield rows.line_num, dict(zip(head, row, strict=False))
    except csv.Error as error:
        raise CogxError(f"is no CSV in line {rows.line_num}: {error}") from error


def _records(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the rows of a JSONL file. Raises CogxError for one that is none."""
    for number, line in enumerate(text.split("\n"), 1):  # a text may hold other ends of lines
        if line.strip():
            yield number, _record(_json(line, f"line {number} "), f"line {number}")


def _list(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the entries of a JSON file, counted instead of lines. Raises CogxError for one that is none."""
    found = _json(text, "")
    if not isinstance(found, list) or len(found) > MOST_CELLS:
        raise CogxError(f"must be a list of at most {MOST_CELLS:,} prompts, each with `prompt` or `text`")
    for number, entry in enumerate(found, 1):
        yield number, _record(entry, f"entry {number}")


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CogxError(f"{where}is no JSON: {error}") from error


def _record(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > MOST_KEYS:
        raise CogxError(f"{where} must be a mapping with `prompt` or `text` (got {shortened(value)})")
    return {_key(key): content for key, content in value.items()}


def _key(name: str) -> str:
    """Reads the name of a column; that of names and texts in whatever case."""
    return name.strip().lower() if name.strip().lower() in (*NAMES, *TEXTS) else name.strip()


_READERS = {".txt": _lines, ".csv": _table, ".jsonl": _records, ".json": _list}
"""Reads the rows of a file by its ending, each with its line."""
