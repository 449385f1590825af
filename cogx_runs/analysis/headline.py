"""One plain sentence on what a sweep showed of an axis, for whoever has just waited for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from cogx_runs.analysis.cells import MODEL, distinguishing, follow_model, prompts_apart
from cogx_runs.analysis.effects import PRIMARY, margin_of
from cogx_runs.analysis.pairs import AXES, is_compared
from cogx_runs.analysis.signflips import FEWEST
from cogx_runs.analysis.strata import NEVER_MIXED
from cogx_runs.definitions.spec import COST_FIELDS, ROLES
from cogx_runs.definitions.variables import TEMPLATE_PARAM, is_variable
from cogx_runs.formatting import count, write_value
from cogx_runs.metrics.card import Dependence, MetricCard
from cogx_runs.metrics.measured import STEP_TIME
from cogx_runs.metrics.registry import card_of, depends_on

_MEANS_ALONE = " These are means; the report's verdicts say what is shown."


class Cell(Protocol):
    """A planned or a tracked cell."""

    @property
    def config(self) -> dict[str, Any]: ...

    @property
    def cost_axes(self) -> tuple[str, ...]: ...

    @property
    def prompt_name(self) -> str: ...

    @property
    def prompt(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The means of a metric at the values of an axis, over the prompts and seeds that have all of them."""

    axis: str
    """Its name; of axes that change together, all names."""
    card: MetricCard
    kind: str
    """What is never averaged over and differs between the experiment's cells: `model 5b`; empty where nothing does."""
    means: Mapping[Any, float]
    """Mean of each value, in the order of the axis."""
    best: Any
    worst: Any
    prompts: int
    outlier: str | None
    """The prompt that loses most at the worst value; None for one prompt."""
    outlier_loss: float
    largest: float
    """The largest change of a prompt between any two values."""
    margin: float | None
    """Changes up to this do not matter, in the metric's unit."""

    @property
    def loss(self) -> float:
        """How much worse the mean is at the worst value than at the best."""
        return abs(self.means[self.best] - self.means[self.worst])

    def __str__(self) -> str:
        write, title = self.card.write, self.card.title
        axis = f"{self.axis} ({self.kind})" if self.kind else self.axis
        few = f" {_too_few(self.prompts)}" if self.prompts < FEWEST else ""
        if self.margin is not None and self.largest <= self.margin:
            prompt = "" if self.outlier is None else " of a prompt"
            return (
                f"{axis}: {title}{prompt} changes by at most {write(self.largest)}, within the margin of "
                f"{write(self.margin)}.{few}"
            )
        worse = "higher" if self.card.direction == "lower" else "lower"
        outlier = "" if self.outlier is None else f" ({self.outlier}: {write(self.outlier_loss)} {worse})"
        return (
            f"{axis}: {title} is best at {write_value(self.best)} ({write(self.means[self.best])}) and worst at "
            f"{write_value(self.worst)}, {write(self.loss)} {worse}{outlier}.{few or _MEANS_ALONE}"
        )


