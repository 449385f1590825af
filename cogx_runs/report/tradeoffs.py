"""Approximate ways against the exact one: a plot and a table of a report."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.tradeoff import TradeOff, trade_offs
from cogx_runs.definitions.spec import EXACT_VALUES
from cogx_runs.formatting import write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import card_or_name
from cogx_runs.report.plots import plot_trade_offs
from cogx_runs.tracking.run import TrackedRun


@dataclass(frozen=True)
class TradeOffRow:
    """One approximate way, with the change of the primary metric that its axis has."""

    label: str
    found: TradeOff
    effect: Effect | None
    """None where its values change several parameters, or are not compared."""


@dataclass(frozen=True)
class TradeOffContent:
    """The approximate ways of an experiment."""

    exact: str
    """What is exact: `cache none`."""
    primary: MetricCard
    """The metric whose change is shown."""
    rows: tuple[TradeOffRow, ...]
    plot: Markup | None
    note: str
    """What the times are worth."""


def trade_off_content(cells: Sequence[TrackedRun], effects: Sequence[Effect], primary: str) -> TradeOffContent | None:
    """Composes the plot and the table of an experiment's approximate cells; None without any beside an exact one."""
    found = trade_offs(cells)
    if not found:
        return None
    varied = list(dict.fromkeys(name for one in found for name in one.values))
    labels = [one.label if len(varied) > 1 else one.label.removeprefix(f"{varied[0]} ") for one in found]
    rows = [TradeOffRow(label, one, _effect(one, effects, primary)) for label, one in zip(labels, found, strict=True)]
    alone = all(one.was_alone for one in found)
    note = (
        "Time is that of denoising and decoding, as a share of the exact cell's of the same prompt and seed, on one "
        "device (geometric mean)."
    )
    if not alone:
        note += " Other programs kept the machine busy meanwhile: read the shares as rough."
    exact = ", ".join(f"{name} {write_value(EXACT_VALUES[name])}" for name in varied)
    return TradeOffContent(exact, card_or_name(primary), tuple(rows), plot_trade_offs(found, labels), note)


def _effect(one: TradeOff, effects: Sequence[Effect], primary: str) -> Effect | None:
    if len(one.values) != 1:
        return None
    ((name, value),) = one.values.items()
    along = (effect for effect in effects if (effect.metric, effect.axis, effect.value) == (primary, name, value))
    return next(along, None)
