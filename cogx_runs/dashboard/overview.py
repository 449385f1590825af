"""The overview of an experiment: its clips in labelled rows and columns, as pictures of a run of its own."""

import hashlib
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cogx_runs.dashboard.drawing import Shown, draw_page
from cogx_runs.dashboard.matrix import MOST_PAGES, Page
from cogx_runs.dashboard.notes import said_of
from cogx_runs.dashboard.pictures import picture_paths
from cogx_runs.errors import CogxError, StoreUnavailableError
from cogx_runs.metrics.registry import cards
from cogx_runs.tracking.artifacts import IMAGES
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import MLFLOW_LOGGED_IMAGES, MLFLOW_NOTE, PAGES, PICTURE, json_tag
from cogx_runs.video import read_animation, write_images

KEYS = ("overview", *(f"overview page {number}" for number in range(2, MOST_PAGES + 1)))
"""The keys of the pages' pictures."""
FRAMES_A_PAGE = 600
"""Clips times moments of a page: 24 clips have 24 moments, 100 have 8."""
MOST_MOMENTS, LEAST_MOMENTS = 24, 8
_STYLE = 1
"""Raised when pages are drawn otherwise, so that those of before are drawn again."""


@dataclass(frozen=True)
class OverviewContent:
    """What an overview shows."""

    progress: str
    """How far the sweep is; the name of the overview's run."""
    note: str
    """Description of the overview's run, above the pages."""
    pages: tuple[Page, ...]
    metric: str | None
    """The metric below each clip."""


def write_overview(store: RunStore, experiment_id: str, shown: OverviewContent, *, draws: bool = True) -> str:
    """Keeps an overview with its experiment; with `draws` it draws the pages whose cells have changed since. Returns
    the id of its run. One that shows the same as before is not written.

    Raises StoreError where the store cannot keep it.
    """
    present = store.find_overview(experiment_id)
    known = {} if present is None else json_tag(present.tags, PAGES)
    seen = {
        key: _digest(_content(page, shown.metric)) if draws else known.get(key)
        for key, page in zip(KEYS, shown.pages, strict=False)
    }
    tags = {PAGES: json.dumps(seen), MLFLOW_LOGGED_IMAGES: str(True), MLFLOW_NOTE: shown.note}
    is_named = present is not None and present.name == shown.progress and present.state.is_finished
    if present is not None and is_named and tags.items() <= present.tags.items():
        return present.run_id
    with temporary_folder() as folder:
        images = folder / "kept" / IMAGES
        images.mkdir(parents=True)
        for key, page in zip(KEYS, shown.pages, strict=False):
            if known.get(key) != seen[key]:
                _draw(store, images, key, page, shown.metric, folder)
        return store.keep_overview(experiment_id, shown.progress, images.parent, tags)


def picture_of(page: int) -> str:
    """Names the artifact of a page, counted from 0."""
    return f"{IMAGES}/{picture_paths(Path(), KEYS[page], at_ms=0)[1].name}"


def moments_of(clips: int, frames: int) -> int:
    """Returns how many moments a page shows of its clips, of which the longest has so many frames."""
    return max(1, min(frames, MOST_MOMENTS, max(LEAST_MOMENTS, FRAMES_A_PAGE // max(1, clips))))


def _draw(store: RunStore, images: Path, key: str, page: Page, metric: str | None, folder: Path) -> None:
    runs = [cell for matrix in page for cell in matrix.cells]
    finished = [run for run in runs if run.state.is_finished and PICTURE in run.tags]
    frames = max((int(run.config.get("num_frames", 1)) for run in finished), default=1)
    seconds = max((_seconds(run) for run in finished), default=1.0)
    moments = moments_of(len(finished), frames)
    cells = {run.run_id: _shown(store, run, metric, moments, folder) for run in runs}
    drawn = draw_page(page, cells, moments)
    large, small = picture_paths(images, key, at_ms=0)
    write_images(drawn, small, seconds)
    shutil.copyfile(small, large)  # browsers tell a picture's kind by its content; an animated PNG has thrice the size


def _shown(store: RunStore, run: TrackedRun, metric: str | None, moments: int, folder: Path) -> Shown:
    if not run.state.is_finished:
        return Shown(said=said_of(run), is_wrong=run.state is RunState.FAILED)
    below = cards()[metric].write(run.metrics[metric]) if metric in run.metrics and metric in cards() else ""
    if run.degenerate is not None:
        below = f"{run.degenerate} {below}"
    try:
        return Shown(_clip(store, run, moments, folder), below=below, is_wrong=run.degenerate is not None)
    except (CogxError, OSError, KeyError) as error:
        if isinstance(error, StoreUnavailableError):
            raise
        return Shown(said="its picture is missing", below=below)


def _clip(store: RunStore, run: TrackedRun, moments: int, folder: Path) -> list[Image.Image]:
    artifact = run.tags[PICTURE]
    if run.artifact_folder is not None:
        return read_animation(Path(run.artifact_folder, artifact), moments)
    return read_animation(store.download(run.run_id, artifact, folder / run.run_id), moments)


def _seconds(run: TrackedRun) -> float:
    return float(run.config.get("num_frames", 1)) / float(run.config.get("fps", 8))


def _content(page: Page, metric: str | None) -> object:
    """Returns all that a page shows."""
    return [
        _STYLE,
        [
            (
                matrix.title,
                matrix.columns,
                [(row.head, row.captions, [_state(cell, metric) for cell in row.cells]) for row in matrix.rows],
            )
            for matrix in page
        ],
    ]


def _state(cell: TrackedRun | None, metric: str | None) -> object:
    if cell is None:
        return None
    value = cell.metrics.get(metric or "", math.nan)
    return cell.run_id, said_of(cell), cell.tags.get(PICTURE), cell.degenerate, repr(value)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
