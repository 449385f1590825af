"""The video that is measured, with the intermediate results that several metrics share."""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cogx_runs.video import Frames

if TYPE_CHECKING:
    from cogx_runs.metrics.clip import ClipEncoder


@dataclass(frozen=True)
class Subject:
    """A video, its prompt and the CLIP of its metrics. Shared intermediate results are computed once."""

    frames: Frames
    """uint8, T x H x W x C."""
    prompt: str
    clip_model: str
    fps: float
    """Frames a second of its mp4."""

    @cached_property
    def changes(self) -> npt.NDArray[np.float64]:
        """`frame_changes` of its frames."""
        return frame_changes(self.frames)

    @cached_property
    def clip(self) -> "ClipEncoder":
        """Loaded CLIP."""
        from cogx_runs.metrics.clip import encoder_of

        return encoder_of(self.clip_model)

    @cached_property
    def vbench_embeddings(self) -> npt.NDArray[np.float32]:
        """Embeddings of all frames scaled as VBench scales them, T x D, not normalised."""
        return self.clip.embed_frames(self.frames, as_vbench=True)

    @cached_property
    def image_embeddings(self) -> npt.NDArray[np.float32]:
        """Embeddings of all frames by CLIP's own preprocessing, T x D, not normalised."""
        return self.clip.embed_frames(self.frames)


def frame_changes(frames: Frames) -> npt.NDArray[np.float64]:
    """Computes the mean absolute difference of each frame (of T) to the next, 0 to 255; T - 1 values."""
    return np.array([np.abs(later.astype(int) - earlier).mean() for earlier, later in itertools.pairwise(frames)])
