"""Video: frames to H.264 and contact sheet, and back, by the real ffmpeg."""

import struct
import subprocess
from pathlib import Path
from subprocess import DEVNULL

import imageio_ffmpeg
import numpy as np
import pytest
from diffusers.utils import export_to_video
from PIL import Image

from cogx_runs.errors import CogxError
from cogx_runs.video import SHEET_SIDE_PX, Frames, VideoFacts, contact_sheet, examine_video, read_mp4, write_mp4
from tests.support.foreign_videos import cut, write_video

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 30), (30, 30, 200)


def moving_frames(count: int = 12, height: int = 64, width: int = 96) -> Frames:
    """A gradient and some noise that move: enough for an encoder to have choices to make."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width))
    frames = [
        np.stack([(x * 2 + t * 5) % 256, (y * 3 + t * 3) % 256, np.roll(noise, t, 1) + 60], axis=-1)
        for t in range(count)
    ]
    return np.stack(frames).astype(np.uint8)


def flat_frames(colours: list[tuple[int, int, int]], height: int = 32, width: int = 48) -> Frames:
    return np.stack([np.full((height, width, 3), colour, dtype=np.uint8) for colour in colours])


def boxes(path: Path) -> dict[str, bytes]:
    """The top-level boxes of an mp4 in their order: type and content."""
    content, found, at = path.read_bytes(), {}, 0
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        found[kind.decode()] = content[at + 8 : at + size]
        at += size
    return found


def test_a_video_is_h264_in_yuv420p_with_its_frames_and_rate(tmp_path: Path) -> None:
    write_mp4(moving_frames(25), tmp_path / "video.mp4", fps=8)

    reader = imageio_ffmpeg.read_frames(str(tmp_path / "video.mp4"))
    facts = next(reader)
    reader.close()
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))
    assert (facts["codec"], facts["pix_fmt"].split("(")[0], facts["size"]) == ("h264", "yuv420p", (96, 64))
    assert (facts["fps"], count, seconds) == (8.0, 25, pytest.approx(25 / 8, abs=0.05))


def test_the_index_of_a_video_stands_before_its_pictures(tmp_path: Path) -> None:
    write_mp4(moving_frames(), tmp_path / "video.mp4", fps=8)

    kinds = list(boxes(tmp_path / "video.mp4"))

    assert kinds.index("moov") < kinds.index("mdat")


def test_quality_5_gives_the_very_stream_of_diffusers_export_to_video(tmp_path: Path) -> None:
    frames = moving_frames()
    write_mp4(frames, tmp_path / "ours.mp4", fps=8)
    export_to_video([Image.fromarray(frame) for frame in frames], str(tmp_path / "theirs.mp4"), fps=8)

    ours, theirs = tmp_path / "ours.mp4", tmp_path / "theirs.mp4"
    assert boxes(ours)["mdat"] == boxes(theirs)["mdat"]
    assert np.array_equal(read_mp4(ours), read_mp4(theirs))
    assert ours.stat().st_size == theirs.stat().st_size


@pytest.mark.parametrize("quality", [1.0, 8.0])
def test_every_quality_is_that_of_diffusers_export_to_video(tmp_path: Path, quality: float) -> None:
    frames = moving_frames()
    write_mp4(frames, tmp_path / "ours.mp4", fps=8, quality=quality)
    export_to_video([Image.fromarray(f) for f in frames], str(tmp_path / "theirs.mp4"), fps=8, quality=quality)

    assert boxes(tmp_path / "ours.mp4")["mdat"] == boxes(tmp_path / "theirs.mp4")["mdat"]


def test_a_higher_quality_takes_more_bytes_and_comes_back_closer(tmp_path: Path) -> None:
    frames = moving_frames()
    sizes, errors = [], []
    for quality in (2.0, 5.0, 9.0):
        write_mp4(frames, tmp_path / "video.mp4", fps=8, quality=quality)
        sizes.append((tmp_path / "video.mp4").stat().st_size)
        errors.append(np.abs(read_mp4(tmp_path / "video.mp4").astype(int) - frames).mean())

    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert len(set(sizes)) == 3


def test_the_same_frames_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_mp4(moving_frames(), tmp_path / name, fps=8)

    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_frames_come_back_in_order_size_and_colour(tmp_path: Path) -> None:
    frames = flat_frames([RED, GREEN, BLUE, GREEN, RED])
    write_mp4(frames, tmp_path / "video.mp4", fps=4)

    back = read_mp4(tmp_path / "video.mp4")

    assert (back.shape, back.dtype) == (frames.shape, np.uint8)
    assert np.abs(back.astype(int) - frames).max() <= 6


def test_a_size_that_is_even_and_no_multiple_of_16_is_kept(tmp_path: Path) -> None:
    write_mp4(flat_frames([RED, GREEN], height=34, width=50), tmp_path / "video.mp4", fps=8)

    assert read_mp4(tmp_path / "video.mp4").shape == (2, 34, 50, 3)


def test_frames_in_any_memory_layout_give_the_same_file(tmp_path: Path) -> None:
    frames = moving_frames()
    channels_first = np.ascontiguousarray(frames.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert not channels_first.flags.c_contiguous

    write_mp4(frames, tmp_path / "a.mp4", fps=8)
    write_mp4(channels_first, tmp_path / "b.mp4", fps=8)

    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(("height", "width"), [(33, 48), (32, 47)])
def test_an_odd_size_is_refused_and_no_file_begun(tmp_path: Path, height: int, width: int) -> None:
    with pytest.raises(CogxError) as caught:
        write_mp4(flat_frames([RED], height, width), tmp_path / "video.mp4", fps=8)

    assert str(caught.value) == f"{width}x{height}: H.264 in yuv420p needs even sizes"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00\x00\x00\x18ftypmp42" + bytes(100)])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(content)

    with pytest.raises(CogxError) as caught:
        read_mp4(path)

    assert str(caught.value) == f"{path}: is no video that ffmpeg can read"


def test_a_video_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CogxError) as caught:
        read_mp4(tmp_path / "none.mp4")

    assert str(caught.value).startswith(f"{tmp_path / 'none.mp4'}: ")


def test_a_video_without_its_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_mp4(moving_frames(), path, fps=8)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])

    with pytest.raises(CogxError) as caught:
        read_mp4(path)

    assert str(caught.value) == f"{path}: is no video that ffmpeg can read"


def sheet_colours(sheet: Image.Image, columns: int, rows: int) -> list[int]:
    """The red value at the middle of each cell, left to right, top to bottom."""
    width, height = sheet.width // columns, sheet.height // rows
    pixels = np.asarray(sheet)
    return [
        int(pixels[row * height + height // 2, column * width + width // 2, 0])
        for row in range(rows)
        for column in range(columns)
    ]


def test_a_contact_sheet_shows_nine_frames_evenly_from_first_to_last() -> None:
    frames = flat_frames([(5 * t, 0, 0) for t in range(49)])

    sheet = contact_sheet(frames)

    assert sheet.size == (3 * 48, 3 * 32)
    assert sheet_colours(sheet, 3, 3) == [5 * t for t in (0, 6, 12, 18, 24, 30, 36, 42, 48)]


def test_a_contact_sheet_of_few_frames_shows_each_once() -> None:
    sheet = contact_sheet(flat_frames([(50, 0, 0), (100, 0, 0), (150, 0, 0), (200, 0, 0)]))

    assert sheet.size == (3 * 48, 2 * 32)
    assert sheet_colours(sheet, 3, 2) == [50, 100, 150, 200, 0, 0]


def test_a_contact_sheet_has_as_many_cells_as_asked_for() -> None:
    sheet = contact_sheet(flat_frames([(25 * t, 0, 0) for t in range(9)]), cells=4)

    assert sheet.size == (2 * 48, 2 * 32)
    assert sheet_colours(sheet, 2, 2) == [0, 75, 125, 200]


def test_a_contact_sheet_of_large_frames_is_scaled_down_in_proportion() -> None:
    sheet = contact_sheet(flat_frames([RED] * 9, height=480, width=720))

    assert sheet.size == (SHEET_SIDE_PX, 3 * round(480 * SHEET_SIDE_PX / (3 * 720)))
    assert sheet.getpixel((0, 0)) == sheet.getpixel((sheet.width - 1, sheet.height - 1)) == RED


def test_a_video_is_examined_by_decoding_all_of_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=17, fps=12, side=48)

    assert examine_video(path) == VideoFacts(17, 48, 48, 12.0)
    with pytest.raises(CogxError, match="is no whole video that ffmpeg can read"):
        examine_video(cut(path))


def test_a_frame_that_is_shown_for_longer_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "uneven.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=32x32:rate=8:duration=2", "-vf", "select='not(mod(n,3))'"]
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([ffmpeg, "-v", "error", *source, "-fps_mode", "vfr", str(path)], check=True, stdin=DEVNULL)

    assert examine_video(path).num_frames == len(read_mp4(path)) == 6
