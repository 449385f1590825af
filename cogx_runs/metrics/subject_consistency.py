"""Subject consistency: how alike the frames' DINO features are, as VBench measures it."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cogx_runs.metrics.card import Likeness, MetricCard
from cogx_runs.metrics.consistency import background_consistency
from cogx_runs.metrics.metric import Measured
from cogx_runs.metrics.network_metric import NetworkMetric
from cogx_runs.metrics.subject import Subject
from cogx_runs.metrics.weights_file import WeightsFile
from cogx_runs.video import Frames

if TYPE_CHECKING:
    import torch
    from torch import nn

BATCH_SIZE = 8
HEAD_WIDTH = 64
"""Width of an attention head in every ViT of DINO's."""
DINO = WeightsFile(
    title="DINO's weights of ViT-B/16",
    url="https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
    size="343 MB",
    licence="Apache-2.0",
)
CARD = MetricCard(
    name="subject_consistency",
    title="subject consistency",
    definition="mean of the cosines of DINO ViT-B/16's features of a frame to those of the frame before and of the "
    "first, each at least 0; mean over all frames but the first",
    source="Caron et al. 2021; VBench, Huang et al. 2024, vbench/subject_consistency.py",
    direction="higher",
    digits=4,
    margin=0.005,
    presumes=frozenset({Likeness.RATE, Likeness.LENGTH}),
    fooled_by="a frozen video has 1; motion of the subject or of the camera lowers it",
)


class DinoEncoder:
    """DINO's ViT (Caron et al., ICCV 2021) by timm, for frames of any size; on the CPU."""

    def __init__(self, state: "dict[str, torch.Tensor]") -> None:
        """Takes the tensors of DINO's own files, whose names are timm's; width, depth and patch follow from them.

        Raises KeyError for those of another network.
        """
        patches = state["patch_embed.proj.weight"]
        self._state = state
        self._width, self._patch_px = patches.shape[0], patches.shape[-1]
        self._depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
        self._networks: dict[tuple[int, int], nn.Module] = {}
        self._network(224, 224)

    def embed_frames(self, frames: Frames) -> npt.NDArray[np.float32]:
        """Embeds frames (uint8, T x H x W x C), scaled as VBench scales them for DINO; T x D, not normalised."""
        import torch

        from cogx_runs.metrics.vbench_pixels import dino_pixels

        pixels = dino_pixels(frames)
        network = self._network(*pixels.shape[-2:])
        with torch.no_grad():
            return np.concatenate([network(batch).numpy() for batch in torch.split(pixels, BATCH_SIZE)])

    def _network(self, height: int, width: int) -> "nn.Module":
        """Builds the network for frames of one size."""
        import torch
        from timm.models.vision_transformer import VisionTransformer

        if (height, width) not in self._networks:
            with torch.device("meta"):  # random initial weights take a second, and are replaced
                network = VisionTransformer(
                    img_size=(height, width),
                    patch_size=self._patch_px,
                    embed_dim=self._width,
                    depth=self._depth,
                    num_heads=self._width // HEAD_WIDTH,
                    num_classes=0,
                )
            positions = _resampled(self._state["pos_embed"], height, width, self._patch_px)
            network.load_state_dict({**self._state, "pos_embed": positions}, assign=True)
            self._networks[height, width] = network.eval()
        return self._networks[height, width]


def _resampled(positions: "torch.Tensor", height: int, width: int, patch_px: int) -> "torch.Tensor":
    """Resamples position embeddings (1 x 1 + P² x D) to frames of another size, as DINO's
    `VisionTransformer.interpolate_pos_encoding` does; timm's own resampling has another kernel and no offset."""
    from torch import cat
    from torch.nn.functional import interpolate

    side = round((positions.shape[1] - 1) ** 0.5)
    rows, columns = height // patch_px, width // patch_px
    if rows * columns == side**2 and height == width:
        return positions
    grid = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = ((rows + 0.1) / side, (columns + 0.1) / side)  # DINO's guard against rounding down, which shifts a little
    grid = interpolate(grid, scale_factor=scale, mode="bicubic")
    return cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def subject_metric(weights: WeightsFile = DINO) -> "NetworkMetric[Any]":
    """Builds the metric of a file of DINO's.

    T - 1 values, whose mean is the metric; 0 to 1, higher is better. Follows VBench's `vbench/subject_consistency.py`,
    whose formula is that of background consistency. None for a single frame.
    """
    return NetworkMetric(card=CARD, file=weights, build=DinoEncoder, apply=_measure)


def _measure(encoder: DinoEncoder, subject: Subject) -> Measured | None:
    if len(subject.frames) < 2:
        return None
    return Measured(float(background_consistency(encoder.embed_frames(subject.frames)).mean()))


METRIC = subject_metric()
