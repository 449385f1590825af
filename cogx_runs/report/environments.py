"""Machines and versions that ran the cells of a report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import shown_cards
from cogx_runs.report.quantities import COMPARED
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import ENV

PACKAGES = ("cogx_runs", "torch", "diffusers", "transformers", "open_clip_torch", "python")


@dataclass(frozen=True)
class Environment:
    """One machine with one set of versions, and its number of runs."""

    device: str
    driver: str
    model: str
    commit: str
    versions: tuple[tuple[str, str], ...]
    platform: str
    runs: int = 1


def environments_of(cells: Sequence[TrackedRun]) -> list[Environment]:
    """Lists the distinct environments, the one with most runs first."""
    counts = Counter(_environment(cell) for cell in cells)
    return [replace(environment, runs=runs) for environment, runs in counts.most_common()]


def definitions_of(cells: Sequence[TrackedRun]) -> list[tuple[MetricCard, tuple[str, ...]]]:
    """Lists the cards of the metrics that the report shows and a cell has, with the definitions of their values:
    version, CLIP and reference."""
    shown = [
        card for card in dict.fromkeys((*COMPARED, *shown_cards())) if any(card.name in cell.metrics for cell in cells)
    ]
    return [
        (card, tuple(sorted({cell.definitions[card.name] for cell in cells if card.name in cell.definitions})))
        for card in shown
    ]


def _environment(cell: TrackedRun) -> Environment:
    recorded = {key.removeprefix(ENV): value for key, value in cell.tags.items() if key.startswith(ENV)}
    commit = recorded.get("git_commit", "")[:10]
    if recorded.get("git_dirty") == "true":
        commit += " with uncommitted changes"
    model, at, revision = recorded.get("model", "").rpartition("@")
    # A folder's own path is of no use to a reader elsewhere.
    name = str(cell.config.get("model", "")) if model.startswith("/") else model
    versions = tuple((name, recorded[name]) for name in PACKAGES if name in recorded)
    return Environment(
        device=cell.device_name or ("not known" if cell.imported_from is None else "not known: imported"),
        driver=recorded.get("gpu_driver", ""),
        model=f"{name}{at}{revision[:16]}",
        commit=commit,
        versions=versions,
        platform=recorded.get("platform", ""),
    )
