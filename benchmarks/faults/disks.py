"""Full disks: each place that a sweep writes to on a small disk of its own, full in each phase."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import ENCODING, PHASES
from benchmarks.faults.study import Study, Tally

PLACES = ("project", "cache", "state", "tmp")
"""`project` holds `mlflow.db` and `mlruns/`."""
SIZE_MIB = 400
"""More than what a sweep wants free before each cell."""
CELLS = 4
PARALLEL = 2


def fill_disks(bench: Bench, place: str) -> Tally:
    """Fills the disk of one place once in each phase after the start, by a file that is then removed.

    Raises AssertionError where nothing may be mounted here.
    """
    tally = Tally()
    bench.reference(CELLS)
    with ThreadPoolExecutor(PARALLEL) as pool:
        for found in pool.map(lambda phase: _fill(bench, place, phase), PHASES[1:]):
            tally.add(found)
    return tally


def _fill(bench: Bench, place: str, phase: str) -> Tally:
    name = f"disk-{place}-{phase.replace(' ', '-')}"
    study = bench.study(name, CELLS)
    disk = getattr(study, place)
    kept = study.folder / "kept"
    disk.rename(kept)
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "faults", str(disk)])
    assert mounted.returncode == 0, "nothing may be mounted here: run as root, or leave this row out"
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(disk)], check=True)
        notes = _sweep_through(study, disk, phase)
        tally = study.check(bench.reference(CELLS))
    finally:
        # Lazily: MLflow keeps the connection of this process's check to `mlflow.db` open.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    return bench.concluded(study, name, tally, notes)


def _sweep_through(study: Study, disk: Path, phase: str) -> list[str]:
    """Runs the sweep into the full disk, then makes room. Returns what is wrong with that."""
    command = study.sweep(hold=f"{phase}:{1 if phase == ENCODING else 2}")
    if not command.is_held():
        return [f"ended before {phase}: {command.told.strip()[-200:]}"]
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, _free(disk))
    command.go_on()
    code = command.end()
    filler.unlink()
    notes = [] if code in {0, 2} else [f"exit code {code}: {command.told.strip()[-300:]}"]
    return [*notes, *study.finish()]


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize
