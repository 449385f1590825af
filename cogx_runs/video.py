"""Frames to H.264, animations and contact sheet, and back."""

import math
import re
import subprocess
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
from PIL import Image

from cogx_runs.errors import CogxError, first_line

Frames: TypeAlias = npt.NDArray[np.uint8]
"""T x H x W x C, 8 bits a channel, RGB."""

SHEET_SIDE_PX = 1536
NO_ENCODER = "ffmpeg is missing or writes no H.264"
OTHER_ENCODER = "pip install --force-reinstall imageio-ffmpeg, or name another by IMAGEIO_FFMPEG_EXE"


def write_mp4(frames: Frames, path: Path, fps: int, quality: float = 5.0) -> None:
    """Writes H.264 in yuv420p with its index in front, so that it plays anywhere and while it loads.

    `quality` is imageio's scale: crf = int((1 - quality / 10) * 51), so 5 is crf 25, as diffusers' `export_to_video`
    encodes; file sizes therefore compare with its. Raises CogxError where height or width is odd.
    """
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise CogxError(f"{width}x{height}: H.264 in yuv420p needs even sizes")
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fps,
        quality=quality,
        codec="libx264",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        output_params=["-movflags", "+faststart"],
    )
    _send(frames, writer)


def write_enlarged(frames: Frames, path: Path, fps: int, times: int) -> None:
    """Writes frames as `write_mp4` does, enlarged by a whole multiple, each pixel as a square, to be looked at only."""
    _, height, width, _ = frames.shape
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fps,
        codec="libx264",
        pix_fmt_out="yuv420p",
        macro_block_size=1,
        output_params=[
            *("-vf", f"scale={times * width}:{times * height}:flags=neighbor"),
            *("-preset", "ultrafast", "-tune", "fastdecode", "-movflags", "+faststart"),
        ],
    )
    _send(frames, writer)


def _send(frames: Frames, writer: Generator[None, Any, None]) -> None:
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


@cache
def check_encoder() -> None:
    """Encodes a small video and decodes it again, once a process and without a file. Raises CogxError where ffmpeg is
    missing or fails.

    It is started by a thread of its own: an interrupt could fall into a fork of the main one.
    """
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_probe_encoder).result()


def _probe_encoder() -> None:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    h264 = ["-vcodec", "libx264", "-pix_fmt", "yuv420p", "-f", "mp4", "-movflags", "frag_keyframe+empty_moov"]
    frames = bytes(2 * 16 * 16 * 3)
    try:
        encoded = _piped(frames, *raw, "-s", "16x16", "-r", "8", "-i", "pipe:0", *h264)
        decoded = _piped(encoded, "-i", "pipe:0", *raw)
    except (OSError, RuntimeError) as error:
        raise CogxError(f"{NO_ENCODER} ({first_line(error)}); {OTHER_ENCODER}") from error
    if len(decoded) != len(frames):
        raise CogxError(f"{NO_ENCODER} (a video came back otherwise); {OTHER_ENCODER}")


def _piped(given: bytes, *arguments: str) -> bytes:
    """What ffmpeg makes of these bytes. Raises OSError where it cannot be started, RuntimeError where it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments, "pipe:1"]
    ended = subprocess.run(command, input=given, capture_output=True)
    if ended.returncode != 0:
        raise RuntimeError(ended.stderr.decode(errors="replace").strip() or f"exit code {ended.returncode}")
    return ended.stdout


def read_mp4(path: Path) -> Frames:
    """Reads the frames of a video file, each once, however long it is shown. Raises CogxError where it cannot be
    decoded."""
    reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24", output_params=["-fps_mode", "passthrough"])
    try:
        width, height = next(reader)["size"]
        frames = [np.frombuffer(frame, dtype=np.uint8).reshape(height, width, 3) for frame in reader]
    except (OSError, StopIteration) as error:
        raise CogxError(f"{path}: is no video that ffmpeg can read") from error
    return np.stack(frames)


@dataclass(frozen=True)
class VideoFacts:
    """What a video file holds, as its frames say."""

    num_frames: int
    height: int
    width: int
    fps: float


def examine_video(path: Path) -> VideoFacts:
    """Decodes a whole video file in flat memory. Raises CogxError where any of it cannot be decoded."""
    strict = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", str(path), "-map", "0:v:0"]
    decode = [imageio_ffmpeg.get_ffmpeg_exe(), *strict, "-f", "null", "-progress", "pipe:1", "-"]
    decoded = subprocess.run(decode, capture_output=True, stdin=subprocess.DEVNULL, text=True)
    counts = re.findall(r"^frame=(\d+)$", decoded.stdout, re.MULTILINE)
    reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24")
    try:
        meta = next(reader)
    except (OSError, RuntimeError, StopIteration) as error:
        raise CogxError(f"{path}: is no video that ffmpeg can read") from error
    finally:
        reader.close()
    if decoded.returncode != 0 or not counts:
        raise CogxError(f"{path}: is no whole video that ffmpeg can read")
    width, height = meta["size"]
    return VideoFacts(int(counts[-1]), height, width, float(meta["fps"]))


def write_animation(frames: Frames, path: Path, fps: int, side_px: int) -> None:
    """Writes a clip that plays for ever wherever a picture is shown, its longer side `side_px`: an animated WebP, or an
    animated PNG of 64 colours, by the suffix of `path`."""
    images = [scaled(frame, side_px) for frame in frames]
    options: dict[str, Any] = {"quality": 60, "method": 2}
    if path.suffix == ".png":
        palette = images[len(images) // 2].quantize(64)
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        options = {}
    images[0].save(path, save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0, **options)


def write_images(images: Sequence[Image.Image], path: Path, seconds: float) -> None:
    """Writes pictures as an animated WebP that plays for ever, a round in `seconds`."""
    duration_ms = max(20, round(1000 * seconds / len(images)))
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration_ms, loop=0, quality=60, method=2)


def read_animation(path: Path, moments: int) -> list[Image.Image]:
    """Reads so many frames of an animation, evenly spaced from first to last. Raises OSError where it is none."""
    with Image.open(path) as animation:
        last = getattr(animation, "n_frames", 1) - 1
        found = {}
        wanted = [round(last * moment / max(1, moments - 1)) for moment in range(moments)]
        for index in dict.fromkeys(wanted):
            animation.seek(index)
            found[index] = animation.convert("RGB")
        return [found[index] for index in wanted]


def scaled(frame: npt.NDArray[np.uint8], side_px: int) -> Image.Image:
    """Scales a frame (H x W x C) to a picture whose longer side is `side_px`."""
    height, width, _ = frame.shape
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def contact_sheet(frames: Frames, cells: int = 9) -> Image.Image:
    """Lays out `cells` frames, evenly spaced from first to last, in a square grid read left to right, top to bottom."""
    side = math.ceil(math.sqrt(cells))
    picked = np.linspace(0, len(frames) - 1, num=min(cells, len(frames))).round().astype(int)
    _, height, width, _ = frames.shape
    scale = min(1.0, SHEET_SIDE_PX / (side * max(height, width)))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (side * size[0], math.ceil(len(picked) / side) * size[1]))
    for index, frame in enumerate(picked):
        still = Image.fromarray(frames[frame]).resize(size, Image.Resampling.LANCZOS)
        sheet.paste(still, (index % side * size[0], index // side * size[1]))
    return sheet
