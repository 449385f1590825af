"""What is missing of a run's artifacts, as far as can be told without reading them."""

import os
from collections.abc import Mapping
from pathlib import Path

from cogx_runs.tracking.artifacts import IMAGES, LATENTS, VIDEO
from cogx_runs.tracking.digests import digest
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import DAMAGED, LATENTS_KEPT, texts_tag
from cogx_runs.tracking.tags import LATENTS as LATENTS_TAG


def lost_artifacts(run: TrackedRun) -> tuple[str, ...]:
    """Names the artifacts of a run that are gone, have another size than they were logged with, or are marked as
    damaged. Only files on this machine's disks are looked at."""
    damaged = read_damaged(run.tags)
    gone = [] if run.artifact_folder is None else _gone(run, run.artifact_folder)
    return tuple(dict.fromkeys([*gone, *damaged]))


def lost_for_good(run: TrackedRun) -> tuple[str, ...]:
    """Names what a finished run has lost, if it has to be made again for it: lost latents alone leave it whole."""
    lost = lost_artifacts(run)
    return () if lost == (LATENTS,) else lost


def is_whole(run: TrackedRun) -> bool:
    """Checks whether a run is finished and has what makes its cell done."""
    return run.state.is_finished and not lost_for_good(run)


def has_latents(run: TrackedRun) -> bool:
    """Checks whether a run's latents are kept, and not lost since."""
    return run.tags.get(LATENTS_TAG) == LATENTS_KEPT and LATENTS not in lost_artifacts(run)


def has_whole_latents(run: TrackedRun) -> bool:
    """Checks whether a run's latents are kept and, where they are on this machine's disks, are what was logged."""
    if not has_latents(run):
        return False
    if run.artifact_folder is None or LATENTS not in run.digests:
        return True
    return digest(Path(run.artifact_folder, LATENTS)) == run.digests[LATENTS]


def read_damaged(tags: Mapping[str, str]) -> dict[str, str]:
    """Reads what `verify` found wrong, by the artifact's name."""
    return texts_tag(tags, DAMAGED)


def expected_artifacts(run: TrackedRun) -> dict[str, int | None]:
    """Names the artifacts that a run should have, with their sizes in bytes; None where the size is not recorded, as
    for the video and the latents of a run of an earlier version."""
    sizes: dict[str, int | None] = {name: logged.size_bytes for name, logged in run.digests.items()}
    names = [VIDEO] * run.state.is_finished + [LATENTS] * (run.tags.get(LATENTS_TAG) == LATENTS_KEPT)
    return sizes | {name: None for name in names if name not in sizes}


def _gone(run: TrackedRun, folder: str) -> list[str]:
    """Of pictures, most of a run's files, it is told only whether they are there: a stat of each would take most of the
    time of planning a large store."""
    pictures = _names_in(f"{folder}/{IMAGES}/") if run.digests else set()
    return [
        name
        for name, size in expected_artifacts(run).items()
        if (name not in pictures if name.startswith(IMAGES) else not _is_whole(f"{folder}/{name}", size))
    ]


def _names_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {f"{IMAGES}/{entry.name}" for entry in entries}
    except OSError:
        return set()


def _is_whole(path: str, size_bytes: int | None) -> bool:
    try:
        found = os.stat(path).st_size  # noqa: PTH116 (making a Path takes longer than the call)
    except OSError:
        return False
    return size_bytes is None or found == size_bytes
