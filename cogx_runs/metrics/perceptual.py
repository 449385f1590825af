"""LPIPS, by the optional package `lpips`: perceptual distance of two videos, by a network's features."""

import warnings
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cogx_runs.errors import WeightsUnavailableError
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.fidelity import require_same_shape
from cogx_runs.metrics.metric import Measured
from cogx_runs.metrics.weights_file import WeightsFile
from cogx_runs.video import Frames

if TYPE_CHECKING:
    import torch

ALEXNET = WeightsFile(
    title="AlexNet's weights",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    size="244 MB",
    licence="BSD-3-Clause",
    sha256="7be5be79",
)
"""Where torchvision, which lpips asks for them, has them."""


class PerceptualDistance:
    """LPIPS (Zhang et al., CVPR 2018), version 0.1, with AlexNet, as its authors advise for evaluation; on the CPU."""

    def __init__(self) -> None:
        """Loads AlexNet from torch hub's cache, and the layers on top of it, which the package contains.

        Raises WeightsUnavailableError where the package is not installed, or AlexNet's weights are neither on this
        machine nor can be downloaded.
        """
        try:
            import lpips
        except ImportError as error:
            raise WeightsUnavailableError(
                "LPIPS: the package lpips is not installed; pip install 'cogx-runs[lpips]'"
            ) from error
        ALEXNET.require("LPIPS")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lpips uses a deprecated argument of torchvision
            self._model = lpips.LPIPS(net="alex", verbose=False)

    def score(self, frames: Frames, reference: Frames) -> npt.NDArray[np.float64]:
        """Computes the distance of each frame to its counterpart; T values, 0 for equal frames, lower is nearer.

        Raises CogxError where the shapes differ.
        """
        import torch

        require_same_shape(frames, reference, "LPIPS")
        with torch.no_grad():
            distances = [
                self._model(_as_input(frame), _as_input(other)).item()
                for frame, other in zip(frames, reference, strict=True)
            ]
        return np.array(distances)


class Lpips:
    """LPIPS as a comparison of two videos."""

    card = MetricCard(
        name="lpips",
        title="LPIPS",
        definition="distance of AlexNet's features of the frames of two videos, version 0.1, mean over frames",
        source="Zhang et al. 2018, by the package lpips",
        direction="lower",
        digits=3,
        fooled_by="it is blind to small shifts",
    )

    def check(self) -> None:
        """Loads the network."""
        _distance()

    def compare(self, frames: Frames, reference: Frames) -> Measured:
        """Averages the distances of the frames. Raises CogxError where the shapes differ."""
        return Measured(float(_distance().score(frames, reference).mean()))


@cache
def _distance() -> PerceptualDistance:
    return PerceptualDistance()


def _as_input(frame: npt.NDArray[np.uint8]) -> "torch.Tensor":
    """Converts a frame (H x W x C) to 1 x C x H x W, -1 to 1."""
    import torch

    return torch.tensor(frame).permute(2, 0, 1)[None].float() / 127.5 - 1
