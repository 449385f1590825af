"""What H.264 does to a score: the value over the frames of the mp4 less that over the frames before."""

from collections.abc import Mapping

from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import cards


def compression_change(card: MetricCard, metrics: Mapping[str, float]) -> float | None:
    """Returns the value of the mp4 less that of the frames, in the stored unit.

    None without both values, and where they are the same number, as those of an imported video are: its frames are
    those of its mp4.
    """
    for other in cards().values():
        if other.repeats == card.name and other.name in metrics and card.name in metrics:
            change = metrics[other.name] - metrics[card.name]
            return change if change != 0 else None
    return None


def write_with_change(card: MetricCard, metrics: Mapping[str, float]) -> str:
    """Formats a video's value of a metric with what H.264 does to it: `34.20 (mp4 −1.30)`."""
    change = compression_change(card, metrics)
    value = card.write(metrics[card.name])
    return value if change is None else f"{value} (mp4 {card.number(change, signed=True)})"
