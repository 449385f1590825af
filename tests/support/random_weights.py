"""Random weights of the extra metrics' networks, the same with any version of NumPy and torch; their values mean
nothing, and show that a network is built, fed and read as the reference is."""

from collections.abc import Mapping

import numpy as np
import torch

from cogx_runs.metrics.weights_file import WeightsFile
from cogx_runs.video import Frames
from tests.support.reference_videos import moving_square

SLOW = 0.0185
State = Mapping[str, torch.Tensor]


def random_state(like: State, seed: int) -> dict[str, torch.Tensor]:
    """Random tensors of these names and shapes: matrices of unit gain, everything else near its usual value."""
    random = np.random.RandomState(seed)
    return {name: _drawn(name, tuple(value.shape), random) for name, value in like.items()}


def _drawn(name: str, shape: tuple[int, ...], random: np.random.RandomState) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    around = 1.0 if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")) else 0.0
    spread = 0.1 if len(shape) < 2 or name.endswith(("pos_embed", "cls_token")) else np.prod(shape[1:]) ** -0.5
    return torch.tensor(around + spread * np.abs(random.standard_normal(shape)) * random.choice([-1, 1], shape)).float()


def dino_state() -> dict[str, torch.Tensor]:
    """A ViT as DINO's, 128 wide and 2 blocks deep."""
    from timm.models.vision_transformer import VisionTransformer

    with torch.device("meta"):
        network = VisionTransformer(embed_dim=128, depth=2, num_heads=2, num_classes=0)
    return random_state(network.state_dict(), 0)


def raft_state() -> dict[str, torch.Tensor]:
    """A large RAFT, by torchvision's names."""
    from torchvision.models.optical_flow import raft_large

    with torch.device("meta"):
        network = raft_large()
    state = random_state(network.state_dict(), 0)
    for name in ("weight", "bias"):  # flows of a few px, so that some move and some do not
        state[f"update_block.flow_head.conv2.{name}"] *= SLOW
    return state


def head_state() -> dict[str, torch.Tensor]:
    """A head on embeddings of 32 numbers, as those of `save_random_clip`."""
    return random_state({"weight": torch.empty(1, 32), "bias": torch.empty(1)}, 0)


def save_weights(state: State, name: str) -> WeightsFile:
    """Puts weights where a metric looks for a file of that name."""
    file = WeightsFile(title=f"weights of {name}", url=f"https://nowhere.test/{name}.pth", size="small", licence="none")
    file.path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state), file.path)
    return file


def flow_videos() -> dict[str, Frames]:
    """Short videos that are large enough for RAFT; one is no multiple of 8 px."""
    return {
        "square": moving_square(3, 132, 138, step_px=5),
        "noise": np.random.RandomState(1).randint(0, 256, (3, 128, 136, 3)).astype(np.uint8),
    }
