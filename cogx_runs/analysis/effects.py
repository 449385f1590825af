"""Effects of each value of each axis on each metric, against the baseline, paired by prompt and seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd

from cogx_runs.analysis.intervals import ALPHA, Sample
from cogx_runs.analysis.pairs import Pairs, pair_cells, values_of, with_followers
from cogx_runs.analysis.sequential import ONE_LOOK, Looks
from cogx_runs.analysis.strata import strata_of
from cogx_runs.analysis.verdict import Differences, Family, Judgement, judge_families, more_prompts
from cogx_runs.definitions.parameters import default_of
from cogx_runs.definitions.variables import is_variable
from cogx_runs.errors import CogxError
from cogx_runs.metrics.card import Direction
from cogx_runs.metrics.registry import card_of, is_of_machine
from cogx_runs.notebook import Records

METRICS = ("clip_score", "wall_time_s", "peak_vram_gib", "file_size_bytes")
PRIMARY = "clip_score"
"""The metric that carries verdicts where a sweep file names none."""
MOST_LOST = 1 / 3
"""Share of lost pairs from which on there is no verdict: what is left is no sample of what was to be compared."""


@dataclass(frozen=True)
class Margin:
    """The largest change that does not matter."""

    size: float
    """In the metric's unit, or as a share of its mean at the baseline."""
    relative: bool = False

    @classmethod
    def parse(cls, text: str) -> "Margin":
        """Reads a margin: `0.5` in the metric's unit, `5%` of its mean at the baseline. Raises CogxError for others."""
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
"""The margin of a metric whose card names none. Both are conventions of this package; set them to what matters to
you."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A value of an axis against the baseline by one metric, before it is judged."""

    axis: str
    value: Any
    baseline: Any
    metric: str
    kind: str
    """The stratum of the runs, `model 5b`, by the parameters that are never averaged over; empty where all runs are of
    one stratum."""
    family: Family
    pairs: Pairs


@dataclass(frozen=True, kw_only=True)
class PromptEffect:
    """The change of a metric in one prompt."""

    prompt: str
    mean: float
    """Mean over its seeds and other settings."""
    low: float | None
    """Lower end of Student's 95% interval over its seeds; None for one seed."""
    high: float | None
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Effect(Judgement):
    """The change of a metric at one value of an axis against the baseline."""

    axis: str
    value: Any
    baseline: Any
    metric: str
    kind: str
    """As in a Contrast."""
    by_prompt: tuple[PromptEffect, ...]
    """Each prompt's change, the lowest first."""
    baseline_mean: float
    """Mean of the metric at the baseline, over the prompts compared."""
    pairs: int
    """Pairs of cells that differ in the axis alone."""
    seeds: int
    """Seeds over which a prompt's differences are averaged."""
    settings: int
    """Combinations of the other parameters, over which the differences are averaged too; 1 outside a grid."""
    degenerate: int
    """Degenerate videos (noise, one flat colour, frozen) of the pairs at the value. They count."""
    degenerate_baseline: int
    """Degenerate videos of the pairs at the baseline."""
    lost: tuple[tuple[str, int], ...]
    """Pairs of which both cells have runs and that are not compared, by reason. Where they are a third of all, the
    verdict is `refused`."""
    across_devices: int
    """Pairs whose two videos come from different devices."""
    more_prompts: int | None
    """New prompts that, judged alone, would settle the comparison at 80% power, if the mean and spread seen are the
    true ones; None unless `inconclusive`, and where it would take more than 1000."""

    def row(self) -> dict[str, Any]:
        """Returns what a notebook's table shows of it."""
        names = ("metric", "kind", "axis", "value", "baseline", "mean", "low", "high", "prompts", "seeds", "verdict")
        return {name: getattr(self, name) for name in names}

    @property
    def left_out(self) -> int:
        """Number of lost pairs."""
        return sum(number for _, number in self.lost)


def direction_of(metric: str) -> Direction | None:
    """Returns the better direction of a metric; None where there is none, or where it is unknown."""
    card = card_of(metric)
    return None if card is None else card.direction


def family_of(metric: str, primary: str | None) -> Family:
    """Returns the family of a metric: `cost` for what the machine needs, unless it is the primary metric itself."""
    if metric == primary:
        return "primary"
    return "cost" if is_of_machine(metric) else "exploratory"


def effects(
    frame: pd.DataFrame,
    axes: str | Sequence[str],
    metrics: str | Sequence[str] = METRICS,
    baselines: Mapping[str, Any] | None = None,
    margins: Mapping[str, Margin | None] | None = None,
    *,
    primary: str | None = PRIMARY,
    looks: Looks = ONE_LOOK,
    apart: bool = False,
    among: pd.DataFrame | None = None,
) -> Records[Effect]:
    """Compares each value of each axis with the baseline, for each metric, over pairs of cells that differ in it alone.

    `frame` is as `load_runs` returns it; `axes` and `metrics` are names, or one name; `baselines` names an axis'
    baseline where it is not the default value; `margins` sets a metric's margin, or None for no verdict of equivalence.
    A value without pairs has no effect. The effects on `primary` are one family, in which at most 5% of calls claim
    a difference that is not there, over all `looks`, of which none is kept (`sweep_effects` reads and keeps them);
    the others are exploratory. Runs of several models, CLIPs, sizes or precisions are never averaged: with `apart`
    each stratum has effects of its own, named by its differences within `among` (by default `frame`); without it
    CogxError is raised. It is raised too for unknown axes, metrics and baselines.
    """
    found = contrasts(frame, axes, metrics, baselines, primary=primary, apart=apart, among=among)
    return Records(judge_contrasts(found, margins or {}, looks))


