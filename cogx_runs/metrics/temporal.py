"""How frames differ from those before them."""

import itertools

import numpy as np
import numpy.typing as npt

from cogx_runs.video import Frames


def frame_changes(frames: Frames) -> npt.NDArray[np.float64]:
    """Mean absolute difference of each frame (of T) to the next, 0 to 255; T - 1 values."""
    return np.array([np.abs(later.astype(int) - earlier).mean() for earlier, later in itertools.pairwise(frames)])
