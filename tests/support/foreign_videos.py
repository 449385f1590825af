"""Videos as other scripts left them."""

from pathlib import Path

import numpy as np

from cogx_runs.video import write_mp4


def write_video(path: Path, seed: int = 0, frames: int = 9, fps: int = 8, side: int = 32) -> Path:
    """A noisy mp4 of its own bytes for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (frames, side, side, 3), dtype=np.uint8)
    write_mp4(noise, path, fps)
    return path


def cut(path: Path) -> Path:
    """The same file without its second half, as an interrupted copy leaves it."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path
