"""Pixel-wise similarity of a video to another of the same size: to the reference cell of the same seed."""

import numpy as np
import numpy.typing as npt

from cogx_runs.errors import CogxError
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.metric import FrameComparison
from cogx_runs.video import Frames

PSNR_LIMIT_DB = 100.0
"""PSNR is cut here: equal frames would have an infinite one, which no mean and no database takes."""
SSIM_WINDOW_PX = 11
"""Side of SSIM's Gaussian window: 3.5 sigma to each side."""


def psnr(frames: Frames, reference: Frames) -> npt.NDArray[np.float64]:
    """Computes each frame's peak signal-to-noise ratio in dB, over all channels: 10 log10(255² / mean squared error).

    T values, higher is nearer, at most `PSNR_LIMIT_DB`, which equal frames have. Raises CogxError where the shapes
    differ.
    """
    require_same_shape(frames, reference, "PSNR")
    errors = np.array([_squared_error(frame, other) for frame, other in zip(frames, reference, strict=True)])
    least = 255**2 / 10 ** (PSNR_LIMIT_DB / 10)
    decibel: npt.NDArray[np.float64] = 10 * np.log10(255**2 / np.maximum(errors, least))
    return decibel


def ssim(frames: Frames, reference: Frames) -> npt.NDArray[np.float64]:
    """Computes each frame's structural similarity; T values, at most 1, which equal frames have; higher is nearer.

    Follows Wang et al. (IEEE TIP 2004) by scikit-image: Gaussian window with sigma 1.5, 11 px wide, K1 = 0.01,
    K2 = 0.03, covariances of the population, range 255; mean over the colour channels, as papers on caching report it.
    Raises CogxError where the shapes differ or a side is shorter than the window.
    """
    require_same_shape(frames, reference, "SSIM")
    _, height, width, _ = frames.shape
    if min(height, width) < SSIM_WINDOW_PX:
        raise CogxError(f"SSIM: {width}x{height}: needs frames of at least {SSIM_WINDOW_PX}x{SSIM_WINDOW_PX}")
    return np.array([_structural_similarity(*pair) for pair in zip(frames, reference, strict=True)])


def require_same_shape(frames: Frames, reference: Frames, measure: str) -> None:
    """Raises CogxError where the two videos differ in size or length."""
    if frames.shape != reference.shape:
        raise CogxError(
            f"{measure}: the video is {_described(frames)} and its reference {_described(reference)}; "
            "compare videos of one size and length"
        )


def _described(frames: Frames) -> str:
    count, height, width, _ = frames.shape
    return f"{count} frames of {width}x{height}"


def _squared_error(frame: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    return float(np.square(frame.astype(float) - other).mean())


def _structural_similarity(frame: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    from skimage.metrics import structural_similarity  # slow to import, and planning reads only the cards

    value = structural_similarity(
        frame.astype(np.float32),  # a third faster than double precision, and the same to 1e-6
        other.astype(np.float32),
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


COMPARISONS = (
    FrameComparison(
        MetricCard(
            name="psnr",
            title="PSNR",
            definition="10 log10(255^2 / mean squared error) over all channels of the frames of two videos, mean over "
            "frames, cut at 100",
            source="as papers on caching report it",
            direction="higher",
            unit="dB",
            fooled_by="a video that is as good and elsewhere by a pixel scores low",
        ),
        psnr,
    ),
    FrameComparison(
        MetricCard(
            name="ssim",
            title="SSIM",
            definition="structural similarity of the frames of two videos, of each colour channel, Gaussian window of "
            "11 px, sigma 1.5, K1 0.01, K2 0.03, mean over frames",
            source="Wang et al. 2004, by scikit-image",
            direction="higher",
            digits=3,
            fooled_by="a video that is as good and elsewhere by a pixel scores low",
        ),
        ssim,
    ),
)
