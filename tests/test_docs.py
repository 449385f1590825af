"""The documents say what is there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cogx_runs
from cogx_runs.cli import cli
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.metrics.registry import cards, extra_cards
from tests.support.documents import DOCUMENTS
from tests.support.paths import ROOT


def test_every_command_and_every_key_is_documented() -> None:
    commands = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    keys = (ROOT / "docs" / "sweep-files.md").read_text(encoding="utf-8")

    assert [name for name in cli.commands if f"\n## {name}\n" not in commands] == []
    assert [name for name in Parameters.model_fields if f"\n| `{name}` |" not in keys] == []


def test_every_metrics_margin_is_documented() -> None:
    rows = re.findall(r"^\| (`.*) \| (.*) \| (.*) \|$", (ROOT / "docs" / "statistics.md").read_text(), re.MULTILINE)
    documented = {name: (better, margin) for names, better, margin in rows for name in re.findall(r"`(\w+)`", names)}

    assert {
        name: (card.direction or "neither", "5% of the baseline's mean" if card.margin is None else f"{card.margin:g}")
        for name, card in (cards() | extra_cards()).items()
    }.items() <= documented.items()


def test_files_that_the_readme_and_the_documents_name_exist() -> None:
    named = set()
    for document in DOCUMENTS:
        named |= set(
            re.findall(r"\b((?:sweeps|benchmarks|tests|docs)/[\w./-]+\.\w+)", document.read_text(encoding="utf-8"))
        )

    assert {"sweeps/guidance.yaml", "benchmarks/random_model.py"} <= named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_python_of_the_documents_works_as_pasted_and_twice(
    project: Path, tiny_model: Path, tiny_clip: Path
) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    snippet = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    small = f"'model': '{tiny_model}', 'num_inference_steps': 2, 'num_frames': 9, 'clip_model': '{tiny_clip}'"
    snippet = snippet.replace('{"model": "2b"}', f"{{{small}}}")
    assert small in snippet
    shutil.copytree(ROOT / "sweeps", project / "sweeps")
    names: dict[str, Any] = {}

    for _ in range(2):
        exec(snippet, names)

    assert [outcome.status for outcome in names["outcomes"]] == ["done"] * 3
    assert len(names["runs"]) == 3


def test_every_public_name_is_a_function() -> None:
    assert [name for name in cogx_runs.__all__ if not callable(getattr(cogx_runs, name))] == []


def test_every_make_target_says_what_it_does_and_every_one_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))
    readers = [*DOCUMENTS, ROOT / ".ci" / "run", ROOT / ".github" / "workflows" / "ci.yml"]
    commands = r"(?:^|`|run: )make ([a-z-]+)(?=$|`| )"
    named = {name for path in readers for name in re.findall(commands, path.read_text("utf-8"), re.MULTILINE)}

    assert set(re.findall(r"^([a-z-]+):.* ## \S", makefile, re.MULTILINE)) == targets
    assert named >= {"setup", "check", "test", "format"}
    assert named - targets == set()


@pytest.mark.slow
def test_the_tables_of_the_findings_are_those_of_the_runs_that_are_kept() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "docs" / "results" / "findings" / "make.py", "--check"], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr
