"""Thresholds judged by differences from the reference, and differences of each kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from cogx_runs.analysis.threshold import Threshold, judge_threshold

SHORT = (10, 20, 40, 50)


def judged(differences: Mapping[int, Sequence[float]], ladder: Sequence[int] = SHORT, **given: Any) -> Threshold:
    options = {"margin": 1.0, "better": "higher", "metric": "clip_score", "seeds": 2, **given}
    return judge_threshold(differences, ladder, **options)


GOOD, BAD, UNSURE = (
    [*four * 3, *four[:2]] for four in ([-0.1, 0.1, 0.0, 0.05], [-3.1, -2.9, -3.0, -3.05], [-3.0, 0.0, 1.0, -1.0])
)
