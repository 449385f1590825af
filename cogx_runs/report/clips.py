"""The videos of a report: in the page while their total size is small, else files next to it."""

import base64
import io
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cogx_runs.errors import CogxError, DamagedArtifactError, StoreUnavailableError
from cogx_runs.tracking.artifacts import CONTACT_SHEET, TRACEBACK, VIDEO
from cogx_runs.tracking.run import TrackedRun

if TYPE_CHECKING:
    from PIL.Image import Image

    from cogx_runs.tracking.reader import RunReader

EMBED_LIMIT_MB = 40
"""Largest total of mp4, in million bytes, that a page holds itself."""
STILL_WIDTH_PX = 360
FOLDER = "videos"
"""Folder of the videos that the page does not hold."""
_OWN_ERROR = re.compile(r"^cogx_runs\.errors\.\w+: ")
"""The class name of the project's errors, whose messages are clear without it."""


@dataclass(frozen=True)
class Clip:
    """One video, shown for every cell with its output hash."""

    key: str
    """The output hash."""
    file: Path
    run_id: str
    target: str
    """Path relative to the page, for a video that is not in it."""

    @property
    def size_bytes(self) -> int:
        return self.file.stat().st_size

    def base64(self) -> str:
        return base64.b64encode(self.file.read_bytes()).decode("ascii")


def collect_clips(
    store: "RunReader", cells: Sequence[TrackedRun], folder: Path
) -> tuple[dict[str, Clip], dict[str, str]]:
    """Copies the finished cells' videos into `folder`.

    Returns the clips, and the reasons why others are missing, both by output hash.
    """
    clips: dict[str, Clip] = {}
    missing: dict[str, str] = {}
    for cell in cells:
        if not cell.state.is_finished or cell.output_hash in clips:
            continue
        place = folder / cell.output_hash
        place.mkdir(exist_ok=True)
        try:
            file = store.download(cell.run_id, VIDEO, place)
        except StoreUnavailableError:
            raise
        except DamagedArtifactError:
            missing[cell.output_hash] = "its video is damaged"
            continue
        except CogxError:
            missing[cell.output_hash] = "its video is missing from the store"
            continue
        name = re.sub(r"[^A-Za-z0-9]+", "_", cell.name).strip("_")[:60]
        clips[cell.output_hash] = Clip(
            cell.output_hash, file, cell.run_id, f"{FOLDER}/{name}_{cell.output_hash[:8]}.mp4"
        )
        missing.pop(cell.output_hash, None)
    return clips, missing


def are_embedded(clips: Sequence[Clip], limit_mb: float = EMBED_LIMIT_MB) -> bool:
    """Tests whether these videos are small enough for the page to hold them itself."""
    return sum(clip.size_bytes for clip in clips) <= limit_mb * 1_000_000


def write_videos(clips: Sequence[Clip], directory: Path) -> None:
    """Writes the videos as files into `directory/videos`, each whole or not at all, and removes those of an earlier
    report."""
    (directory / FOLDER).mkdir(exist_ok=True)
    wanted = {(directory / clip.target).name for clip in clips}
    for path in (directory / FOLDER).glob("*.mp4"):
        if path.name not in wanted:
            path.unlink()
    for clip in clips:
        target = directory / clip.target
        unfinished = target.with_suffix(".unfinished")
        shutil.copyfile(clip.file, unfinished)
        unfinished.replace(target)


def still_of(store: "RunReader", clip: Clip, folder: Path) -> str:
    """Returns the video's contact sheet as a small JPEG in base64; empty where the run has none."""
    sheet = _sheet(store, clip, folder)
    return "" if sheet is None else _small_jpeg(sheet)


def poster_of(store: "RunReader", clip: Clip, folder: Path) -> str:
    """Returns the video's middle frame, the middle one of the contact sheet, as a small JPEG in base64; empty where the
    run has none."""
    sheet = _sheet(store, clip, folder)
    if sheet is None:
        return ""
    width, height = (side // 3 for side in sheet.size)
    return _small_jpeg(sheet.crop((width, height, 2 * width, 2 * height)))


def _sheet(store: "RunReader", clip: Clip, folder: Path) -> "Image | None":
    from PIL import Image

    try:
        with Image.open(store.download(clip.run_id, CONTACT_SHEET, folder)) as image:
            return image.convert("RGB")
    except CogxError:
        return None


def _small_jpeg(image: "Image") -> str:
    image.thumbnail((STILL_WIDTH_PX, STILL_WIDTH_PX))
    small = io.BytesIO()
    image.save(small, "JPEG", quality=70)
    return base64.b64encode(small.getvalue()).decode("ascii")


def error_of(store: "RunReader", cell: TrackedRun, folder: Path) -> str:
    """Returns the line of a failed cell's traceback that names the error."""
    try:
        lines = store.download(cell.run_id, TRACEBACK, folder).read_text(encoding="utf-8").splitlines()
    except CogxError:
        return "no traceback is stored"
    last_frame = max((place for place, line in enumerate(lines) if line.startswith("  File ")), default=-1)
    after = [line for line in lines[last_frame + 1 :] if line.strip() and not line.startswith(" ")]
    return _OWN_ERROR.sub("", after[0]) if after else "no traceback is stored"
