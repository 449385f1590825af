"""Documents in YAML 1.2: what a file holds and in which line, read within limits that hold before anything grows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from cogx_runs.definitions.limits import DEEPEST, LONGEST_KEY, MOST_KEYS, MOST_VALUES
from cogx_runs.definitions.scalars import Scalar, read_scalar
from cogx_runs.errors import CogxError, InputError, Place
from cogx_runs.formatting import shortened
from cogx_runs.system.files import fault_of_text, read_text

_MERGE = "<<"
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document, with the place where it is written."""

    line: int
    """Line of its first character, counted from 1."""
    content: "Scalar | dict[str, Node] | list[Node]"
    written: str = ""
    """A value as it is written; empty for a list and a mapping."""
    size: int = 1
    """Number of values in it, itself included."""

    def value(self) -> Any:
        """Returns the content as plain Python."""
        if isinstance(self.content, dict):
            return {key: node.value() for key, node in self.content.items()}
        if isinstance(self.content, list):
            return [node.value() for node in self.content]
        return self.content


@dataclass(frozen=True)
class Document:
    """What a file holds."""

    file: str
    root: Node

    def find(self, path: str) -> Node | None:
        """Finds the value at a dotted path; None where there is none."""
        node = self.root
        for part in path.split(".") if path else ():
            if isinstance(node.content, dict) and part in node.content:
                node = node.content[part]
            elif isinstance(node.content, list) and part.isdecimal() and int(part) < len(node.content):
                node = node.content[int(part)]
            else:
                return None
        return node

    def at(self, path: str) -> Place:
        """Returns the place of a dotted path, with the line of the nearest value that is there."""
        return Place(self.file, path, nearest_line(path, self.line))

    def line(self, path: str) -> int | None:
        """Returns the line of the value at a dotted path; None where there is none."""
        node = self.find(path)
        return None if node is None or not path else node.line

    def lines(self) -> dict[str, int]:
        """Returns the line of each value, by its dotted path."""
        return dict(_lines(self.root, ""))


def nearest_line(path: str, line_of: Callable[[str], int | None]) -> int | None:
    """Returns the line of a dotted path, else of the nearest value around it; None where none of them has one."""
    while path:
        if (line := line_of(path)) is not None:
            return line
        path = path.rpartition(".")[0]
    return None


def read_document(path: Path) -> Document:
    """Reads a YAML file. Raises InputError with its first mistake: of a file that cannot be read, of its syntax, of a
    value beyond the limits."""
    try:
        return Document(str(path), _Composer(str(path), read_text(path)).root())
    except CogxError as error:
        raise error if isinstance(error, InputError) else InputError.single(str(path), str(error)) from error


def _lines(node: Node, path: str) -> Iterator[tuple[str, int]]:
    children: Iterator[tuple[object, Node]] = iter(())
    if isinstance(node.content, dict):
        children = iter(node.content.items())
    elif isinstance(node.content, list):
        children = iter(enumerate(node.content))
    for key, child in children:
        below = f"{path}.{key}" if path else str(key)
        yield below, child.line
        yield from _lines(child, below)


