"""What is said of the scores of the mp4 beside those of the frames."""

from typing import Any

from cogx_runs.analysis.compression import compression_sentences


def video(frames: float, mp4: float | None, **config: Any) -> tuple[dict[str, Any], dict[str, float]]:
    scores = {"clip_score": frames} if mp4 is None else {"clip_score": frames, "clip_score_file": mp4}
    return {"model": "2b", "clip_model": "toy", "fps": 8, "seed": frames} | config, scores


def test_the_mean_and_the_furthest_of_the_videos_with_both_scores_are_told() -> None:
    videos = [video(30.0, 29.5), video(31.0, 26.5), video(20.0, 20.5), video(25.0, None), video(28.0, 28.0)]

    assert compression_sentences(videos) == [
        "In the mp4, which you see, the CLIP score is 1.50 lower than in the frames (mean of 3 videos; furthest 4.50 "
        "lower)."
    ]
    assert compression_sentences(videos[3:]) == []


def test_kinds_of_videos_are_not_averaged_and_a_change_that_rounds_to_nothing_is_none() -> None:
    videos = [video(30.0, 32.0, fps=4), video(31.0, 31.001)]

    assert compression_sentences(videos) == [
        "In the mp4, which you see, the CLIP score (fps 4) is 2.00 higher than in the frames (1 video).",
        "In the mp4, which you see, the CLIP score (fps 8) is the same as in the frames (1 video).",
    ]
