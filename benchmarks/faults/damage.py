"""Damage: each artifact of finished runs changed, cut or removed, and the store's folder moved and copied."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import DENOISING
from benchmarks.faults.study import SWEEP, Study, Tally
from cogx_runs.tracking.artifacts import LATENTS

CELLS = 2
OTHER_FPS = 12
ARTIFACTS = (
    "video.mp4", "latents.safetensors", "contact_sheet.png", "metrics.yaml", "config.yaml", "prompt.txt", "images/*",
)  # fmt: skip


def flip(path: Path) -> None:
    """Changes one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Cuts the second half off."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def remove(path: Path) -> None:
    """Removes the file."""
    path.unlink()


def damage_artifacts(bench: Bench, harm: Callable[[Path], None]) -> Tally:
    """Harms each artifact of one cell in turn; then `verify` must tell it, and the same sweep mend it, latents aside:
    a cell whose video is whole is left finished without them."""
    tally = Tally()
    reference = bench.reference(CELLS)
    study = bench.study(f"artifacts-{harm.__name__}", CELLS)
    notes = study.finish()
    for artifact in ARTIFACTS:
        harm(sorted((study.project / "mlruns").rglob(artifact))[0])
        told = study.start("verify", "sweep.yaml")
        if told.end() != 1:
            notes.append(f"{artifact}: verify exits with {told.process.returncode}: {told.told.strip()[-100:]}")
        notes += [f"{artifact}: {wrong}" for wrong in study.finish()]
        after = study.start("verify", "sweep.yaml")
        if after.end() != (artifact == LATENTS):
            notes.append(f"{artifact}: not mended: {after.told.strip()[-200:]}")
        found = study.check(reference)
        found.injected = 1
        found.notes = [f"{artifact}: {note}" for note in found.notes]
        tally.add(found)
    tally.notes = [*notes, *tally.notes]
    return tally


def damage_before_reading(bench: Bench, harm: Callable[[Path], None]) -> Tally:
    """Harms latents, and embeddings, before a sweep that would read them: its cells must come out right."""
    tally = Tally()
    reference = bench.reference(CELLS, "--fps", str(OTHER_FPS), fps=OTHER_FPS)
    for name, files in (("latents", _latents), ("embeddings", _embeddings)):
        study = bench.study(f"read-{name}-{harm.__name__}", CELLS)
        notes = study.finish()
        for path in files(study):
            harm(path)
        if name == "embeddings":  # cells that need them are denoised anew
            shutil.rmtree(study.project / "mlruns")
            (study.project / "mlflow.db").unlink()
            notes += study.finish()
            found = study.check(reference)
        else:
            notes += study.finish("--fps", str(OTHER_FPS))
            found = study.check(reference, OTHER_FPS)
        found.injected = 1
        found.notes = [f"{name}: {note}" for note in [*notes, *found.notes]]
        tally.add(found)
    return tally


def move_store(bench: Bench, how: str) -> Tally:
    """Moves, renames or copies the folder of a finished study; all must work there, and nothing be denoised again."""
    reference = bench.reference(CELLS, "--fps", str(OTHER_FPS), fps=OTHER_FPS)
    study = bench.study(f"folder-{how}", CELLS)
    notes = study.finish()
    old = study.project
    study.project = study.folder / "elsewhere" / "project %41?x=1"
    study.project.parent.mkdir()
    if how == "copied":
        subprocess.run(["cp", "-a", str(old), str(study.project)], check=True)
        before = _files(old)
    else:
        old.rename(study.project)
        before = {}
    for arguments in (["runs", SWEEP, "--json"], ["export", SWEEP, "out"], ["report", SWEEP, "-o", "page"]):
        command = study.start(*arguments)
        if command.end() != 0:
            notes.append(f"{arguments[0]}: exit code {command.process.returncode}: {command.told.strip()[-200:]}")
    for options in ([], ["--fps", str(OTHER_FPS)]):
        command = study.sweep(*options)
        if command.end() != 0:
            notes.append(f"sweep {options}: exit code {command.process.returncode}: {command.told.strip()[-200:]}")
        if DENOISING in command.marks:
            notes.append(f"sweep {options}: something was denoised again")
    if _files(old) != before:
        notes.append(f"the old place has changed: {sorted(_files(old).items() ^ before.items())[:3]}")
    found = study.check(reference)
    other = study.check(reference, OTHER_FPS)
    found.injected = 1
    found.notes = [*notes, *found.notes, *other.notes]
    found.once = min(found.once, other.once)
    found.right = min(found.right, other.right)
    return found


def _latents(study: Study) -> Iterator[Path]:
    yield from (study.project / "mlruns").rglob("latents.safetensors")


def _embeddings(study: Study) -> Iterator[Path]:
    yield from (path for path in (study.cache / "cogx-runs" / "embeddings").iterdir() if path.is_file())


def _files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")} if folder.exists() else {}