class _Composer:
    """Makes values of the parser's events."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._events = _events(text)
        self._anchors: dict[str, Node] = {}
        self._values = 0

    def root(self) -> Node:
        """Returns the one document of the file, an empty mapping's where there is none."""
        event = self._next(DocumentStartEvent, StreamEndEvent)
        if isinstance(event, StreamEndEvent):
            return Node(1, None)
        if getattr(event, "version", None) not in (None, (1, 2)):
            raise self._mistake(event, "", "is YAML 1.2, and its %YAML line says another; take that line out")
        node = self._node(next(self._events), "", 0)
        another = self._next(DocumentStartEvent, StreamEndEvent)
        if isinstance(another, DocumentStartEvent):
            raise self._mistake(another, "", "holds a second document; write each into a file of its own")
        return node

    def _next(self, *types: type[Event]) -> Event:
        return next(event for event in self._events if isinstance(event, types))

    def _node(self, event: Event, path: str, depth: int) -> Node:
        if isinstance(event, AliasEvent):
            node = self._anchors.get(event.anchor)
            if node is None:
                raise self._mistake(event, path, f"no value above is named &{shortened(event.anchor)[1:-1]}")
            self._count(event, path, node.size)
            return node
        self._count(event, path, 1)
        assert isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent), "a value begins so"
        tag = None if event.tag is None else str(event.tag)
        if tag not in (None, "!", _TEXT_TAG):
            raise self._mistake(event, path, f"has the tag {shortened(tag)}; leave it out")
        if depth >= DEEPEST:
            raise self._mistake(event, "", f"holds more than {DEEPEST} levels of lists and mappings in each other")
        before = self._values
        content: Scalar | dict[str, Node] | list[Node]
        written = ""
        if isinstance(event, ScalarEvent):
            written = event.value
            content = self._scalar(event, path, tag)
        elif isinstance(event, SequenceStartEvent):
            content = self._list(path, depth)
        else:
            content = self._mapping(path, depth)
        node = Node(_line(event), content, written, 1 + self._values - before)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: ScalarEvent, path: str, tag: str | None) -> Scalar:
        if fault := fault_of_text(event.value):
            raise self._mistake(event, path, fault)
        if event.style is not None or tag is not None:
            return str(event.value)
        try:
            return read_scalar(event.value)
        except ValueError as error:
            raise self._mistake(event, path, str(error)) from error

    def _list(self, path: str, depth: int) -> list[Node]:
        nodes: list[Node] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            nodes.append(self._node(event, _joined(path, len(nodes)), depth + 1))
        return nodes

    def _mapping(self, path: str, depth: int) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key, is_merge = self._key(event, path)
            below = _joined(path, key)
            if key in nodes:
                raise self._mistake(event, below, f"is given twice, first in line {nodes[key].line}; give it once")
            node = self._node(next(self._events), below, depth + 1)
            if is_merge:
                merged = {**self._merged(event, node, below), **merged}
            else:
                nodes[key] = node
            if len(nodes) + len(merged) > MOST_KEYS:
                raise self._mistake(event, path, f"has more than {MOST_KEYS} keys")
        return {**merged, **nodes}

    def _key(self, event: Event, path: str) -> tuple[str, bool]:
        """Returns a key, and whether it stands for the keys of other mappings."""
        if not isinstance(event, ScalarEvent):
            raise self._mistake(event, path, "has a key that is no text")
        if len(event.value) > LONGEST_KEY or fault_of_text(event.value):
            raise self._mistake(event, path, f"has a key that is none: {shortened(event.value)}")
        return str(event.value), event.value == _MERGE and event.style is None

    def _merged(self, event: Event, node: Node, path: str) -> Mapping[str, Node]:
        """Returns the keys that `<<` takes over; of several mappings the first that has a key gives its value."""
        merged: dict[str, Node] = {}
        for one in node.content if isinstance(node.content, list) else [node]:
            if not isinstance(one.content, dict):
                raise self._mistake(event, path, "takes over the keys of a mapping or of a list of mappings")
            merged = {**one.content, **merged}
            if len(merged) > MOST_KEYS:
                raise self._mistake(event, path, f"takes over more than {MOST_KEYS} keys")
        return merged

    def _count(self, event: Event, path: str, values: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise self._mistake(event, path, f"is beyond the {MOST_VALUES:,} values of one file, aliases written out")

    def _mistake(self, event: Event, path: str, message: str) -> InputError:
        return InputError.single(Place(self._file, path, _line(event)), message)


def _joined(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _events(text: str) -> Iterator[Event]:
    """Parses a text. Raises CogxError where it is not YAML."""
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise CogxError(f"not valid YAML: {at}{error.problem}") from error
    except YAMLError as error:
        raise CogxError(f"not valid YAML: {str(error).splitlines()[0]}") from error
    except (ValueError, OverflowError) as error:  # `\U00110000`, and a %YAML line with a huge number
        raise CogxError("not valid YAML: it names a character or a version that there is not") from error
