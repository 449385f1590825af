"""What the runs of a report were made with."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import shown_cards
from cogx_runs.report.cells import Cell
from cogx_runs.report.quantities import COMPARED

PACKAGES = ("cogx_runs", "torch", "diffusers", "transformers", "open_clip_torch", "python")


@dataclass(frozen=True)
class Environment:
    """One machine with one set of versions, and how many runs were made there."""

    device: str
    driver: str
    model: str
    commit: str
    versions: tuple[tuple[str, str], ...]
    platform: str
    runs: int = 1


def environments_of(cells: Sequence[Cell]) -> list[Environment]:
    """One record a distinct environment, that of most runs first."""
    counts = Counter(_environment(cell) for cell in cells)
    return [replace(environment, runs=runs) for environment, runs in counts.most_common()]


def definitions_of(cells: Sequence[Cell]) -> list[tuple[MetricCard, tuple[str, ...]]]:
    """The card of each metric that the report shows and one of the cells has, with the definitions by which their
    values were measured: version, CLIP, and reference."""
    shown = [
        card for card in dict.fromkeys((*COMPARED, *shown_cards())) if any(card.name in cell.metrics for cell in cells)
    ]
    meant = [json.loads(cell.tags.get("metrics", "{}")) for cell in cells]
    return [(card, tuple(sorted({found[card.name] for found in meant if card.name in found}))) for card in shown]


def _environment(cell: Cell) -> Environment:
    tags = cell.tags
    commit = tags.get("env.git_commit", "")[:10]
    if tags.get("env.git_dirty") == "true":
        commit += " with uncommitted changes"
    model, at, revision = tags.get("env.model", "").rpartition("@")
    # A folder's own path is of no use to a reader elsewhere.
    name = str(cell.config.get("model", "")) if model.startswith("/") else model
    versions = tuple((name, tags[f"env.{name}"]) for name in PACKAGES if f"env.{name}" in tags)
    return Environment(
        device=tags.get("env.device_name", "not known"),
        driver=tags.get("env.gpu_driver", ""),
        model=f"{name}{at}{revision[:16]}",
        commit=commit,
        versions=versions,
        platform=tags.get("env.platform", ""),
    )
