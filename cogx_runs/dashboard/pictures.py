"""What MLflow's UI shows of a video: a contact sheet, a clip that moves, and stills."""

from pathlib import Path

from PIL import Image

from cogx_runs.dashboard.images import CLIP, STILLS, image_paths
from cogx_runs.tracking.artifacts import CONTACT_SHEET, IMAGES
from cogx_runs.video import Frames, contact_sheet, scaled, write_animation

CLIP_SIDE_PX = 240
LARGE_SIDE_PX = 320
"""Of what opens on a click."""


def write_pictures(frames: Frames, fps: int, folder: Path) -> None:
    """Writes the contact sheet, and under `images/` the clip and the stills that a view puts side by side."""
    contact_sheet(frames).save(folder / CONTACT_SHEET)
    images = folder / IMAGES
    images.mkdir(exist_ok=True)
    large, small = image_paths(images, CLIP)
    write_animation(frames, large, fps, LARGE_SIDE_PX)
    write_animation(frames, small, fps, CLIP_SIDE_PX)
    for key, frame in STILLS.items():
        if frame < len(frames):
            still: Image.Image = scaled(frames[frame], LARGE_SIDE_PX)
            for path in image_paths(images, key):
                still.save(path)
