"""Shares of prompts and their median, with exact intervals: what holds of most prompts, however large the rest is."""

import numpy as np
import numpy.typing as npt
from scipy import special

MAY_CHANGE = 0.2
"""Largest share of prompts that may lie beyond the margin where a verdict says that there is no difference."""


def share_interval(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Computes the two-sided interval of a share (Clopper and Pearson 1934), as scipy's `binomtest`, which searches."""
    tail = (1 + confidence) / 2
    return 1 - float(upper_share(of - count, of, tail)), float(upper_share(count, of, tail))


def upper_share(count: npt.ArrayLike, of: int, confidence: float = 0.95) -> npt.NDArray[np.float64]:
    """Computes the one-sided upper bound of a share (Clopper and Pearson 1934)."""
    count = np.asarray(count)
    return np.where(count >= of, 1.0, special.betaincinv(np.minimum(count, of - 1) + 1, of - count, confidence))


def prompts_for(count: int, share: float = MAY_CHANGE) -> int:
    """Computes how few prompts, `count` of them beyond the margin, leave the upper bound at `share` or below."""
    of = count + 1
    while upper_share(count, of) > share:
        of += 1
    return of


def median_interval(values: npt.ArrayLike, confidence: float = 0.95) -> tuple[float, float] | None:
    """Computes the exact interval of the median by order statistics; None where the values are too few for one, as five
    are at 95%."""
    ordered = np.sort(np.asarray(values, dtype=float))
    count = len(ordered)
    below = special.bdtr(np.arange(count), count, 0.5)  # P(that many of the values or fewer are below the median)
    rank = int((below <= (1 - confidence) / 2).sum())
    return None if rank == 0 else (float(ordered[rank - 1]), float(ordered[count - rank]))
