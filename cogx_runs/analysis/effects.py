"""What each value of each axis changes in each metric, against the baseline, paired by prompt and seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from cogx_runs.analysis.kinds import kinds_of
from cogx_runs.analysis.pairs import Pairs, pair_cells, values_of
from cogx_runs.analysis.verdict import Judgement, judge, more_prompts
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.errors import CogxError
from cogx_runs.metrics.card import Direction
from cogx_runs.metrics.registry import card_of

METRICS = ("clip_score", "wall_time_s", "peak_vram_gib", "file_size_bytes")
ASPECTS = {"quality": "clip_score", "time": "wall_time_s", "memory": "peak_vram_gib"}
"""The metric by which each aspect's parameters are ranked."""


@dataclass(frozen=True)
class Margin:
    """How small a change does not matter."""

    size: float
    """In the metric's unit, or of its mean at the baseline."""
    relative: bool = False

    @classmethod
    def parse(cls, text: str) -> "Margin":
        """`0.5` in the metric's unit, `5%` of its mean at the baseline. Raises CogxError for what is neither."""
        number = text.strip()
        relative = number.endswith("%")
        try:
            size = float(number.removesuffix("%"))
        except ValueError:
            size = math.nan
        if not 0 < size < math.inf:
            raise CogxError(f"a margin of {text!r}: write a number above 0 in the metric's unit, or a share such as 5%")
        return cls(size / 100 if relative else size, relative)


MARGIN = Margin(0.05, relative=True)
"""Of a metric whose card names none. Both are conventions of this package, there to be set to what matters to you."""


@dataclass(frozen=True, kw_only=True)
class Effect(Judgement):
    """The change of a metric at one value of an axis against the baseline."""

    axis: str
    value: Any
    baseline: Any
    metric: str
    kind: str
    """What tells the runs from others that are not averaged with them, `model 5b`; empty where all are alike, or where
    not asked for."""
    baseline_mean: float
    """Of the metric at the baseline, over the prompts compared."""
    pairs: int
    """Of cells that differ in the axis alone."""
    seeds: int
    """Over which a prompt's differences are averaged."""
    settings: int
    """Combinations of the other parameters, over which they are averaged too; 1 outside a grid."""
    degenerate: int
    """Of the pairs' videos at the value: those that are degenerate (noise, one flat colour, frozen). They count."""
    degenerate_baseline: int
    """The same at the baseline."""
    left_out: int
    """Pairs not used since they were measured on another device or in another placement, or timed beside another
    sweep."""
    more_prompts: int | None
    """New ones that, judged alone, would settle it at 80% power, were the mean and spread seen the true ones; None
    unless `inconclusive`, and where it would take more than 1000."""


@dataclass(frozen=True)
class Ranked:
    """A parameter, by the largest change of a metric that any of its values makes."""

    aspect: str
    """`quality`, `time` or `memory`."""
    rank: int
    axis: str
    effect: Effect
    """The one of the largest change; see its verdict before believing the rank."""


def direction_of(metric: str) -> Direction | None:
    """Which direction is better; None where neither is, or nobody knows."""
    card = card_of(metric)
    return None if card is None else card.direction


def effects(
    frame: pd.DataFrame,
    axes: Sequence[str],
    metrics: Sequence[str] = METRICS,
    baselines: Mapping[str, Any] | None = None,
    margins: Mapping[str, Margin | None] | None = None,
    *,
    apart: bool = False,
    among: pd.DataFrame | None = None,
) -> list[Effect]:
    """The effects by metric, axis and value; none where no pair has both values.

    `frame` is as `load_runs` gives it; `baselines` names an axis' baseline where it is not the default value;
    `margins` sets a metric's margin, or None for no verdict of equivalence. All effects of a metric are corrected as
    one family. Runs of several models, CLIPs, sizes or precisions are never averaged: with `apart` each kind has
    effects of its own, told from the others of `among` (by default of `frame`), without it CogxError is raised. It is
    raised too for unknown axes, metrics and baselines.
    """
    chosen = {axis: baseline_of(frame, axis, baselines or {}) for axis in axes}
    found = []
    for metric in metrics:
        compared = [
            (axis, value, kind, pairs)
            for axis in axes
            for kind, runs in (kinds_of(frame, (metric,), (axis,), among) if apart else [("", frame)])
            for value, pairs in _compared(runs, axis, chosen[axis], metric)
        ]
        bounds = [margin_of(metric, pairs.baseline_mean, margins or {}) for *_, pairs in compared]
        judgements = judge([pairs.by_prompt for *_, pairs in compared], bounds, direction_of(metric))
        for (axis, value, kind, pairs), judgement in zip(compared, judgements, strict=True):
            found.append(_effect(axis, value, chosen[axis], metric, kind, pairs, judgement))
    return found


