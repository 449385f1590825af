"""Pictures that MLflow's UI shows of a video: a contact sheet, and a clip and stills that it can put side by side."""

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from cogx_runs.tracking.artifacts import CONTACT_SHEET, IMAGES, VIDEO_LARGE
from cogx_runs.video import Frames, contact_sheet, scaled, write_animation, write_enlarged

CLIP = "clip"
"""The key of the clip, an animation of all frames."""
STILLS: Mapping[str, int] = MappingProxyType({f"frame {index:02}": index for index in (0, 12, 24, 36, 48)})
"""The key of each still with the index of its frame: the same for every video, so that rows compare."""
CLIP_SIDE_PX = 240
LARGE_SIDE_PX = 320
"""The longer side of the picture that opens on a click."""
LARGE_VIDEO_PX = 512
"""Most of the longer side of an enlarged video; a video of more than half of it is large enough."""


def write_pictures(frames: Frames, fps: int, folder: Path) -> None:
    """Writes the contact sheet, a small video enlarged, and under `images/` the clip and the stills that a view puts
    side by side."""
    _, height, width, _ = frames.shape
    times = LARGE_VIDEO_PX // max(height, width)
    if times > 1:
        write_enlarged(frames, folder / VIDEO_LARGE, fps, times)
    contact_sheet(frames).save(folder / CONTACT_SHEET)
    images = folder / IMAGES
    images.mkdir(exist_ok=True)
    large, small = picture_paths(images, CLIP)
    write_animation(frames, large, fps, LARGE_SIDE_PX)
    write_animation(frames, small, fps, CLIP_SIDE_PX)
    for key, frame in STILLS.items():
        if frame < len(frames):
            still: Image.Image = scaled(frames[frame], LARGE_SIDE_PX)
            for path in picture_paths(images, key):
                still.save(path)


def picture_paths(folder: Path, key: str, at_ms: int | None = None) -> tuple[Path, Path]:
    """Names the files of a key's picture and of its preview as `MlflowClient.log_image` does, which takes no
    animation. Those of a fixed moment `at_ms` have the same names each time, so that one takes the place of another."""
    if at_ms is None:
        name = f"{key}+step+0+timestamp+{time.time_ns() // 1_000_000}+{uuid.uuid4()}"
    else:
        name = f"{key}+step+0+timestamp+{at_ms}+{uuid.uuid5(uuid.NAMESPACE_OID, key)}"
    return folder / f"{name}.png", folder / f"{name}+compressed.webp"