def _too_few(prompts: int) -> str:
    return f"{count(prompts, 'prompt')}: too few for a verdict, which takes {FEWEST}."


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far a metric differs between the seeds of a prompt, or between the prompts of a sweep that varies nothing
    else."""

    card: MetricCard
    prompt: str | None
    """The prompt whose seeds differ most; None where the prompts are told apart."""
    names: tuple[str, str]
    """The seeds or prompts with the lowest and the highest value."""
    values: tuple[float, float]
    count: int
    """Seeds of the prompt, or prompts."""

    def __str__(self) -> str:
        (low, high), write = self.values, self.card.write
        if self.prompt is None:
            ends = f"{write(low)} ({self.names[0]}) to {write(high)} ({self.names[1]})"
            return f"prompt: {self.card.title} goes from {ends} over {self.count} prompts."
        return (
            f"seed: {self.card.title} goes from {write(low)} to {write(high)} over {count(self.count, 'seed')} of "
            f"{self.prompt}: by luck alone."
        )


def comparable(metrics: Mapping[str, float], beside: str | None) -> Mapping[str, float]:
    """Leaves out the times of a run that was timed beside other work."""
    if beside is None:
        return metrics
    return {name: value for name, value in metrics.items() if Dependence.TIME not in depends_on(name)}


def headlines(cells: Sequence[tuple[Cell, Mapping[str, float]]], metric: str = PRIMARY) -> "list[Headline | Spread]":
    """Says of each axis that varies, variables of prompts last, which value is best and which worst in a metric with a
    better direction; of seeds, and of prompts where nothing else varies, how far they differ.

    `cells` are one experiment's finished ones with their metrics. Only prompts and seeds count that have a value of the
    metric everywhere along the axis; an axis without one, or whose means are all the same, has no headline. Where no
    axis has one, as where all change together, the settings have. Cells of several models, CLIPs, sizes or precisions
    have headlines of their own. An axis that changes time and memory alone is judged by the time per step.
    """
    card = card_of(metric)
    if card is None or card.direction is None:
        return []
    scored, timed = _with_metric(cells, card), _with_metric(cells, STEP_TIME)
    varying = [name for name in (*AXES, "seed") if _varies(name, [cell for cell, _, _ in (scored or timed)])]
    axes = [name for name in varying if name != "seed"]
    judged = {axis: (STEP_TIME, timed) if axis in COST_FIELDS else (card, scored) for axis in axes}
    found = [one for axis, (by, among) in judged.items() for one in _along(by, among, (axis,), varying)]
    if not found and len(axes) > 1:
        return [*_along(card, scored, tuple(varying), varying)]
    ordered = sorted(found, key=lambda one: (ROLES[one.axis].asked, -one.loss))
    of_templates = [one for one in scored if TEMPLATE_PARAM in one[1]]
    variables = dict.fromkeys(
        name for _, config, _ in of_templates for name in config if is_variable(name) and is_compared(name)
    )
    words = [one for axis in variables for one in _along(card, of_templates, (axis,), varying)]
    return [*ordered, *words, *_spread(card, scored, varying)]


def _with_metric(
    cells: Sequence[tuple[Cell, Mapping[str, float]]], card: MetricCard
) -> list[tuple[Cell, dict[str, Any], float]]:
    return [(cell, cell.config, metrics[card.name]) for cell, metrics in cells if card.name in metrics]


def _varies(name: str, cells: Sequence[Cell]) -> bool:
    """Checks whether cells differ in a parameter; in one of time and memory alone, whether it is swept."""
    if name in COST_FIELDS and not any(name in cell.cost_axes for cell in cells):
        return False
    return len({cell.config.get(name) for cell in cells}) > 1


def _along(
    card: MetricCard, scored: Sequence[tuple[Cell, Any, float]], axes: Sequence[str], varying: Sequence[str]
) -> list[Headline]:
    """Compares the values of one axis; of several that change together, their settings."""
    configs = [config for _, config, _ in scored]
    along = {*axes, *(follow_model(configs) if MODEL in axes else ())}
    others = [name for name in varying if name not in along]
    apart = distinguishing(configs, (name for name in (MODEL, *NEVER_MIXED) if name not in along))
    named = ", ".join(axes)
    texts: Sequence[object] = [(cell.prompt_name, cell.prompt) for cell, _, _ in scored]
    names = [cell.prompt_name for cell, _, _ in scored]
    if any(map(is_variable, axes)):
        texts = names = prompts_apart(configs, axes)

    def value(config: Mapping[str, Any]) -> Any:
        return config.get(axes[0]) if len(axes) == 1 else ", ".join(write_value(config.get(name)) for name in axes)

    table = pd.DataFrame(
        {
            "kind": ", ".join(f"{name} {write_value(config.get(name))}" for name in apart),
            "prompt": name,
            "context": str([text, *(config.get(name) for name in others)]),
            "value": value(config),
            "score": score,
        }
        for (_, config, score), name, text in zip(scored, names, texts, strict=True)
    ).pivot_table(index=["kind", "prompt", "context"], columns="value", values="score")
    return [
        headline
        for kind, alike in table.groupby(level="kind")
        if (headline := _headline(named, card, str(kind), alike.dropna(axis=1, how="all").dropna())) is not None
    ]


def _spread(card: MetricCard, scored: Sequence[tuple[Cell, Any, float]], varying: Sequence[str]) -> list[Spread]:
    """Finds the prompt whose seeds differ most, at the same values of all else; or the range over prompts."""
    if set(varying) - {"seed"} or len({str(_apart(config)) for _, config, _ in scored}) > 1:
        return []
    by_prompt: dict[tuple[str, str] | None, list[tuple[float, str]]] = {}
    for cell, config, score in scored:
        name = str(config.get("seed")) if varying else cell.prompt_name
        by_prompt.setdefault((cell.prompt_name, cell.prompt) if varying else None, []).append((score, name))
    prompt, found = max(by_prompt.items(), key=lambda one: max(one[1])[0] - min(one[1])[0], default=(None, []))
    if len(found) < 2:
        return []
    low, high = min(found), max(found)
    return [
        Spread(
            card=card, prompt=prompt and prompt[0], names=(low[1], high[1]), values=(low[0], high[0]), count=len(found)
        )
    ]


def _apart(config: Mapping[str, Any]) -> list[Any]:
    return [config.get(name) for name in (MODEL, *NEVER_MIXED)]


def _headline(axis: str, card: MetricCard, kind: str, table: pd.DataFrame) -> Headline | None:
    by_prompt = table.groupby(level="prompt").mean()
    means: dict[Any, float] = by_prompt.mean().to_dict()
    if table.empty or len(set(means.values())) < 2:
        return None
    worst, best = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    if card.direction == "lower":
        best, worst = worst, best
    losses = (by_prompt[best] - by_prompt[worst]) * (-1 if card.direction == "lower" else 1)
    return Headline(
        axis=axis,
        card=card,
        kind=kind,
        means=means,
        best=best,
        worst=worst,
        prompts=len(by_prompt),
        outlier=str(losses.idxmax()) if len(by_prompt) > 1 else None,
        outlier_loss=float(losses.max()),
        largest=float((by_prompt.max(axis=1) - by_prompt.min(axis=1)).max()),
        margin=margin_of(card.name, means[best], {}),
    )
