"""FVD, by the optional package `cd-fvd`: the distance of two sets of videos, of thousands each."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cogx_runs.errors import CogxError, WeightsUnavailableError, first_line
from cogx_runs.video import Frames

MIN_VIDEOS = 2048
"""Videos a side below which no FVD is given: the number of StyleGAN-V's protocol, and the default of `cd-fvd`.

The estimate is biased upwards where there are few: it fits the 80,600 numbers of a mean and a covariance of I3D's 400
logits to each side.
"""
I3D_WEIGHTS_URL = "https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt"


def frechet_video_distance(videos_a: Sequence[Frames], videos_b: Sequence[Frames], weights: Path) -> float:
    """Fréchet distance of the I3D logits of two sets of videos; 0 for equal sets, lower is nearer.

    Unterthiner et al. (2018) by the `cd-fvd` package (Ge et al., CVPR 2024), on the CPU. `weights` is the file at
    `I3D_WEIGHTS_URL`. The sequences are read one video at a time, so that they may load them as they are asked for; all
    videos have the same number of frames.

    Raises CogxError for fewer than `MIN_VIDEOS` a side or for videos of other lengths, WeightsUnavailableError where
    package or weights are missing.
    """
    if min(len(videos_a), len(videos_b)) < MIN_VIDEOS:
        raise CogxError(
            f"FVD: {len(videos_a)} and {len(videos_b)} videos are too few to mean anything; "
            f"it needs {MIN_VIDEOS} a side or more"
        )
    evaluator = _load(weights)
    frame_count = len(videos_a[0])
    for videos, add in ((videos_a, evaluator.add_real_stats), (videos_b, evaluator.add_fake_stats)):
        for video in videos:
            if len(video) != frame_count:
                raise CogxError(f"FVD: videos of {frame_count} and of {len(video)} frames; all must have as many")
            add(video[None])
    return float(evaluator.compute_fvd_from_stats())


def _load(weights: Path) -> Any:
    try:
        from cdfvd import fvd
    except ImportError as error:
        raise WeightsUnavailableError(
            f"FVD: the package cd-fvd is not installed ({first_line(error)}); pip install 'cogx-runs[fvd]'"
        ) from error
    if not weights.is_file():  # cd-fvd would fetch them, and keep whatever the server answers
        raise WeightsUnavailableError(f"FVD: I3D's weights are not at {weights}; put there {I3D_WEIGHTS_URL}")
    with contextlib.redirect_stdout(sys.stderr):  # it tells of its loading where results go
        return fvd.cdfvd("i3d", n_real="full", n_fake="full", ckpt_path=str(weights), device="cpu")
