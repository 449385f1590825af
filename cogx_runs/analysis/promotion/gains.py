"""What previews are worth: the gain of choosing among so many candidates at so many steps, and for each second spent.

The best preview of n leads by e_n s on average, e_n being the mean of the largest of n standard normal values (Harter
1961) and s the standard deviation of the prompt's previews. With the slope b of finals on previews
(`calibration.py`) choosing gains b e_n s (Cochran 1951, "Improvement by means of selection"), on average over prompts
with their mean of s: by the mean of s squared the prompts with most spread would speak for all.

Beside it stands what choosing gains over all choices of n among the candidates that are there, which assumes no
distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import special

from cogx_runs.analysis.effects import direction_of
from cogx_runs.analysis.pairs import finished_cells, largest_machine
from cogx_runs.analysis.promotion.calibration import (
    Calibration,
    Candidates,
    calibrate,
    candidates_of,
    jackknife,
    unit_of,
    varies,
)
from cogx_runs.analysis.promotion.expected import ExpectedFinals, expected_finals
from cogx_runs.analysis.promotion.previews import STEPS
from cogx_runs.analysis.strata import check_not_mixed
from cogx_runs.errors import CogxError
from cogx_runs.metrics.card import Direction
from cogx_runs.metrics.measured import WALL_TIME
from cogx_runs.tracking.columns import metric_column, param_column
from cogx_runs.tracking.run import RunState

FEWEST_FINISHED = 3
"""Fewest prompts with finals of all their candidates of which anything is concluded."""
MOST_CANDIDATES = 8
"""Most candidates a prompt whose gain is estimated."""
NEARLY = 0.95
"""Share of the best gain a second from which on another number of candidates is as good as the best."""


@dataclass(frozen=True, kw_only=True)
class PreviewGain:
    """What a number of candidates gains, and what it costs, a prompt."""

    from_steps: int
    """Steps of the candidates. At the final step count nothing is previewed: all candidates are finals."""
    candidates: int
    gain: float
    """Expected gain of the best one's final over that of a candidate at random, in the metric's unit; positive where it
    is an improvement."""
    low: float
    """Lower end of the 95% interval over prompts."""
    high: float
    seen: float | None
    """Mean gain over all choices of so many candidates among those of the prompts that have as many; None where fewer
    than FEWEST_FINISHED have."""
    seconds: float | None
    """Seconds for all previews and one final, or for all finals, scores aside; None where a time is missing."""
    per_second: float | None
    """Gain by seconds."""


@dataclass(frozen=True, kw_only=True)
class PreviewGains:
    """What previews at each step count are worth by a metric, for finals at `steps`."""

    metric: str
    direction: Direction
    steps: int
    calibrations: tuple[Calibration, ...]
    """By step count; those aside of which fewer than FEWEST_FINISHED prompts are finished."""
    finished: tuple[tuple[int, int], ...]
    """Each step count below `steps`, with the number of prompts of which all candidates have a final."""
    expected: ExpectedFinals | None
    """Of the step count that was asked for; None where it has no calibration."""
    rows: tuple[PreviewGain, ...]
    """By step count and number of candidates."""
    best: PreviewGain | None
    """The row with the largest gain a second; None where no times are known, or nothing is gained."""

    @property
    def nearly(self) -> tuple[int, ...]:
        """Numbers of candidates at the best row's step count that gain NEARLY as much a second."""
        if self.best is None or self.best.per_second is None:
            return ()
        return tuple(
            row.candidates
            for row in self.rows
            if row.from_steps == self.best.from_steps
            and row.per_second is not None
            and row.per_second >= NEARLY * self.best.per_second
        )

    def shown(self, from_steps: int) -> tuple[PreviewGain, ...]:
        """Selects the rows that a reader is shown: those of `from_steps`, and the best one of each other step count."""
        others = [
            _best([row for row in self.rows if row.from_steps == count])
            for count in dict.fromkeys(row.from_steps for row in self.rows)
            if count != from_steps
        ]
        shown = [*(row for row in self.rows if row.from_steps == from_steps), *others]
        return tuple(row for row in self.rows if row in shown)


