"""The messages that the troubleshooting page quotes are those of the program."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
ANYTHING = "…"


def test_each_quoted_message_is_one_that_the_program_has() -> None:
    quoted = re.findall(r"^\| `(.+?)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(quoted) > 25
    assert [message for message in quoted if not is_message(message)] == []


def test_a_message_that_the_program_has_not_would_be_found() -> None:
    assert is_message("out of GPU memory with placement …; retrying with …")
    assert not is_message("out of GPU memory with placement …; trying again with …")


def is_message(quoted: str) -> bool:
    pattern = re.compile(".*".join(map(re.escape, quoted.split(ANYTHING))), re.DOTALL)
    return any(pattern.search(text) for text in texts())


@cache
def texts() -> tuple[str, ...]:
    """Returns every text of the package's code, with the sign for anything where a value is put in."""
    files = sorted((ROOT / "cogx_runs").rglob("*.py"))
    return tuple(text for file in files for text in texts_of(ast.parse(file.read_text(encoding="utf-8"))))


def texts_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
