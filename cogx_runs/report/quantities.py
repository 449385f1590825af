"""Which metrics a report shows where."""

from cogx_runs.metrics import clip_score
from cogx_runs.metrics.measured import FILE_SIZE, PEAK_VRAM, WALL_TIME
from cogx_runs.metrics.registry import metrics

COMPARED = (*(metric.card for metric in metrics()), WALL_TIME, PEAK_VRAM, FILE_SIZE)
"""Against the baseline; comparisons with a reference have none."""
PLOTTED = (clip_score.CARD, WALL_TIME)