def _compared(frame: pd.DataFrame, axis: str, baseline: Any, metric: str) -> list[tuple[Any, Pairs]]:
    values = [value for value in values_of(frame, axis) if value != baseline]
    return pair_cells(frame, axis, values, baseline, metric)


def effects_frame(found: Sequence[Effect]) -> pd.DataFrame:
    """One row an effect, one column a field."""
    names = ["metric", "axis", "value", "baseline", "mean", "low", "high", "verdict"]
    frame = pd.DataFrame.from_records([asdict(effect) for effect in found], columns=list(Effect.__dataclass_fields__))
    return frame[[*names, *(name for name in frame.columns if name not in names)]]


def rank_parameters(found: Sequence[Effect]) -> list[Ranked]:
    """The axes of each aspect by the largest absolute change that one of their values makes.

    Changes of one metric share its unit, so that they are ranked as they are, not by effect size, which a noisy axis
    loses. Each kind of runs is ranked by itself. The ranks hold for the values swept: a wider sweep of an axis ranks it
    higher.
    """
    ranked = []
    for aspect, metric in ASPECTS.items():
        of_metric = [effect for effect in found if effect.metric == metric]
        for kind in dict.fromkeys(effect.kind for effect in of_metric):
            largest: dict[str, Effect] = {}
            for effect in of_metric:
                if effect.kind == kind and (
                    effect.axis not in largest or abs(effect.mean) > abs(largest[effect.axis].mean)
                ):
                    largest[effect.axis] = effect
            ordered = sorted(largest.values(), key=lambda effect: (-abs(effect.mean), effect.axis))
            ranked += [Ranked(aspect, rank, effect.axis, effect) for rank, effect in enumerate(ordered, 1)]
    return ranked


def margin_of(metric: str, baseline_mean: float, margins: Mapping[str, Margin | None]) -> float | None:
    """A metric's margin in its unit; None where there is none."""
    card = card_of(metric)
    default = MARGIN if card is None or card.margin is None else Margin(card.margin)
    margin = margins.get(metric, default)
    if margin is None:
        return None
    return margin.size * abs(baseline_mean) if margin.relative else margin.size


def baseline_of(frame: pd.DataFrame, axis: str, baselines: Mapping[str, Any]) -> Any:
    """The one that is named, else the default value; raises CogxError where several values are there and not that."""
    values = values_of(frame, axis)
    default = Parameters.model_fields[axis].default
    baseline = baselines.get(axis, default)
    if values and baseline not in values and (axis in baselines or len(values) > 1):
        asked = "its baseline" if axis in baselines else "its default"
        named = ", ".join(map(str, values))
        raise CogxError(f"{axis}: no finished run at {asked}, {baseline!r}; name one of {named} as its baseline")
    return baseline


def _effect(axis: str, value: Any, baseline: Any, metric: str, kind: str, pairs: Pairs, judgement: Judgement) -> Effect:
    return Effect(
        **asdict(judgement),
        axis=axis,
        value=value,
        baseline=baseline,
        metric=metric,
        kind=kind,
        baseline_mean=pairs.baseline_mean,
        pairs=pairs.pairs,
        seeds=pairs.seeds,
        settings=pairs.settings,
        degenerate=pairs.degenerate,
        degenerate_baseline=pairs.degenerate_baseline,
        left_out=pairs.left_out,
        more_prompts=more_prompts(judgement, np.asarray(pairs.by_prompt)),
    )
