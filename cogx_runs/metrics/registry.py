"""All metrics: those of this package, and those that other packages register.

A package adds a metric by an entry point of the group `cogx_runs.metrics` that names a `Metric` object. The extras are
measured only where a sweep or `rescore` names them, and are no part of a cell's identity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from cogx_runs.definitions.ranges import Direction
from cogx_runs.errors import CogxError
from cogx_runs.metrics import (
    aesthetic,
    clip_score,
    consistency,
    dynamic_degree,
    fidelity,
    image,
    perceptual,
    subject_consistency,
    temporal,
)
from cogx_runs.metrics.card import Dependence, MetricCard
from cogx_runs.metrics.measured import ALWAYS_MEASURED, CACHE_SKIPPED, MEASURED
from cogx_runs.metrics.metric import Comparison, Metric
from cogx_runs.metrics.network_metric import NetworkMetric

GROUP = "cogx_runs.metrics"
BUILT_IN: tuple[Metric, ...] = (
    clip_score.METRIC, clip_score.FILE_METRIC, *consistency.METRICS, *temporal.METRICS, *image.METRICS,
)  # fmt: skip
COMPARISONS: tuple[Comparison, ...] = (*fidelity.COMPARISONS, perceptual.Lpips())
EXTRAS: Mapping[str, NetworkMetric[Any]] = MappingProxyType(
    {module.CARD.name: module.METRIC for module in (aesthetic, subject_consistency, dynamic_degree)}
)
"""Optional metrics of single videos, whose networks need weights of their own, by name."""
EXACT = "exact"
"""Name of the reference that an approximate cell is compared with: `psnr.exact`."""
SHOWN_WHERE_MEASURED = (CACHE_SKIPPED.name, *(f"{each.card.name}.{EXACT}" for each in fidelity.COMPARISONS))
"""Metrics of a table of runs that only approximate cells have."""
SHOWN = ("clip_score", "wall_time_s", "step_s", "peak_vram_gib", "file_size_bytes", *SHOWN_WHERE_MEASURED)
"""Metrics of a table of runs; the others are in the store."""


@cache
def metrics() -> tuple[Metric, ...]:
    """Returns the metrics of single videos. Raises CogxError where another package's fails to load or reuses a name."""
    found = {metric.card.name: metric for metric in BUILT_IN}
    taken = found.keys() | EXTRAS.keys() | {card.name for card in MEASURED} | {each.card.name for each in COMPARISONS}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        where = f"the metric {point.name!r} of {point.dist.name if point.dist else point.value}"
        try:
            metric: Metric = point.load()
            name = metric.card.name
        except Exception as error:
            raise CogxError(f"{where} cannot be loaded: {error}; repair or uninstall the package") from error
        if name in taken:
            raise CogxError(f"{where}: the name {name!r} is taken; uninstall the package, or rename its metric")
        taken.add(name)
        found[name] = metric
    return tuple(found.values())


def versions() -> dict[str, str]:
    """Returns the version of each metric of single videos, on which a cell's output hash depends."""
    return {metric.card.name: metric.card.version for metric in metrics()}


@cache
def cards() -> dict[str, MetricCard]:
    """Returns the cards of all metrics but the extras by name, scores first."""
    found = [*scores(), *MEASURED]
    return {card.name: card for card in found}


def extra_cards() -> dict[str, MetricCard]:
    """Returns the cards of the extras by name."""
    return {name: metric.card for name, metric in EXTRAS.items()}


def scores() -> tuple[MetricCard, ...]:
    """Returns the cards of the metrics of frames, comparisons with a reference last."""
    return (*(metric.card for metric in metrics()), *(comparison.card for comparison in COMPARISONS))


def cards_of_every_cell(extra_metrics: Iterable[str] = ()) -> dict[str, MetricCard]:
    """Returns the cards of the metrics that a sweep measures for every cell, by name: no comparison, no other CLIP's
    score, none that only some cells have, and the extras that it names. The GPU's memory is among them, although a CPU
    has none."""
    found = {card.name: card for card in (*(metric.card for metric in metrics()), *ALWAYS_MEASURED)}
    return found | {name: EXTRAS[name].card for name in extra_metrics if name in EXTRAS}


def qualities(extra_metrics: Iterable[str] = ()) -> tuple[MetricCard, ...]:
    """Returns the cards of the metrics of single videos that have a direction, so that they can rank videos, in the
    order of registration, the named extras last."""
    extras = [EXTRAS[name] for name in extra_metrics if name in EXTRAS]
    return tuple(metric.card for metric in (*metrics(), *extras) if metric.card.direction is not None)


def quality(name: str) -> MetricCard | None:
    """Returns the card of one of the `qualities`, extras included, or of another CLIP's score; None for any other."""
    known = {card.name for card in qualities(EXTRAS)}
    return card_of(name) if name in known or name.partition(".")[0] in known else None


def is_same_measure(one: str, other: str) -> bool:
    """Checks whether two metrics are one measure, taken before H.264 and of the mp4, or the same metric."""
    first, second = ((card.repeats if (card := card_of(name)) is not None else "") or name for name in (one, other))
    return first == second


def shown_cards() -> tuple[MetricCard, ...]:
    """Returns the cards of SHOWN."""
    return tuple(card_or_name(name) for name in SHOWN)


def titles(names: Iterable[str]) -> str:
    """Joins the titles of metrics for readers: `CLIP score, motion`."""
    return ", ".join(card.title for name in names if (card := card_of(name)) is not None)


def aim(card: MetricCard) -> Direction:
    """Returns the direction of a search for better values of a metric; `minimize` where it has no direction."""
    return "maximize" if card.direction == "higher" else "minimize"


def depends_on(metric: str) -> frozenset[Dependence]:
    """Looks up the conditions on which a metric's value depends besides the pixels and the CLIP; without a card, by the
    ending of its name."""
    card = card_of(metric)
    if card is not None:
        return card.depends_on
    by_ending = {"_s": Dependence.TIME, "_gib": Dependence.MEMORY}
    return frozenset(dependence for ending, dependence in by_ending.items() if metric.endswith(ending))


def is_of_machine(metric: str) -> bool:
    """Checks whether a metric's values are comparable within one device and placement only."""
    return not depends_on(metric).isdisjoint({Dependence.TIME, Dependence.MEMORY})


def card_or_name(name: str) -> MetricCard:
    """Returns the card of a metric, or one with its name alone."""
    return card_of(name) or MetricCard(name=name, title=name, definition="", source="")


def card_of(name: str) -> MetricCard | None:
    """Returns the card of a metric, also of another CLIP's score (`clip_score.ViT-L-14:openai`); None without one."""
    family, _, other = name.partition(".")
    card = cards().get(name) or extra_cards().get(name) or cards().get(family)
    if card is not None and other and card.name != name:
        return replace(card, name=name, title=f"{card.title}, {other}")
    return card


def rescore_command(metric: str, sweep: str = "SWEEP") -> str:
    """Writes the command that adds a metric to finished runs."""
    clip = metric.partition(".")[2] if metric.startswith("clip_score.") else ""
    option = f" --clip-model {clip}" if clip else f" --metric {metric}" if metric in EXTRAS else ""
    return f"cogx-runs rescore {sweep}{option}"
