"""Distance of two sets of videos, unbiased for small sets, with an exact level."""

from dataclasses import dataclass

import numpy as np

from cogx_runs.analysis.intervals import Floats

PERMUTATIONS = 9999


@dataclass(frozen=True)
class SetDistance:
    """How far two sets of embeddings are apart."""

    distance: float
    """Unbiased estimate of the squared maximum mean discrepancy; about 0, also below, where the sets do not differ."""
    p: float
    """p of sets that do not differ, by random swaps within pairs; at least 1 / (PERMUTATIONS + 1)."""
    pairs: int


def set_distance(first: Floats, second: Floats) -> SetDistance:
    """Compares two sets of embeddings (n x d each), the videos of a row being a pair: one prompt and one seed.

    The distance is the kernel distance of Binkowski et al. (ICLR 2018), "Demystifying MMD GANs": the unbiased MMD² of
    Gretton et al. (2012), equation 4, which leaves out the two videos of a pair, with the kernel (x·y / d + 1)³. Unlike
    a Fréchet distance it has no bias at few videos. Under the hypothesis that a value changes nothing the videos of a
    pair could be swapped, which gives p. Raises ValueError for fewer than two pairs, or sets of different shapes.
    """
    if first.shape != second.shape or len(first) < 2:
        raise ValueError(f"two sets of one shape, two pairs at least: {first.shape}, {second.shape}")
    count, dimensions = first.shape
    both = np.concatenate([first, second]).astype(np.float64)
    kernel = (both @ both.T / dimensions + 1) ** 3
    swapped = np.random.default_rng(0).random((PERMUTATIONS, count)) < 0.5
    is_first = np.concatenate([~swapped, swapped], axis=1)
    distances = _distances(kernel, np.concatenate([[[True] * count + [False] * count], is_first]))
    tolerance = 1e-9 * float(np.abs(kernel).max())
    reached = int((distances[1:] >= distances[0] - tolerance).sum())
    return SetDistance(float(distances[0]), (1 + reached) / (1 + PERMUTATIONS), count)


def _distances(kernel: Floats, is_first: np.ndarray) -> Floats:
    """Computes the unbiased MMD² of each division of the videos, rows of booleans, into two sets of one size."""
    count = kernel.shape[0] // 2
    partners = np.tile(np.eye(count, dtype=bool), (2, 2))  # a video with itself, and with the other of its pair
    apart = np.where(partners, 0, kernel)
    one = is_first.astype(np.float64)
    other = 1 - one
    near = one @ apart
    within = (near * one).sum(1) + ((other @ apart) * other).sum(1)
    across = (near * other).sum(1)
    result: Floats = (within - 2 * across) / (count * (count - 1))
    return result
