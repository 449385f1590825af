"""Metrics of single frames, from their pixels."""

import numpy as np
import numpy.typing as npt

from cogx_runs.metrics.card import Likeness, MetricCard
from cogx_runs.metrics.metric import MeanMetric
from cogx_runs.video import Frames


def luma(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Converts a frame (H x W x C) to grey by ITU-R BT.601 (0.299, 0.587, 0.114); H x W, 0 to 255, not rounded."""
    grey: npt.NDArray[np.float32] = frame.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return grey


def sharpness(frames: Frames) -> npt.NDArray[np.float64]:
    """Computes the variance of the Laplacian of each grey frame; T values, 0 for one flat colour, higher is sharper.

    Follows LAPV of Pech-Pacheco et al. (ICPR 2000), with the kernel 0 1 0, 1 -4 1, 0 1 0 and mirrored borders as in
    OpenCV's `Laplacian`; the paper's kernel has a factor of 1/6, so that its values are 36 times smaller. Values of
    frames of different sizes are not comparable.
    """
    return np.array([_laplacian(luma(frame).astype(float)).var() for frame in frames])


def colourfulness(frames: Frames) -> npt.NDArray[np.float64]:
    """Computes M3 of Hasler and Suesstrunk (SPIE 5007, 2003) of each frame; T values, 0 for grey.

    The paper's viewers called 15 slightly, 33 moderately, 59 quite and 109 extremely colourful.
    """
    return np.array([_colourfulness(frame.astype(float)) for frame in frames])


def _laplacian(grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    padded = np.pad(grey, 1, mode="reflect")
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey


def _colourfulness(frame: npt.NDArray[np.float64]) -> float:
    red, green, blue = np.moveaxis(frame, -1, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    distance = np.hypot(red_green.mean(), yellow_blue.mean())
    return float(spread + 0.3 * distance)


METRICS = (
    MeanMetric(
        MetricCard(
            name="sharpness",
            title="sharpness",
            definition="variance of the Laplacian (0 1 0, 1 -4 1, 0 1 0) of the grey frame, mean over frames",
            source="LAPV, Pech-Pacheco et al. 2000, without its factor of 1/6; as OpenCV's Laplacian",
            direction="higher",
            digits=0,
            presumes=frozenset({Likeness.SIZE}),
            fooled_by="noise and fine pattern are sharp; it depends on the frame's size",
        ),
        lambda subject: sharpness(subject.frames),
    ),
    MeanMetric(
        MetricCard(
            name="colourfulness",
            title="colourfulness",
            definition="spread + 0.3 x distance from grey, of red - green and yellow - blue, mean over frames; 15 is "
            "slightly, 33 moderately, 59 quite, 109 extremely colourful",
            source="M3, Hasler and Suesstrunk 2003",
            digits=1,
            fooled_by="noise of all colours",
        ),
        lambda subject: colourfulness(subject.frames),
    ),
)
