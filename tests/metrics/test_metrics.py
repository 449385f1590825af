"""Measures of frames and of their embeddings: their properties, and what the reference code says of the same frames."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cogx_runs.errors import CogxError
from cogx_runs.metrics.clip import ClipEncoder
from cogx_runs.metrics.clip_score import frame_scores
from cogx_runs.metrics.consistency import (
    CLIP_IQA_PROMPTS,
    adjacent_consistency,
    antonym_scores,
    background_consistency,
)
from cogx_runs.metrics.fidelity import PSNR_LIMIT_DB, psnr, ssim
from cogx_runs.metrics.image import colourfulness, sharpness
from cogx_runs.metrics.subject import frame_changes
from cogx_runs.metrics.temporal import motion_magnitude, temporal_flickering
from cogx_runs.video import Frames
from tests.support.reference_videos import FIXTURES, PROMPT, reference_videos, save_random_clip

VIDEOS = reference_videos()
REFERENCE: dict[str, Any] = json.loads((FIXTURES / "reference_metrics.json").read_text("utf-8"))["videos"]
ONE_FRAME = VIDEOS["square"][:1]


@dataclass(frozen=True)
class Embedded:
    """What a CLIP makes of the reference's videos and texts."""

    images: dict[str, npt.NDArray[np.float32]]
    """T x D of each video, by CLIP's own scaling."""
    images_as_vbench: dict[str, npt.NDArray[np.float32]]
    """The same by VBench's scaling; only for a CLIP of 224 px."""
    prompt: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.float32]
    """3 x 2 x D, of CLIP-IQA's texts."""


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Embedded]:
    """By the CLIPs that the reference code was run with."""
    folder = tmp_path_factory.mktemp("clips") / "random"
    save_random_clip(folder)
    return {"toy": embed(ClipEncoder("toy"), None), "random": embed(ClipEncoder(str(folder)), 224)}


def embed(encoder: ClipEncoder, size_px: int | None) -> Embedded:
    as_vbench = {
        name: encoder.embed_frames(frames, as_vbench=True) for name, frames in VIDEOS.items() if size_px is not None
    }
    return Embedded(
        images={name: encoder.embed_frames(frames) for name, frames in VIDEOS.items()},
        images_as_vbench=as_vbench,
        prompt=encoder.embed_text(PROMPT),
        pairs=np.stack([[encoder.embed_text(text) for text in pair] for pair in CLIP_IQA_PROMPTS.values()]),
    )


def noisy(frames: Frames, spread: int) -> Frames:
    noise = np.random.RandomState(1).randint(-spread, spread + 1, frames.shape)
    return np.clip(frames.astype(int) + noise, 0, 255).astype(np.uint8)


def test_the_reference_covers_every_video_and_says_how_it_was_made() -> None:
    made = json.loads((FIXTURES / "reference_metrics.json").read_text("utf-8"))["made"]

    assert set(REFERENCE) == set(VIDEOS)
    assert made["prompt"] == PROMPT
    assert len(made["made_with"]["VBench"]) == 40


@pytest.mark.parametrize("clip", ["toy", "random"])
@pytest.mark.parametrize("name", VIDEOS)
def test_background_consistency_is_vbenchs_of_the_same_embeddings(
    name: str, clip: str, embedded: dict[str, Embedded]
) -> None:
    expected = REFERENCE[name]["background_consistency"]["vbench_frames"][clip]

    assert background_consistency(embedded[clip].images[name]).mean() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", VIDEOS)
def test_with_vbenchs_scaling_background_consistency_is_what_vbench_says_of_the_file(
    name: str, embedded: dict[str, Embedded]
) -> None:
    expected = REFERENCE[name]["background_consistency"]["vbench_file"]["random"]

    value = background_consistency(embedded["random"].images_as_vbench[name]).mean()

    assert value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", VIDEOS)
def test_temporal_flickering_is_vbenchs(name: str) -> None:
    assert flickering(VIDEOS[name]) == pytest.approx(REFERENCE[name]["temporal_flickering"], abs=1e-4)


@pytest.mark.parametrize("clip", ["toy", "random"])
@pytest.mark.parametrize("name", VIDEOS)
def test_clip_score_and_clip_iqa_are_torchmetrics(name: str, clip: str, embedded: dict[str, Embedded]) -> None:
    expected, ours = REFERENCE[name][clip], embedded[clip]

    score = frame_scores(ours.images[name], ours.prompt).mean()
    scores = antonym_scores(ours.images[name], ours.pairs)

    assert score == pytest.approx(expected["clip_score"]["unclipped"], abs=1e-4)
    assert max(score, 0) == pytest.approx(expected["clip_score"]["value"], abs=1e-4)
    assert list(expected["clip_iqa"]) == list(CLIP_IQA_PROMPTS)
    np.testing.assert_allclose(scores.T, list(expected["clip_iqa"].values()), atol=1e-4)


