"""Finals of the chosen candidates, by the metric that chose them and by one that did not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from cogx_runs.analysis.promotion.choice import Choice, direction_to_choose_by, qualities_of
from cogx_runs.analysis.promotion.previews import previews
from cogx_runs.analysis.verdict import Verdict, judge
from cogx_runs.metrics.card import Direction
from cogx_runs.metrics.registry import is_same_measure

Difference = Literal["change", "lead", "final lead"]


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """A chosen candidate at both step counts; None for missing values."""

    prompt: str
    rank: int
    of: int
    run_name: str
    """Name of the candidate's run."""
    run_id: str
    final_run_id: str | None
    preview: float
    """Value of the metric that chose, at the preview's step count."""
    final: float | None
    final_rank: int | None
    """Rank among the finals of its prompt; None unless every candidate has one, since the chosen are no sample of
    them."""
    final_is_degenerate: bool
    """Whether the video at the final steps is noise, one flat colour or frozen."""
    check_preview: float | None
    """Value of the metric that did not choose, at the preview's step count."""
    check_final: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A mean difference of the best candidates over prompts, with its plain 95% interval."""

    what: Difference
    """`change`: the value at the final step count less that at the preview's. `lead`: the value less the mean of the
    other candidates of the prompt, at the preview's step count; `final lead`: at the final one."""
    metric: str
    direction: Direction
    chose: bool
    """Whether this metric chose the candidates. If so, the lead at the preview is positive by construction, and the
    change is too small by the part of that lead that was luck."""
    prompts: int
    mean: float
    low: float | None
    """Lower end of the interval; None for one prompt."""
    high: float | None
    p: float | None
    """p of no difference, two-sided."""
    verdict: Verdict


def metric_to_check_by(frame: pd.DataFrame, choice: Choice) -> str | None:
    """Finds a metric that did not choose and that every candidate has; None where there is none. The one that chose is
    no second opinion when it is measured again on the mp4.

    Metrics that measure the same thing (another CLIP's score) come first, else the order is that of registration.
    """
    family = choice.by.partition(".")[0]
    others = [metric for metric in qualities_of(frame) if not is_same_measure(metric, choice.by)]
    for metric in sorted(others, key=lambda metric: metric.partition(".")[0] != family):
        if {one.signature for one in choice.candidates} <= set(_values(frame, choice, metric)):
            return metric
    return None


def promoted(frame: pd.DataFrame, choice: Choice, check: str | None) -> tuple[Promoted, ...]:
    """Collects the values of each chosen candidate and of its final from the runs in `frame`."""
    chosen = _values(frame, choice, choice.by)
    checked = {} if check is None else _values(frame, choice, check)
    found = []
    for group in choice.by_prompt:
        finals = [chosen.get(one.signature, _NONE).final for one in group]
        is_whole = all(final is not None for final in finals)
        for one in group:
            if one not in choice.promoted:
                continue
            of, by_check = chosen.get(one.signature, _NONE), checked.get(one.signature, _NONE)
            found.append(
                Promoted(
                    prompt=one.prompt,
                    rank=one.rank,
                    of=one.of,
                    run_name=one.run_name,
                    run_id=one.run_id,
                    final_run_id=of.final_run_id,
                    preview=one.value,
                    final=of.final,
                    final_rank=_rank(of.final, finals, choice.direction) if of.final is not None and is_whole else None,
                    final_is_degenerate=of.final_is_degenerate,
                    check_preview=by_check.preview,
                    check_final=by_check.final,
                )
            )
    return tuple(found)


def compare(frame: pd.DataFrame, choice: Choice, metric: str) -> tuple[Comparison, ...]:
    """Compares the best candidates by a metric: their change with the steps, and their lead over the others.

    A prompt counts where it has the values that a comparison needs: a lead needs one of every candidate, since the mean
    of those chosen next is not the mean of the others. A comparison without prompts is left out.
    """
    values = _values(frame, choice, metric)
    direction = direction_to_choose_by(frame, metric, "--check")
    differences: dict[Difference, list[float]] = {"change": [], "lead": [], "final lead": []}
    for best, *others in choice.by_prompt:
        group = [values.get(one.signature, _NONE) for one in (best, *others)]
        before = [value.preview for value in group if value.preview is not None]
        after = [value.final for value in group if value.final is not None]
        if group[0].preview is not None and group[0].final is not None:
            differences["change"].append(group[0].final - group[0].preview)
        if others and len(before) == len(group):
            differences["lead"].append(before[0] - float(np.mean(before[1:])))
        if others and len(after) == len(group):
            differences["final lead"].append(after[0] - float(np.mean(after[1:])))
    found = []
    for what, over_prompts in differences.items():
        if over_prompts:
            (judgement,) = judge([over_prompts], [None], direction)
            found.append(
                Comparison(
                    what=what,
                    metric=metric,
                    direction=direction,
                    chose=metric == choice.by,
                    prompts=judgement.prompts,
                    mean=judgement.mean,
                    low=judgement.low,
                    high=judgement.high,
                    p=judgement.p,
                    verdict=judgement.verdict,
                )
            )
    return tuple(found)


@dataclass(frozen=True)
class _Value:
    """A candidate's values of some metric."""

    preview: float | None
    final: float | None
    final_run_id: str | None
    final_is_degenerate: bool


_NONE = _Value(None, None, None, False)


def _rank(value: float, among: Sequence[float | None], direction: Direction) -> int:
    better = [
        other for other in among if other is not None and other != value and (other > value) == (direction == "higher")
    ]
    return 1 + len(better)


def _values(frame: pd.DataFrame, choice: Choice, metric: str) -> Mapping[str, _Value]:
    """Reads the values of a metric by the candidate's signature."""
    rows = previews(frame, metric, choice.from_steps, choice.steps)
    found = {}
    for row in rows.to_dict("records"):
        has_final = not pd.isna(row["final"])
        found[str(row["signature"])] = _Value(
            float(row["preview"]),
            float(row["final"]) if has_final else None,
            str(row["final_run_id"]) if has_final else None,
            has_final and bool(row["final_is_degenerate"]),
        )
    return found