def preview_gains(frame: pd.DataFrame, metric: str, steps: int = 50, from_steps: int | None = None) -> PreviewGains:
    """Estimates what previews are worth: how many candidates at which step count gain most a second by a metric.

    `frame` is as `load_runs` returns it. Candidates of a prompt are its finished cells at one step count below `steps`,
    those aside that are degenerate there. `from_steps` names the step count whose best previews' finals are estimated,
    by default the one that is there. Raises CogxError for a metric that no run has or whose better direction is
    unknown, and where models, CLIPs, sizes, precisions or definitions are mixed.
    """
    direction = direction_of(metric)
    if direction is None:
        raise CogxError(f"{metric}: nobody knows which direction is better, so that there is no best")
    cells = finished_cells(frame, (metric,), (STEPS,))
    check_not_mixed(cells, (metric,), f"{metric} of previews")
    counts = sorted({int(count) for count in cells[param_column(STEPS)].dropna() if count < steps})
    groups = {count: candidates_of(frame, metric, count, steps, direction) for count in counts}
    taught = {count: [group for group in found if group.is_finished] for count, found in groups.items()}
    usable = {count: found for count, found in taught.items() if len(found) >= FEWEST_FINISHED and varies(found)}
    if from_steps is None and len(counts) == 1:
        from_steps = counts[0]
    seconds = _seconds(frame, [*usable, steps])
    rows = [row for count, found in usable.items() for row in _rows(count, found, seconds, steps)]
    if usable:
        most = max(usable.values(), key=lambda found: sum(len(group.finals) for group in found))
        finals = [group.without_preview() for group in most]
        rows += _rows(steps, finals, seconds, steps) if varies(finals) else []
    return PreviewGains(
        metric=metric,
        direction=direction,
        steps=steps,
        calibrations=tuple(calibrate(count, found) for count, found in usable.items()),
        finished=tuple((count, len(found)) for count, found in taught.items()),
        expected=expected_finals(from_steps, groups[from_steps]) if from_steps in usable else None,
        rows=tuple(rows),
        best=_best(rows),
    )


@cache
def largest_of(count: int) -> float:
    """Computes the mean of the largest of so many standard normal values (Harter 1961, Biometrika 48:151): 0.56 for
    two, 1.16 for five."""
    if count == 1:
        return 0.0
    x = np.linspace(-10, 10, 4001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return float(count * (x * density * special.ndtr(x) ** (count - 1)).sum() * (x[1] - x[0]))


def _rows(count: int, groups: Sequence[Candidates], seconds: Mapping[int, float], steps: int) -> list[PreviewGain]:
    """Estimates gain and cost of each number of candidates. One alone needs no preview."""
    unit = unit_of(groups)
    low, high = jackknife(groups, unit_of)
    rows = []
    for number in range(1, MOST_CANDIDATES + 1):
        lead = largest_of(number)
        several = [group for group in groups if len(group.finals) >= number]
        spent = None
        if count in seconds and steps in seconds:
            previewed = 0 if number == 1 else number
            spent = number * seconds[steps] if count == steps else previewed * seconds[count] + seconds[steps]
        rows.append(
            PreviewGain(
                from_steps=count,
                candidates=number,
                gain=lead * unit,
                low=lead * low,
                high=lead * high,
                seen=float(np.mean([group.seen(number) for group in several]))
                if len(several) >= FEWEST_FINISHED
                else None,
                seconds=spent,
                per_second=lead * unit / spent if spent else None,
            )
        )
    return rows


def _seconds(frame: pd.DataFrame, counts: Sequence[int]) -> Mapping[int, float]:
    """Measures the seconds of a video at each step count, text encoding aside, on the device of most prompts."""
    name = metric_column(WALL_TIME.name)
    if name not in frame.columns:
        return {}
    of_counts = frame[param_column(STEPS)].isin(counts).fillna(False).astype(bool)
    cells = finished_cells(frame[of_counts & (frame["status"] == RunState.FINISHED)], (WALL_TIME.name,), (STEPS,))
    if cells.empty:
        return {}
    means = largest_machine(cells).groupby(param_column(STEPS))[name].mean()
    return {count: float(means[count]) for count in counts if count in means.index}


def _best(rows: Sequence[PreviewGain]) -> PreviewGain | None:
    known = [row for row in rows if row.per_second is not None and row.gain > 0]
    return max(known, key=lambda row: row.per_second or 0.0, default=None)
