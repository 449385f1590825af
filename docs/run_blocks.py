"""Runs a document's blocks of code in order, in an empty folder, and holds what they print to the blocks behind them.

python docs/run_blocks.py docs/tutorial.md           # exits with 1 where a block fails or prints something else
python docs/run_blocks.py docs/tutorial.md --write   # puts what they print into those blocks

`console` blocks are run by bash, line by line, and stop at the first line that fails; `python` blocks by Python; a
`yaml` block is written to the file that the line before it names. A `text` block is what the block before it prints on
stdout. What a machine changes is not compared: seconds, sizes and the last digits of scores; `…` stands for anything.
`cogx-runs ui` is asked for its page and ended. A block below `<!-- not run: WHY -->` is left out.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"(?P<before>[^\n]*)\n*\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
MACHINES_OWN = re.compile(r"~?\d+(?:\.\d+)? (?:s|h|MB|GB|GiB)\b|~\d+|\b\d+\.\d\b|\b\d+\.\d{3}\b")
"""Seconds and sizes, with their units or, in tables, with one digit or three behind the point; scores have two."""
TOLERANCE = 0.3
"""Points by which a score may differ from another machine's."""


@dataclass(frozen=True)
class Block:
    """A block of code, and where its text is in the document."""

    before: str
    language: str
    text: str
    start: int
    end: int


def blocks_of(document: str) -> list[Block]:
    """Returns the blocks in order, without those that are not run."""
    found = [
        Block(match["before"], match["language"], match["text"], match.start("text"), match.end("text"))
        for match in BLOCK.finditer(document)
    ]
    return [block for block in found if not block.before.startswith("<!-- not run:")]


def is_same(expected: str, printed: str) -> bool:
    """Compares what a block prints with what the document says that it does."""
    said, seen = (" ".join(MACHINES_OWN.sub("@", text).split()) for text in (expected, printed))
    if not re.fullmatch(re.escape(NUMBER.sub("#", said)).replace("…", ".*"), NUMBER.sub("#", seen)):
        return False
    if "…" in said:
        return True
    pairs = zip(NUMBER.findall(said), NUMBER.findall(seen), strict=True)
    return all(one == other or ("." in one and abs(float(one) - float(other)) <= TOLERANCE) for one, other in pairs)


def run(document: str, folder: Path) -> Iterator[tuple[Block, str]]:
    """Runs the blocks in a folder; yields each text block with what was printed. Raises SystemExit where one fails."""
    printed, place = "", folder
    for block in blocks_of(document):
        if block.language == "text":
            yield block, printed
        elif block.language == "yaml":
            (name,) = re.findall(r"`([^`]+\.yaml)`", block.before)
            (place / name).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            printed = _output([sys.executable, "-c", block.text], place)
        elif block.language == "console":
            printed = ""
            for line in block.text.splitlines():
                if line.startswith("cogx-runs ui "):
                    _ask_for_page(line, place)
                    continue
                said = _output(["bash", "-c", f"set -euo pipefail\n{line}\necho; pwd"], place)
                lines = said.rstrip("\n").split("\n")
                place = Path(lines[-1])
                printed += "\n".join(lines[:-1]).rstrip("\n") + "\n"


def _output(command: list[str], place: Path) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[-1]}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _ask_for_page(line: str, place: Path) -> None:
    """Starts a dashboard, asks for its page as a browser does, and ends it as Ctrl-C does."""
    server = subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=place, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        printed = server.stdout.readline()
        address = re.search(r"https?://\S+", printed)
        if address is None:
            sys.exit(f"{line}\nprints no address: {printed}")
        with urllib.request.urlopen(address[0]) as page:
            if b"MLflow" not in page.read():
                sys.exit(f"{line}\n{address[0]} is not MLflow's page")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("document", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = given.document.read_text(encoding="utf-8")
    scripts = Path(sys.executable).parent
    os.environ["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    others: list[tuple[Block, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for block, printed in run(text, Path(folder)):
            if not is_same(block.text, printed):
                others.append((block, printed))
    if given.write:
        for block, printed in reversed(others):
            lines = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
            text = text[: block.start] + lines + text[block.end :]
        given.document.write_text(text, encoding="utf-8")
    elif others:
        sys.exit("\n".join(f"the document has\n{block.text}and what is printed is\n{seen}" for block, seen in others))


if __name__ == "__main__":
    main()