@pytest.mark.parametrize("name", VIDEOS)
def test_psnr_and_ssim_are_torchmetrics_and_sharpness_is_opencvs(name: str) -> None:
    expected, frames = REFERENCE[name], VIDEOS[name]
    decibels = [PSNR_LIMIT_DB if decibel is None else decibel for decibel in expected["psnr"]]

    np.testing.assert_allclose(psnr(frames[:-1], frames[1:]), decibels, atol=1e-4)
    np.testing.assert_allclose(ssim(frames[:-1], frames[1:]), expected["ssim"], atol=1e-4)
    np.testing.assert_allclose(sharpness(frames), expected["sharpness"], rtol=1e-5)


def test_consistency_is_1_where_embeddings_differ_in_length_only() -> None:
    embeddings = np.outer([1, 2, 0.5], [3, 4, 12]).astype(np.float32)

    assert background_consistency(embeddings).tolist() == pytest.approx([1, 1])
    assert adjacent_consistency(embeddings).tolist() == pytest.approx([1, 1])


def test_background_consistency_looks_at_the_frame_before_and_at_the_first_and_takes_a_negative_cosine_for_0() -> None:
    right, up, left = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
    embeddings = np.array([right, up, up, left], dtype=np.float32)

    assert background_consistency(embeddings).tolist() == [0, 0.5, 0]
    assert adjacent_consistency(embeddings).tolist() == [0, 1, 0]
    assert adjacent_consistency(np.array([right, left], dtype=np.float32)).tolist() == [-1]


def test_adjacent_consistency_does_not_depend_on_the_direction_of_time_but_background_consistency_does() -> None:
    embeddings = np.random.RandomState(0).standard_normal((5, 8)).astype(np.float32)

    assert adjacent_consistency(embeddings[::-1]).tolist() == pytest.approx(adjacent_consistency(embeddings)[::-1])
    assert background_consistency(embeddings[::-1]).mean() != pytest.approx(background_consistency(embeddings).mean())


def test_a_frame_between_two_opposite_texts_scores_a_half_and_the_scores_of_swapped_texts_add_up_to_1() -> None:
    texts = np.array([[[1, 0], [0, 1]]], dtype=np.float32)
    angles = np.pi / 4 + np.array([-0.02, 0, 0.02])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    scores = antonym_scores(embeddings, texts)[:, 0]

    assert scores[1] == pytest.approx(0.5, abs=1e-4)
    assert scores[0] == pytest.approx(1 / (1 + np.exp(-100 * np.sqrt(2) * np.sin(0.02))), abs=1e-4)
    assert (scores + antonym_scores(embeddings, texts[:, ::-1])[:, 0]).tolist() == pytest.approx([1, 1, 1])
    assert scores[0] > scores[1] > scores[2]


def test_flickering_is_1_for_a_frozen_video_and_0_for_one_that_goes_from_black_to_white() -> None:
    black_and_white = np.stack([np.full((8, 8, 3), value, dtype=np.uint8) for value in (0, 255, 0)])

    assert flickering(np.zeros((3, 8, 8, 3), dtype=np.uint8)) == 1
    assert flickering(black_and_white) == 0
    assert flickering(noisy(VIDEOS["frozen"], 4)) > flickering(noisy(VIDEOS["frozen"], 16))


def flickering(frames: Frames) -> float:
    return temporal_flickering(frame_changes(frames))


@pytest.mark.parametrize("step_px", [1, 2, 4])
def test_motion_of_the_whole_picture_is_its_shift_in_percent_of_the_diagonal(step_px: int) -> None:
    frames = panned(step_px, 90, 120)

    assert motion_magnitude(frames) == pytest.approx([100 * step_px / 150] * 2, rel=0.05)


def test_motion_is_the_same_at_any_size_none_in_a_frozen_video_and_as_much_backwards() -> None:
    large = panned(8, 360, 480)

    assert motion_magnitude(large) == pytest.approx([100 * 8 / 600] * 2, rel=0.05)
    assert motion_magnitude(VIDEOS["frozen"]).tolist() == [0, 0, 0]
    assert motion_magnitude(large[::-1]) == pytest.approx(motion_magnitude(large)[::-1], rel=0.02)


