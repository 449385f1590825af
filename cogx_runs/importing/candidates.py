"""The videos of a folder, each with all that is known of it, checked before any is imported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cogx_runs.definitions.parameters import default_of
from cogx_runs.definitions.spec import OUTPUT_FIELDS, output_hash, short_name
from cogx_runs.errors import CogxError, InputError, Mistake, Place
from cogx_runs.formatting import write_exact
from cogx_runs.importing.naming import ReadName
from cogx_runs.importing.table import TableRow
from cogx_runs.metrics.registry import versions
from cogx_runs.tracking.columns import axis_metric

ENDING = ".mp4"
IMPORTED = "imported"
"""The model of a video of which none is named, and the revision of every imported one's: whatever the name of a model
says, its weights are not known to be ours."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A video that can be imported; its identity is that of its bytes, and of no cell."""

    path: Path
    sha256: str
    sweep: str
    """The experiment."""
    prompt_name: str
    prompt: str
    given: Mapping[str, Any]
    """Parameters that its name or its row gives, each in its own type."""
    known: Mapping[str, Any]
    """All parameters that are known."""

    @property
    def signature(self) -> str:
        """Identity of the pixels, which no cell can have: those are hexadecimal."""
        return f"{IMPORTED}-{self.sha256[:16]}"

    @cached_property
    def output_hash(self) -> str:
        """Identity of pixels, file and scores."""
        outputs = {name: self.known.get(name, default_of(name)) for name in OUTPUT_FIELDS}
        return output_hash(self.signature, outputs, versions())

    @property
    def run_name(self) -> str:
        """`guidance=6 panda_guitar`, as a cell's."""
        numbers = {name: write_exact(value) for name, value in self._numbers.items()}
        varied = [
            f"{short_name(name)}={numbers[name]}" if name in numbers else str(self.given[name]) for name in self.given
        ]
        return " ".join([*varied, self.prompt_name])

    @property
    def params(self) -> dict[str, Any]:
        """The params of its run: what is known, and nothing else."""
        return {"prompt_name": self.prompt_name, **self.known, "model_revision": IMPORTED}

    @property
    def axis_metrics(self) -> dict[str, float]:
        """Numbers that its name or its row gives, again as metrics, as a cell has its swept ones."""
        return {axis_metric(name): float(value) for name, value in self._numbers.items()}

    @property
    def _numbers(self) -> dict[str, float]:
        return {
            name: value
            for name, value in self.given.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }


def named_videos(folder: Path, read: ReadName) -> list[TableRow]:
    """Lists the videos of a folder with what their names say. Raises InputError naming every name that says nothing."""
    rows: list[TableRow] = []
    mistakes: list[Mistake] = []
    for path in _videos(folder):
        values = read(path.stem)
        if values is None:
            mistakes.append(Mistake(path.name, "does not match the pattern; rename it, move it away, or use --csv"))
        else:
            rows.append(TableRow(path.name, Place(path.name), values))
    if mistakes:
        raise InputError(mistakes)
    return rows


def left_out(folder: Path, rows: Sequence[TableRow]) -> list[str]:
    """Lists the names of a folder's videos that a table does not name."""
    named = {row.file for row in rows}
    return [path.name for path in _videos(folder) if path.name not in named]


def _videos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CogxError(f"{folder}: no such folder")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ENDING and path.is_file())
    if not found:
        below = next(folder.glob(f"*/*{ENDING}"), None)
        where = f"; {below.parent} has some: import one folder at a time" if below else ""
        raise CogxError(f"{folder}: holds no {ENDING} file{where}")
    return found
