"""Documents in YAML 1.2: values with their lines, and refusals before anything grows."""

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cogx_runs.definitions.document import Document, read_document
from cogx_runs.errors import InputError, Mistake


def document_of(tmp_path: Path, text: str) -> Document:
    file = tmp_path / "a.yaml"
    file.write_text(text, encoding="utf-8")
    return read_document(file)


def mistake_in(tmp_path: Path, text: str) -> Mistake:
    with pytest.raises(InputError) as caught:
        document_of(tmp_path, text)
    (mistake,) = caught.value.mistakes
    return Mistake(mistake.where.removeprefix(f"{tmp_path}/"), mistake.message)


def test_each_value_has_the_line_in_which_it_is_written(tmp_path: Path) -> None:
    document = document_of(tmp_path, "name: a\n# a comment\nbase:\n  seed: 1\naxes: {seed: [1,\n  2]}\n")

    assert document.root.value() == {"name": "a", "base": {"seed": 1}, "axes": {"seed": [1, 2]}}
    assert document.lines() == {
        "name": 1, "base": 4, "base.seed": 4, "axes": 5, "axes.seed": 5, "axes.seed.0": 5, "axes.seed.1": 6,
    }  # fmt: skip


@pytest.mark.parametrize(("path", "line"), [("base.seed", 3), ("base.fps.0", 2), ("vary", None), ("", None)])
def test_a_place_has_the_line_of_the_nearest_value_around_it(tmp_path: Path, path: str, line: int | None) -> None:
    document = document_of(tmp_path, "name: a\nbase: {\n seed: 1}\n")

    place = document.at(path)

    shown = f"{document.file}:{line}: {path}" if line else str(place)
    assert (place.line, place.shown) == (line, shown)
    assert place == (f"{document.file}:{path}" if path else document.file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: on\nb: '007'\nc: 007\nd: !!str 007\ne: >-\n  1\n", {"a": "on", "b": "007", "c": 7, "d": "007", "e": "1"}),
        ("a: &a [1, 2]\nb: *a\n", {"a": [1, 2], "b": [1, 2]}),
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
        ("b: {<<: [{x: 1}, {x: 2, y: 3}], '<<': 4}\n", {"b": {"x": 1, "y": 3, "<<": 4}}),
        ("on: 1\n010: 2\n", {"on": 1, "010": 2}),
        ("\ufeffa: 猫\n", {"a": "猫"}),
        ("", None),
        ("# nothing\n", None),
    ],
)
def test_values_are_those_of_yaml_1_2_with_its_aliases_and_merges(tmp_path: Path, text: str, value: Any) -> None:
    assert document_of(tmp_path, text).root.value() == value


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("seed: !!int x\n", "a.yaml:seed", "has the tag 'tag:yaml.org,2002:int'; leave it out"),
        ("prompts: !!set x\n", "a.yaml:prompts", "has the tag 'tag:yaml.org,2002:set'; leave it out"),
        ("a: [!foo {}]\n", "a.yaml:a.0", "has the tag '!foo'; leave it out"),
        ("a: 1\n---\nb: 2\n", "a.yaml", "holds a second document; write each into a file of its own"),
        ("%YAML 1.1\n---\na: 1\n", "a.yaml", "is YAML 1.2, and its %YAML line says another; take that line out"),
        ("a: *b\n", "a.yaml:a", "no value above is named &b"),
        ("a: &b [*b]\n", "a.yaml:a.0", "no value above is named &b"),
        ('a: "\\ud800"\n', "a.yaml:a", "is not UTF-8 at character 1; write that character anew"),
        ('a: ["x\\0"]\n', "a.yaml:a.0", "holds a NUL character; take it out"),
        ('a: "\\U00110000"\n', "a.yaml", "not valid YAML: it names a character or a version that there is not"),
        ("? [a]\n: 1\n", "a.yaml", "has a key that is no text"),
        ("a: {<<: 3}\n", "a.yaml:a.<<", "takes over the keys of a mapping or of a list of mappings"),
        ("a: " + "9" * 5000 + "\n", "a.yaml:a", "is a number of 5,000 characters, and 100 are the most"),
        ("k" * 300 + ": 1\n", "a.yaml", f"has a key that is none: '{'k' * 47}...{'k' * 48}'"),
    ],
)
def test_what_is_no_plain_document_is_one_clear_line(tmp_path: Path, text: str, where: str, message: str) -> None:
    assert mistake_in(tmp_path, text) == Mistake(where, message)


TOO_DEEP = "holds more than 20 levels of lists and mappings in each other"
BILLION = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
)
MERGES = "\n".join(
    ["m0: &m0 {a: 1, b: 2}", *(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 12))]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 500 + "]" * 500, TOO_DEEP),
        ("[" * 900_000, TOO_DEEP),
        (
            "".join(" " * n + "k:\n" for n in range(1300)),
            TOO_DEEP,
        ),
        (BILLION, "is beyond the 20,000 values of one file, aliases written out"),
        (MERGES, "is beyond the 20,000 values of one file, aliases written out"),
        ("a: [" + "1, " * 25_000 + "]", "is beyond the 20,000 values of one file, aliases written out"),
        ("".join(f"k{n}: 1\n" for n in range(70_000)), "has more than 100 keys"),
        ("a: " + "x" * 1_000_000, "is larger than 1 MB; make it smaller"),
    ],
    ids=["lists", "a megabyte of lists", "mappings", "aliases", "merges", "values", "keys", "bytes"],
)
def test_what_would_grow_is_refused_within_a_second_or_two_of_work(tmp_path: Path, text: str, message: str) -> None:
    begun = time.process_time()

    assert mistake_in(tmp_path, text).message == message
    assert time.process_time() - begun < 2  # on an idle machine 0.4 s at most


@pytest.mark.parametrize("text", [BILLION, MERGES], ids=["aliases", "merges"])
def test_what_would_grow_takes_no_memory(tmp_path: Path, text: str) -> None:
    tracemalloc.start()
    mistake_in(tmp_path, text)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 10e6
