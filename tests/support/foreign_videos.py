"""Videos as other scripts left them."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np


def write_video(path: Path, seed: int = 0, frames: int = 9, fps: float = 8, side: int = 32) -> Path:
    """A noisy mp4 of its own bytes for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (frames, side, side, 3), dtype=np.uint8)
    whole = ["-movflags", "+faststart"]  # so that half of it still begins as a video
    writer = imageio_ffmpeg.write_frames(str(path), (side, side), fps=fps, macro_block_size=2, output_params=whole)
    writer.send(None)
    for frame in noise:
        writer.send(frame)
    writer.close()
    return path


def cut(path: Path) -> Path:
    """The same file without its second half, as an interrupted copy leaves it."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path
