"""One plain sentence on what a sweep showed of an axis, for whoever has just waited for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from cogx_runs.analysis.effects import PRIMARY
from cogx_runs.analysis.pairs import AXES
from cogx_runs.analysis.signflips import FEWEST
from cogx_runs.definitions.spec import ROLES
from cogx_runs.formatting import write_value
from cogx_runs.metrics.registry import card_of


class Cell(Protocol):
    """A planned or a tracked cell."""

    @property
    def config(self) -> dict[str, Any]: ...

    @property
    def prompt_name(self) -> str: ...

    @property
    def prompt(self) -> str: ...


@dataclass(frozen=True)
class Headline:
    """The means of a metric at the values of an axis, over the prompts and seeds that have all of them."""

    axis: str
    metric: str
    means: Mapping[Any, float]
    """Mean of each value, in the order of the axis."""
    best: Any
    worst: Any
    prompts: int
    outlier: str | None
    """The prompt that loses most at the worst value; None for one prompt."""
    outlier_loss: float

    @property
    def loss(self) -> float:
        """How much worse the mean is at the worst value than at the best."""
        return abs(self.means[self.best] - self.means[self.worst])

    def __str__(self) -> str:
        card = card_of(self.metric)
        title = self.metric if card is None else card.title
        worse = "higher" if card is not None and card.direction == "lower" else "lower"
        outlier = "" if self.outlier is None else f" ({self.outlier_loss:.1f} in {self.outlier})"
        few = f" A verdict takes {FEWEST} prompts; here are {self.prompts}." if self.prompts < FEWEST else ""
        return (
            f"{self.axis}: {title} is best at {write_value(self.best)} ({self.means[self.best]:.1f}) and worst at "
            f"{write_value(self.worst)}, {self.loss:.1f} {worse}{outlier}.{few}"
        )


def headlines(cells: Sequence[tuple[Cell, Mapping[str, float]]], metric: str = PRIMARY) -> list[Headline]:
    """Says of each axis that varies which value is best and which worst in a metric with a better direction.

    `cells` are one experiment's finished ones with their metrics. Only prompts and seeds count that have a value of the
    metric everywhere along the axis; an axis without one, or whose means are all the same, has no headline.
    """
    card = card_of(metric)
    if card is None or card.direction is None:
        return []
    scored = [(cell, cell.config, metrics[metric]) for cell, metrics in cells if metric in metrics]
    varying = [name for name in (*AXES, "seed") if len({config.get(name) for _, config, _ in scored}) > 1]
    found = []
    for axis in (name for name in varying if name != "seed"):
        others = [name for name in varying if name != axis]
        table = pd.DataFrame(
            {
                "prompt": cell.prompt_name,
                "context": str([cell.prompt, *(config.get(name) for name in others)]),
                "value": config.get(axis),
                "score": score,
            }
            for cell, config, score in scored
        ).pivot_table(index=["prompt", "context"], columns="value", values="score")
        found.append(_headline(axis, metric, table.dropna(), is_higher_better=card.direction == "higher"))
    return sorted(
        (one for one in found if one is not None), key=lambda one: (ROLES[one.axis].asked, -one.loss)
    )  # fmt: skip


def _headline(axis: str, metric: str, table: pd.DataFrame, *, is_higher_better: bool) -> Headline | None:
    by_prompt = table.groupby(level="prompt").mean()
    means = by_prompt.mean()
    if len(means) < 2 or means.nunique() < 2:
        return None
    best, worst = (means.idxmax(), means.idxmin()) if is_higher_better else (means.idxmin(), means.idxmax())
    losses = (by_prompt[best] - by_prompt[worst]).abs()
    several = len(by_prompt) > 1
    return Headline(
        axis, metric, means.to_dict(), best, worst, len(by_prompt), str(losses.idxmax()) if several else None,
        float(losses.max()),
    )  # fmt: skip
