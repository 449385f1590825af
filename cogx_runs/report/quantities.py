"""Metrics that a report compares and plots."""

from cogx_runs.metrics import clip_score
from cogx_runs.metrics.measured import FILE_SIZE, PEAK_VRAM, WALL_TIME
from cogx_runs.metrics.registry import extra_cards, metrics

COMPARED = (*(metric.card for metric in metrics()), *extra_cards().values(), WALL_TIME, PEAK_VRAM, FILE_SIZE)
"""Cards of the metrics that are compared with the baseline; metrics against a reference are not."""
PLOTTED = (clip_score.CARD, WALL_TIME)
"""Cards of the metrics that are plotted."""
