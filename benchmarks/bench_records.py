"""What `bench.py` keeps: a record for each part that is done, so that a long benchmark can be done in several calls."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cogx_runs

PACKAGE = Path(cogx_runs.__file__).parent


@dataclass(frozen=True)
class Cell:
    """One video that the sweep files ask for."""

    key: str
    """Prompt, steps, guidance, frames and seed; the same for the same video in two sweeps."""
    name: str
    num_inference_steps: int
    num_frames: int
    guided: bool
    step_tflop: float
    """What one denoising step computes."""

    @property
    def step(self) -> tuple[int, bool]:
        """What must be the same for one video's steps to take as long as another's."""
        return self.num_frames, self.guided


@dataclass(frozen=True)
class OldVideo:
    """One process of the old loop."""

    key: str
    wall_s: float
    import_s: float
    before_s: float
    """From the start of the process to the first work on the device."""
    encode_text_s: float
    denoise_s: float
    decode_s: float
    after_s: float
    """From the last work on the device to the end of the process."""
    encode_video_s: float
    peak_vram_gib: float | None
    peak_vram_reserved_gib: float | None
    peak_ram_gib: float
    latents_sha256: str


@dataclass(frozen=True)
class NewRun:
    """One tracked run of the sweep."""

    key: str
    reused: bool
    metrics: Mapping[str, float]
    latents_sha256: str


@dataclass(frozen=True)
class NewSweep:
    """One process of `cogx-runs sweep`, from start to end."""

    code: str
    """Hash of the tool's source."""
    wall_s: float
    peak_ram_gib: float
    runs: tuple[NewRun, ...]

    @property
    def made(self) -> list[NewRun]:
        """The runs that were generated and not reused."""
        return [run for run in self.runs if not run.reused]


@dataclass(frozen=True)
class Asked:
    """What is compared, the same for all records of a folder."""

    model: str
    device: str
    on_gpu: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Part:
    """What is measured in one go and kept as one record."""

    round: int
    index: int | None
    """The cell of a video of the old loop; None for a sweep."""


class Records:
    """A folder with a JSON file for each part that is done."""

    def __init__(self, folder: Path, label: str) -> None:
        """`label` names what the sweep is measured with, and is in the names of its records."""
        self.folder = folder
        self._label = label

    def check(self, asked: Asked) -> None:
        """Keep what is compared, or exit where the folder holds records of something else."""
        path = self.folder / "asked.json"
        if path.is_file():
            kept, wanted = asdict(self.asked()), asdict(asked)
            if different := [key for key in wanted if kept[key] != wanted[key]]:
                sys.exit(f"{self.folder}: holds records with another {', '.join(different)}; give another --records")
        self._write(path, asdict(asked))

    def asked(self) -> Asked:
        """What the records compare. Exits where there are none."""
        path = self.folder / "asked.json"
        if not path.is_file():
            sys.exit(f"{self.folder}: holds no records yet")
        content = json.loads(path.read_text(encoding="utf-8"))
        return Asked(**content | {"cells": tuple(Cell(**cell) for cell in content["cells"])})

    def path(self, part: Part) -> Path:
        name = f"new-{self._label}-round{part.round}" if part.index is None else f"old-{part.index}-round{part.round}"
        return self.folder / f"{name}.json"

    def keep(self, part: Part, result: OldVideo | NewSweep) -> None:
        self._write(self.path(part), asdict(result))

    def has(self, part: Part) -> bool:
        """Whether a part is recorded; a sweep of other code than the tool's present one does not count."""
        if part.index is None:
            return any(sweep.code == code() for sweep in self._sweeps([self.path(part)]))
        return self.path(part).is_file()

    def old(self) -> dict[int, list[OldVideo]]:
        """The videos of each cell, by its index."""
        found: dict[int, list[OldVideo]] = {}
        for path in sorted(self.folder.glob("old-*-round*.json")):
            video = OldVideo(**json.loads(path.read_text(encoding="utf-8")))
            found.setdefault(int(path.name.split("-")[1]), []).append(video)
        return found

    def new(self) -> list[NewSweep]:
        return list(self._sweeps(sorted(self.folder.glob(f"new-{self._label}-round*.json"))))

    @staticmethod
    def _sweeps(paths: Sequence[Path]) -> Iterator[NewSweep]:
        for path in paths:
            if path.is_file():
                content = json.loads(path.read_text(encoding="utf-8"))
                yield NewSweep(**content | {"runs": tuple(NewRun(**run) for run in content["runs"])})

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        unfinished.replace(path)


def code() -> str:
    """A hash of the tool's source."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
