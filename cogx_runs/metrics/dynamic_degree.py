"""Dynamic degree: whether a video moves, by RAFT's optical flow and VBench's rule."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cogx_runs.errors import CogxError
from cogx_runs.metrics.card import Dependence, Likeness, MetricCard
from cogx_runs.metrics.metric import Measured
from cogx_runs.metrics.network_metric import NetworkMetric
from cogx_runs.metrics.subject import Subject
from cogx_runs.metrics.weights_file import WeightsFile
from cogx_runs.video import Frames

if TYPE_CHECKING:
    import torch
    from torch import nn

SAMPLED_FPS = 8
"""Frames a second between which motion is measured."""
UPDATES = 20
"""Refinements of the flow."""
FASTEST_SHARE = 0.05
"""Share of a frame's pixels, the fastest ones, whose mean speed counts."""
FEWEST_FRAMES = 3
"""With fewer, VBench's rule asks for no moving pair at all, and every video would move."""
SMALLEST_SIDE_PX = 128
"""Below, the coarsest correlations of RAFT are empty."""
RAFT = WeightsFile(
    title="RAFT's weights",
    url="https://download.pytorch.org/models/raft_large_C_T_V1-22a6c225.pth",
    size="21 MB",
    licence="BSD-3-Clause",
    sha256="22a6c225",
)
"""The authors' `raft-things.pth`, which VBench takes, as torchvision ports it."""
CARD = MetricCard(
    name="dynamic_degree",
    title="dynamic degree",
    definition="1 where enough pairs of frames at 8 a second move, else 0: 4 n/16 of n frames, rounded, in which the "
    "fastest 5% of RAFT's flow are longer than 6 min(h, w)/256 px on average",
    source="Teed and Deng 2020, by torchvision; VBench, Huang et al. 2024, vbench/dynamic_degree.py",
    margin=0.05,
    depends_on=frozenset({Dependence.FILE}),
    presumes=frozenset({Likeness.LENGTH}),
    fooled_by="a small fast thing, a moving camera, noise and flicker count as motion, and a whole scene that moves "
    "slowly does not",
)


def sampled(frames: Frames, fps: float) -> Frames:
    """Selects about `SAMPLED_FPS` frames a second: each n-th, with n the nearest whole number."""
    return frames[:: max(1, round(fps / SAMPLED_FPS))]


def fastest_speed(flow: npt.NDArray[np.float32]) -> float:
    """Averages the longest `FASTEST_SHARE` of a flow's vectors (2 x H x W), in px."""
    speeds = np.sort(np.hypot(*flow), axis=None)
    return float(speeds[-int(speeds.size * FASTEST_SHARE) :].mean())


def speed_limit(height: int, width: int) -> float:
    """Computes the speed above which a pair of frames moves, in px."""
    return 6 * min(height, width) / 256


def pairs_needed(frame_count: int) -> int:
    """Computes how many pairs must move for the video to move."""
    return round(4 * frame_count / 16)


def is_dynamic(speeds: Sequence[float], limit: float) -> bool:
    """Tells whether enough of a video's T - 1 pairs move, by VBench's rule."""
    return sum(speed > limit for speed in speeds) >= pairs_needed(len(speeds) + 1)


def degree_metric(weights: WeightsFile = RAFT) -> "NetworkMetric[Any]":
    """Builds the metric of a file of RAFT's, large.

    1 for a video that moves, else 0; neither direction is better. Follows VBench's `vbench/dynamic_degree.py`. The
    speeds of the T - 1 sampled pairs are kept. None for fewer than `FEWEST_FRAMES` sampled frames; raises CogxError for
    frames with a side below `SMALLEST_SIDE_PX`.
    """
    return NetworkMetric(card=CARD, file=weights, build=_network, apply=_measure)


def _network(state: "dict[str, torch.Tensor]") -> "nn.Module":
    import torch
    from torchvision.models.optical_flow import raft_large

    with torch.device("meta"):
        network = raft_large()
    network.load_state_dict(state, assign=True)
    raft: nn.Module = network.eval()
    return raft


def _measure(network: "nn.Module", subject: Subject) -> Measured | None:
    frames = sampled(subject.frames, subject.fps)
    if len(frames) < FEWEST_FRAMES:
        return None
    _, height, width, _ = frames.shape
    if min(height, width) < SMALLEST_SIDE_PX:
        raise CogxError(
            f"dynamic degree: {width}x{height}: needs frames of at least {SMALLEST_SIDE_PX}x{SMALLEST_SIDE_PX}"
        )
    inputs = [_as_input(frame) for frame in frames]
    speeds = [fastest_speed(_flow(network, *pair)) for pair in itertools.pairwise(inputs)]
    limit = speed_limit(height, width)
    conditions = {"limit_px": f"{limit:g}", "pairs_needed": str(pairs_needed(len(frames)))}
    return Measured(float(is_dynamic(speeds, limit)), tuple(speeds), conditions)


def _flow(network: "nn.Module", earlier: "torch.Tensor", later: "torch.Tensor") -> npt.NDArray[np.float32]:
    import torch

    with torch.no_grad():
        flow: npt.NDArray[np.float32] = network(earlier, later, num_flow_updates=UPDATES)[-1][0].numpy()
    return flow


def _as_input(frame: npt.NDArray[np.uint8]) -> "torch.Tensor":
    """Converts a frame (H x W x C) to 1 x C x H x W, -1 to 1, its edges repeated to multiples of 8 px on all sides."""
    import torch
    from torch.nn.functional import pad

    height, width = frame.shape[:2]
    rows, columns = -height % 8, -width % 8
    pixels = 2 * (torch.tensor(frame).permute(2, 0, 1)[None].float() / 255) - 1
    return pad(pixels, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2], mode="replicate")


METRIC = degree_metric()
