"""What the runs of a report were made with."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogx_runs.report.cells import Cell

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


def definitions_of(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """Each metric that says how it is defined, with each of its definitions, as `(name, definition)`."""
    found = set()
    for cell in cells:
        for tag, definition in cell.tags.items():
            metric, dot, rest = tag.rpartition(".definition")
            if dot and not rest and metric in cell.metrics:
                model = cell.tags.get(f"{metric}.model")
                frames = cell.tags.get(f"{metric}.frame_rule")
                more = [part for part in (f"by {model}" if model else "", frames) if part]
                found.add((metric, "; ".join([definition, *more])))
    return sorted(found)


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
