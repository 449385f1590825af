"""The tutorial, run whole as a reader runs it: each command, each file, and what the document says that they print."""

import os
import subprocess
import sys

import pytest

from tests.support.documents import blocks
from tests.support.paths import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.md"


@pytest.mark.slow
def test_the_tutorial_prints_what_it_says() -> None:
    command = [sys.executable, str(ROOT / "docs" / "run_blocks.py"), str(TUTORIAL)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_nothing_of_the_tutorial_is_left_out_but_installing() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    (left_out,) = (block for block in blocks(TUTORIAL) if "make setup" in block.text)

    assert text.count("<!-- not run:") == 1
    assert text.count(left_out.text) == 1
    assert {block.language for block in blocks(TUTORIAL)} == {"console", "python", "text", "yaml"}
