"""Metrics of the change from frame to frame."""

import itertools

import numpy as np
import numpy.typing as npt
from PIL import Image

from cogx_runs.errors import CogxError
from cogx_runs.metrics.card import Likeness, MetricCard
from cogx_runs.metrics.image import luma
from cogx_runs.metrics.metric import MeanMetric
from cogx_runs.video import Frames

FLOW_SIDE_PX = 180
"""The longer side to which frames are scaled down for optical flow; smaller frames stay as they are."""
FLOW_RADIUS_PX = 7
"""Half the window within which the motion is assumed to be the same."""
FLOW_WARPS = 3
"""Refinements at each scale of the pyramid."""


def temporal_flickering(changes: npt.NDArray[np.float64]) -> float:
    """Computes (255 - the mean of a video's `frame_changes`) / 255; 0 to 1, higher is steadier.

    Follows VBench's `vbench/temporal_flickering.py` (Huang et al., CVPR 2024), intended for prompts of static scenes.
    Raises CogxError for a single frame.
    """
    require_two_frames(len(changes) + 1, "temporal flickering")
    return float((255 - changes.mean()) / 255)


def motion_magnitude(frames: Frames) -> npt.NDArray[np.float64]:
    """Averages the length of the optical flow from each frame to the next, in percent of the diagonal; T - 1 values.

    0 for a frozen video; neither direction is better. Flow by scikit-image's `optical_flow_ilk` (Le Besnerais and
    Champagnat, ICIP 2005) between the grey frames, their longer side scaled down to `FLOW_SIDE_PX`. Motion of more
    than 3 to 5% of the diagonal a frame is not found reliably. Raises CogxError for a single frame.
    """
    require_two_frames(len(frames), "motion magnitude")
    small = [_scaled_luma(frame) for frame in frames]
    diagonal = float(np.hypot(*small[0].shape))
    return np.array([100 * _flow_length(*pair) / diagonal for pair in itertools.pairwise(small)])


def require_two_frames(frame_count: int, measure: str) -> None:
    """Raises CogxError where there is no second frame to compare with."""
    if frame_count < 2:
        raise CogxError(f"{measure}: compares frames, and the video has {frame_count}; generate 2 or more")


def _flow_length(earlier: npt.NDArray[np.float32], later: npt.NDArray[np.float32]) -> float:
    from skimage.registration import optical_flow_ilk  # slow to import, and planning reads only the cards

    rows, columns = optical_flow_ilk(earlier, later, radius=FLOW_RADIUS_PX, num_warp=FLOW_WARPS)
    return float(np.hypot(rows, columns).mean())


def _scaled_luma(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scales the grey frame, 0 to 1, to the size at which flow is measured."""
    grey = luma(frame) / np.float32(255)
    height, width = grey.shape
    scale = FLOW_SIDE_PX / max(height, width)
    if scale >= 1:
        return grey
    image = Image.fromarray(grey).resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.float32)


METRICS = (
    MeanMetric(
        MetricCard(
            name="temporal_flickering",
            title="temporal flickering",
            definition="(255 - mean absolute difference of consecutive 8-bit frames) / 255",
            source="VBench, Huang et al. 2024, vbench/temporal_flickering.py",
            direction="higher",
            digits=4,
            margin=0.005,
            presumes=frozenset({Likeness.RATE}),
            fooled_by="a higher value is steadier; a frozen video has 1; motion lowers it as flicker does",
        ),
        lambda subject: temporal_flickering(subject.changes),
        frames_needed=2,
    ),
    MeanMetric(
        MetricCard(
            name="motion_magnitude",
            title="motion",
            definition="mean length of the optical flow between consecutive grey frames of at most 180 px, percent of "
            "the diagonal a frame",
            source="Le Besnerais and Champagnat 2005, scikit-image's optical_flow_ilk, radius 7, 3 warps",
            unit="%",
            presumes=frozenset({Likeness.RATE}),
            fooled_by="noise on flat ground and flicker read as motion; the window of 15 px spreads the motion of a "
            "small thing over the ground around it, where that is flat to about 4 times a 16 px square's area",
        ),
        lambda subject: motion_magnitude(subject.frames),
        frames_needed=2,
    ),
)