def panned(step_px: int, height: int, width: int) -> Frames:
    """Three frames cut from one picture of smooth waves, each `step_px` further right."""
    rows, columns = np.mgrid[:height, : width + 2 * step_px] * (120 / width)
    waves = np.sin(columns / 5) + np.sin(rows / 6) + np.sin((rows + columns) / 9) + np.sin((rows - 2 * columns) / 13)
    picture = (127 + 30 * waves).round().astype(np.uint8)[..., None].repeat(3, axis=-1)
    return np.stack([picture[:, index * step_px : index * step_px + width] for index in range(3)])


def test_sharpness_is_0_for_one_colour_falls_with_blur_and_rises_with_noise() -> None:
    frames = VIDEOS["large"][:2]
    halves = frames.reshape(2, 144, 2, 216, 2, 3).mean(axis=(2, 4))
    blurred = halves.repeat(2, axis=1).repeat(2, axis=2).astype(np.uint8)

    assert sharpness(np.full((2, 8, 8, 3), 77, dtype=np.uint8)).tolist() == [0, 0]
    assert (sharpness(blurred) < sharpness(frames)).all()
    assert (sharpness(noisy(frames, 30)) > sharpness(frames)).all()


def test_colourfulness_is_0_for_grey_and_0_3_of_the_distance_from_grey_for_one_colour() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1).repeat(3, axis=-1)
    red = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    red[..., 0] = 100

    assert colourfulness(grey).tolist() == [0]
    assert colourfulness(red).tolist() == pytest.approx([0.3 * np.hypot(100, 50)])


def test_colourfulness_of_two_colours_is_their_spread_and_their_mean() -> None:
    halves = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    halves[:, :4, :, 0] = 200  # red - green is 200 and 0, yellow - blue 100 and 0

    assert colourfulness(halves).tolist() == pytest.approx([np.hypot(100, 50) + 0.3 * np.hypot(100, 50)])


def test_equal_frames_have_the_highest_psnr_and_ssim_and_both_are_symmetric() -> None:
    frames = VIDEOS["square"]
    other = noisy(frames, 20)

    assert psnr(frames, frames).tolist() == [PSNR_LIMIT_DB] * 6
    assert ssim(frames, frames).tolist() == [1] * 6
    assert psnr(frames, other).tolist() == psnr(other, frames).tolist()
    assert ssim(frames, other) == pytest.approx(ssim(other, frames), abs=1e-6)


def test_psnr_of_a_constant_offset_is_20_log_255_over_it() -> None:
    frames = np.full((2, 16, 16, 3), 100, dtype=np.uint8)

    assert psnr(frames, frames + 5) == pytest.approx([20 * np.log10(51)] * 2)
    assert psnr(frames, np.stack([frames[0], frames[1] + 1])).tolist() == pytest.approx([100, 20 * np.log10(255)])


def test_ssim_of_two_flat_frames_is_its_luminance_term() -> None:
    dark, bright = (np.full((1, 16, 16, 3), value, dtype=np.uint8) for value in (100, 150))
    floor = (0.01 * 255) ** 2

    expected = (2 * 100 * 150 + floor) / (100**2 + 150**2 + floor)
    assert ssim(dark, bright) == pytest.approx([expected], abs=1e-4)


def test_more_noise_brings_psnr_and_ssim_down() -> None:
    frames = VIDEOS["square"]
    little, much = noisy(frames, 5), noisy(frames, 40)

    assert (psnr(little, frames) > psnr(much, frames)).all()
    assert (ssim(little, frames) > ssim(much, frames)).all()


def test_videos_of_other_shapes_are_not_compared() -> None:
    frames = VIDEOS["square"]

    with pytest.raises(CogxError, match="^PSNR: the video is 6 frames of 96x64 and its reference 5 frames of 96x64; "):
        psnr(frames, frames[:5])
    with pytest.raises(CogxError, match="^SSIM: the video is 6 frames of 96x64 and its reference 6 frames of 48x64; "):
        ssim(frames, frames[:, :, ::2])
    with pytest.raises(CogxError, match="^SSIM: 96x8: needs frames of at least 11x11$"):
        ssim(frames[:, :8], frames[:, :8])


@pytest.mark.parametrize(
    ("measure", "given"),
    [
        (flickering, ONE_FRAME),
        (motion_magnitude, ONE_FRAME),
        (background_consistency, np.ones((1, 4), dtype=np.float32)),
        (adjacent_consistency, np.ones((1, 4), dtype=np.float32)),
    ],
)
def test_what_compares_frames_says_that_one_is_too_few(measure: Any, given: Any) -> None:
    with pytest.raises(CogxError, match="compares frames, and the video has 1; generate 2 or more"):
        measure(given)
