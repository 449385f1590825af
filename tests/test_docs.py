"""The documents say what is there."""

import re
from pathlib import Path

import pytest

from cogx_runs.cli import cli
from cogx_runs.sweep import Parameters

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_resolve(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_command_and_every_key_is_documented() -> None:
    commands = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    keys = (ROOT / "docs" / "sweep-files.md").read_text(encoding="utf-8")

    assert [name for name in cli.commands if f"\n## {name}\n" not in commands] == []
    assert [name for name in Parameters.model_fields if f"\n| `{name}` |" not in keys] == []


def test_files_that_the_readme_and_the_documents_name_exist() -> None:
    named = set()
    for document in DOCUMENTS:
        named |= set(
            re.findall(r"\b((?:sweeps|benchmarks|tests|docs)/[\w./-]+\.\w+)", document.read_text(encoding="utf-8"))
        )

    assert {"sweeps/guidance.yaml", "benchmarks/random_model.py"} <= named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
