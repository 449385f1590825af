"""Which metrics a report shows where, and how it writes the values of parameters."""

from typing import Any

from cogx_runs.metrics import clip_score
from cogx_runs.metrics.measured import FILE_SIZE, PEAK_VRAM, WALL_TIME
from cogx_runs.metrics.registry import metrics

COMPARED = (*(metric.card for metric in metrics()), WALL_TIME, PEAK_VRAM, FILE_SIZE)
"""Against the baseline; comparisons with a reference have none."""
PLOTTED = (clip_score.CARD, WALL_TIME)


def write_value(value: Any) -> str:
    """A parameter's value as a reader writes it: `6` for 6.0, `on` for True, `(empty)` for no text."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "(empty)"
