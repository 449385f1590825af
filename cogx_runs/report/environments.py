"""What the runs of a report were made with."""

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
    """One machine with one set of versions, and how many runs were made there."""

    device: str
    driver: str
    model: str
    commit: str
    versions: tuple[tuple[str, str], ...]
    platform: str
    runs: int = 1


def environments_of(cells: Sequence[TrackedRun]) -> list[Environment]:
    """One record a distinct environment, that of most runs first."""
    counts = Counter(_environment(cell) for cell in cells)
    return [replace(environment, runs=runs) for environment, runs in counts.most_common()]


def definitions_of(cells: Sequence[TrackedRun]) -> list[tuple[MetricCard, tuple[str, ...]]]:
    """The card of each metric that the report shows and one of the cells has, with the definitions by which their
    values were measured: version, CLIP, and reference."""
    shown = [
        card for card in dict.fromkeys((*COMPARED, *shown_cards())) if any(card.name in cell.metrics for cell in cells)
    ]
    return [
        (card, tuple(sorted({cell.definitions[card.name] for cell in cells if card.name in cell.definitions})))
        for card in shown
    ]


def _environment(cell: TrackedRun) -> Environment:
    made_with = {key.removeprefix(ENV): value for key, value in cell.tags.items() if key.startswith(ENV)}
    commit = made_with.get("git_commit", "")[:10]
    if made_with.get("git_dirty") == "true":
        commit += " with uncommitted changes"
    model, at, revision = made_with.get("model", "").rpartition("@")
    # A folder's own path is of no use to a reader elsewhere.
    name = str(cell.config.get("model", "")) if model.startswith("/") else model
    versions = tuple((name, made_with[name]) for name in PACKAGES if name in made_with)
    return Environment(
        device=cell.device_name or "not known",
        driver=made_with.get("gpu_driver", ""),
        model=f"{name}{at}{revision[:16]}",
        commit=commit,
        versions=versions,
        platform=made_with.get("platform", ""),
    )
