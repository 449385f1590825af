"""LPIPS: its plumbing on random weights, and what it says where package or weights are missing.

Random weights show that frames reach the networks and distances come back; their values mean nothing.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cogx_runs.errors import CogxError, WeightsUnavailableError
from cogx_runs.metrics.perceptual import ALEXNET, PerceptualDistance
from cogx_runs.video import Frames


@pytest.fixture
def torch_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch hub's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return ALEXNET.path


@pytest.fixture
def frames() -> Frames:
    return np.random.RandomState(0).randint(0, 256, (3, 32, 48, 3)).astype(np.uint8)


@pytest.mark.slow
def test_lpips_of_random_weights_is_0_for_equal_frames_symmetric_and_larger_for_more_noise(
    torch_hub: Path, frames: Frames
) -> None:
    from torchvision.models import alexnet

    torch.manual_seed(0)
    torch_hub.parent.mkdir(parents=True)
    torch.save(alexnet().state_dict(), torch_hub)
    lpips = PerceptualDistance()
    near, far = frames // 8 * 8, frames[::-1].copy()

    assert lpips.score(frames, frames).tolist() == [0, 0, 0]
    assert lpips.score(frames, near).tolist() == lpips.score(near, frames).tolist()
    assert (lpips.score(frames, near)[[0, 2]] < lpips.score(frames, far)[[0, 2]]).all()
    with pytest.raises(CogxError, match="^LPIPS: the video is 3 frames of 48x32 and its reference 2 frames of 48x32;"):
        lpips.score(frames, frames[:2])


def test_lpips_without_its_weights_says_what_to_put_where(torch_hub: Path) -> None:
    with pytest.raises(WeightsUnavailableError) as caught:
        PerceptualDistance()

    assert str(caught.value) == (
        f"LPIPS: AlexNet's weights are not at {torch_hub}; download "
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth there (HF_HUB_OFFLINE is set)"
    )


def test_lpips_without_its_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)

    with pytest.raises(WeightsUnavailableError, match=r"not installed; pip install 'cogx-runs\[lpips\]'$"):
        PerceptualDistance()
