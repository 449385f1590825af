"""What `same_results.py` masks, and why: all that two records of the same code differ in, and nothing else."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

MASK = "…"
"""In the place of a value: that there is one still counts."""
TIMES = re.compile(r"(_s|_gib)$")
"""Names of seconds and GiB: measured, and other each time. 0 and null are kept: they say that nothing was done."""
MASKED = frozenset({
    "start_time",  # when
    "createdAt", "updatedAt",  # of a view
    "cogx.process.host", "cogx.process.id", "cogx.process.started", "cogx.process.lock",  # which process
    "cogx.env.device_id",  # which device
    "cogx.env.host", "cogx.env.platform", "cogx.env.device_name",  # which machine
    "cogx.env.git_commit", "cogx.env.git_dirty",  # which checkout: other ones are what is compared
    "cogx.env.command_line",  # begins with how Python was started
    "cogx.note_sha256",  # of a description, which has times in it; the description itself is compared without them
})  # fmt: skip
LEFT_OUT = "current_step"
"""The metric that tells the steps of a run while it goes on, every three seconds at most: whether it comes first or
last of a run's metrics, and whether a failed run has it, is a matter of speed. That of finished runs is compared apart.
"""
MASKS = (
    (re.compile(r"\+timestamp\+\d+\+[0-9a-f-]{36}"), f"+{MASK}"),  # MLflow's names of pictures
    (re.compile(r"%2Btimestamp%2B\d+%2B[0-9a-f-]{36}"), f"+{MASK}"),  # the same in an address
    (re.compile(r"; [^;]* gone(, about .* left)?$"), ""),  # a sweep's progress
    (re.compile(r"off by \d+%"), f"off by {MASK}%"),  # how good estimates of times were
    (re.compile(r"(\d+ (h|min) )*\d[\d.,]* (s|min|h|GiB)\b"), MASK),  # measured, in a sentence
)
"""What is masked within a text."""
COSTS = re.compile(r"\b(time|encoding|denoising|decoding|RAM|VRAM|GiB|\w+_s)\b")
"""Words of a report's sentences that tell of times or memory, and so may say lower once and higher another time."""

_STEP = re.compile(r": step \d+ of \d+$")
_FRAMES = (" ", "Traceback (most recent", "During handling of", "The above exception")
"""How the lines of a traceback begin that say where, and not what."""


@dataclass(frozen=True)
class Normal:
    """Content with what differs from record to record masked or given a stable name."""

    folder: Path
    checkouts: Sequence[Path]
    names: Mapping[str, str]
    """Of runs, by their ids."""

    def __call__(self, content: Any, key: str = "") -> Any:
        """Normalises JSON content; JSON within a string as well."""
        if isinstance(content, dict):
            kept = {str(name): value for name, value in content.items() if _bare(str(name)) != LEFT_OUT}
            return {self.text(name): self(value, name) for name, value in kept.items()}
        if isinstance(content, list | tuple):
            return [self(value, key) for value in content]
        if self._is_masked(content, _bare(key)):
            return MASK
        if isinstance(content, str):
            return self(json.loads(content)) if content.startswith('{"') else self.text(content)
        return content

    def text(self, text: str) -> str:
        """Normalises a text. Whatever lies within a checkout is one place, since it may be moved there."""
        for checkout in self.checkouts:
            text = re.sub(re.escape(str(checkout)) + r"/[^\s\"'@,;:)]*", "CHECKOUT", text)
        text = text.replace(str(self.folder), "FOLDER")
        text = re.sub(r"\b[0-9a-f]{32}\b", lambda found: self.names.get(found[0], found[0]), text)
        for pattern, mask in MASKS:
            text = pattern.sub(mask, text)
        return text

    def _is_masked(self, value: Any, key: str) -> bool:
        if value in (None, 0, "", "0", "0.0"):
            return False
        is_number = isinstance(value, float) or (
            isinstance(value, str) and bool(re.fullmatch(r"[\d.e-]*[.e][\d.e-]*", value))
        )
        return key in MASKED or (is_number and TIMES.search(key) is not None)

    def note(self, markdown: str) -> list[str]:
        """Normalises a description, without the columns of times in its table."""
        lines, hidden = [], set[int]()
        for line in markdown.splitlines():
            cells = line.split("|")
            if len(cells) > 2 and not hidden:
                hidden = {place for place, heading in enumerate(cells) if re.search(r", (s|GiB) *$", heading)}
            is_row = len(cells) > 2
            lines.append("|".join(MASK if is_row and place in hidden else cell for place, cell in enumerate(cells)))
        return [self.text(line) for line in lines]

    def said(self, progress: str) -> list[str]:
        """Normalises what goes to stderr, without the lines that come every 15 seconds of denoising."""
        return [self.text(line) for line in progress.splitlines() if not _STEP.search(line)]

    def raised(self, told: str) -> list[str]:
        """Keeps of a traceback what was said: files, lines and the classes' modules are not results."""
        said = [line for line in told.splitlines() if line and not line.startswith(_FRAMES)]
        return [self.text(re.sub(r"^[\w.]+(Error|Exception|Interrupt): ", "", line)) for line in said]


def _bare(name: str) -> str:
    """The name of a metric or tag, out of that of its column."""
    return name.removeprefix("tags.").removeprefix("metrics.")


def rows_of(path: Path, normal: Normal) -> Any:
    """Reads a table of `export`."""
    with path.open(encoding="utf-8", newline="") as file:
        return normal(list(csv.DictReader(file)))


def sentences_of(page: str, normal: Normal) -> list[str]:
    """Reads the headings and sentences of a report, without those on times and memory."""
    reader = _Sentences()
    reader.feed(page)
    return [normal.text(sentence) for sentence in reader.found if not COSTS.search(sentence)]


class _Sentences(HTMLParser):
    """The texts of headings, of what leads in, and of the lists of sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_sentences = False
        self._is_open = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "ul":
            self._in_sentences = dict(attributes).get("class") == "sentences"
        is_lead = tag == "p" and dict(attributes).get("class") == "lead"
        if tag in {"h1", "h2", "h3"} or is_lead or (tag == "li" and self._in_sentences):
            self._is_open = True
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"h1", "h2", "h3", "p", "li"}:
            self._is_open = False
        if tag == "ul":
            self._in_sentences = False

    def handle_data(self, data: str) -> None:
        if self._is_open:
            self.found[-1] += data