def contrasts(
    frame: pd.DataFrame,
    axes: str | Sequence[str],
    metrics: str | Sequence[str] = METRICS,
    baselines: Mapping[str, Any] | None = None,
    *,
    primary: str | None = PRIMARY,
    apart: bool = False,
    among: pd.DataFrame | None = None,
) -> list[Contrast]:
    """Pairs each value of each axis with the baseline, for each metric, as `effects` does, and judges nothing. A
    contrast whose pairs are all lost is there, without pairs."""
    axes, metrics = ([one] if isinstance(one, str) else one for one in (axes, metrics))
    chosen = {axis: baseline_of(frame, axis, baselines or {}) for axis in axes}
    return [
        Contrast(
            axis=axis,
            value=value,
            baseline=chosen[axis],
            metric=metric,
            kind=kind,
            family=family_of(metric, primary),
            pairs=pairs,
        )
        for metric in metrics
        for axis in axes
        for kind, runs in (
            strata_of(frame, (metric,), with_followers(frame, (axis,)), among) if apart else [("", frame)]
        )
        for value, pairs in _compared(frame, runs, axis, chosen[axis], metric)
    ]


def judge_contrasts(
    found: Sequence[Contrast], margins: Mapping[str, Margin | None], looks: Looks = ONE_LOOK
) -> list[Effect]:
    """Judges contrasts together, each family as one; those without pairs are left out."""
    paired = [one for one in found if one.pairs.each]
    judgements = judge_families([(differences_of(one, margins), one.family) for one in paired], looks)
    return [effect_of(one, judgement) for one, judgement in zip(paired, judgements, strict=True)]


def differences_of(found: Contrast, margins: Mapping[str, Margin | None]) -> Differences:
    """Returns a contrast's differences, to be judged."""
    pairs = found.pairs
    lost = sum(number for _, number in pairs.lost)
    return Differences(
        values=pairs.by_prompt,
        prompts=pairs.prompts,
        margin=margin_of(found.metric, pairs.baseline_mean, margins),
        better=direction_of(found.metric),
        is_refused=lost >= MOST_LOST * (lost + pairs.pairs),
    )


def effect_of(found: Contrast, judgement: Judgement) -> Effect:
    """Makes a contrast's effect of its judgement."""
    pairs = found.pairs
    by_prompt = []
    for one in pairs.each:
        seeds = Sample.of(one.by_seed)
        low, high = seeds.interval(1 - ALPHA) if seeds.count > 1 else (None, None)
        by_prompt.append(PromptEffect(prompt=one.prompt, mean=one.mean, low=low, high=high, seeds=seeds.count))
    return Effect(
        **asdict(judgement),
        axis=found.axis,
        value=found.value,
        baseline=found.baseline,
        metric=found.metric,
        kind=found.kind,
        by_prompt=tuple(sorted(by_prompt, key=lambda one: one.mean)),
        baseline_mean=pairs.baseline_mean,
        pairs=pairs.pairs,
        seeds=pairs.seeds,
        settings=pairs.settings,
        degenerate=pairs.degenerate,
        degenerate_baseline=pairs.degenerate_baseline,
        lost=pairs.lost,
        across_devices=0 if is_of_machine(found.metric) else pairs.across_devices,
        more_prompts=more_prompts(judgement, pairs.by_prompt),
    )


def effects_frame(found: Sequence[Effect]) -> pd.DataFrame:
    """Builds a frame with a row for each effect and a column for each field but the prompts' own effects."""
    first = ["metric", "axis", "value", "baseline", "family", "verdict", "losing", "prompts", "median", "mean", "low"]
    names = [field.name for field in fields(Effect) if field.name != "by_prompt"]
    columns = [*first, *(name for name in names if name not in first)]
    return pd.DataFrame.from_records([{name: getattr(one, name) for name in columns} for one in found], columns=columns)


def _compared(
    frame: pd.DataFrame, stratum: pd.DataFrame, axis: str, baseline: Any, metric: str
) -> list[tuple[Any, Pairs]]:
    values = [value for value in values_of(frame, axis) if value != baseline]
    return pair_cells(stratum, axis, values, baseline, metric, among=frame)


def margin_of(metric: str, baseline_mean: float, margins: Mapping[str, Margin | None]) -> float | None:
    """Returns a metric's margin in its unit; None where there is none."""
    card = card_of(metric)
    default = MARGIN if card is None or card.margin is None else Margin(card.margin)
    margin = margins.get(metric, default)
    if margin is None:
        return None
    return margin.size * abs(baseline_mean) if margin.relative else margin.size


def baseline_of(frame: pd.DataFrame, axis: str, baselines: Mapping[str, Any]) -> Any:
    """Returns the baseline that is named, else the default value, of a variable of prompts its first one. Raises
    CogxError where several values have finished runs and the baseline has none."""
    values = values_of(frame, axis)
    default = next(iter(values), None) if is_variable(axis) else default_of(axis)
    baseline = baselines.get(axis, default)
    if values and baseline not in values and (axis in baselines or len(values) > 1):
        asked = "its baseline" if axis in baselines else "its default"
        named = ", ".join(map(str, values))
        raise CogxError(f"{axis}: no finished run at {asked}, {baseline!r}; name one of {named} as its baseline")
    return baseline
