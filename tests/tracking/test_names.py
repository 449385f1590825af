"""Tags, artifacts and columns: each name is spelled in its module and nowhere else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cogx_runs
from cogx_runs.tracking import artifacts

PACKAGE = Path(cogx_runs.__file__).parent
OWN = {PACKAGE / "tracking" / f"{name}.py" for name in ("tags", "artifacts", "columns")}
FILES = {name for name in vars(artifacts).values() if isinstance(name, str) and re.fullmatch(r"\w+\.\w+", name)}
SPELLED = re.compile(
    r"\bcogx\.[a-z]|^cogx\.$|^mlflow\.\w|^axis\.|(?:^|[\s`(])(?:params|metrics|tags)\.(?![a-z]+\b[^`\w.])|^images$"
)
"""A tag, a swept number's metric, or a column, in a text that a program reads; `SENTENCE` is left out before."""
SENTENCE = re.compile(r"[a-z] [a-z]+ [a-z]+")
"""Three words in a row: a message, a definition or a description, which may name a tag to its reader."""


def texts(source: str) -> Iterator[tuple[int, str]]:
    """The string constants of a module, those of f-strings too, without docstrings, each with its line."""
    tree = ast.parse(source)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def spellings(source: str) -> list[str]:
    """The texts of a module that spell a name of tracking."""
    return [
        f"{line}: {text!r}"
        for line, text in texts(source)
        if not SENTENCE.search(text) and (SPELLED.search(text) or any(text.endswith(name) for name in FILES))
    ]


@pytest.mark.parametrize(
    "spelled",
    [
        "'cogx.signature'",
        "f'cogx.{name}.missing'",
        "\"tags.`cogx.kind` = 'run'\"",
        "f'params.{axis}'",
        "'metrics.clip_score'",
        "folder / 'video.mp4'",
        "f'{folder}/metrics.yaml'",
        "'mlflow.note.content'",
    ],
)
def test_a_spelled_name_is_seen(spelled: str) -> None:
    assert len(spellings(f"x = {spelled}")) == 1


def test_messages_docstrings_and_modules_are_no_spellings() -> None:
    assert (
        spellings('"""The tag `cogx.text` of a run."""\nx = "made again, as the tag `cogx.command` of it says"') == []
    )
    assert spellings("from cogx_runs.metrics.card import X\ny = 'cogx_runs.metrics'") == []


def test_each_name_is_spelled_once() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{spelling}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path not in OWN and "toy" not in path.relative_to(PACKAGE).parts
        for spelling in spellings(path.read_text(encoding="utf-8"))
    ]

    assert found == [], "\n".join(["spell these in tracking/{tags,artifacts,columns}.py:", *found])
