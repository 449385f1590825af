"""The documents, taken apart: blocks of code, commands, headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = {"console", "bash", "sh"}


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path, *languages: str) -> list[Block]:
    """Returns the blocks of a document, of these languages where any is named."""
    text = document.read_text(encoding="utf-8")
    found = [
        Block(document, text.count("\n", 0, match.start()) + 2, match[1], match[2]) for match in _FENCED.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def prose(document: Path) -> str:
    """Returns the text of a document without its blocks of code."""
    return _FENCED.sub("", document.read_text(encoding="utf-8"))


def commands(document: Path) -> Iterator[str]:
    """Yields each command of `cogx-runs` in a document's shell blocks, its lines joined, and in its prose's code."""
    for block in blocks(document, *_SHELL):
        for line in block.text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;(?= )", line.partition(" # ")[0].partition("   #")[0]):
                if match := re.search(r"(?:^|[\s/])(cogx-runs [a-z-].*)", part):
                    yield match[1].rstrip()
    for written in re.findall(r"`([^`\n]+)`", prose(document)):
        if re.match(r"cogx-runs [a-z]", written):
            yield written


def anchors(document: Path) -> set[str]:
    """Returns the anchors of a document: those of its headings, as GitHub makes them, and those that it sets."""
    headings = re.findall(r"^#{1,6} (.*)$", prose(document), re.MULTILINE)
    plain = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings)
    made = {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}
    return made | set(re.findall(r'<a id="([^"]+)">', prose(document)))
