"""The cells of a report: what each run was and came to."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cogx_runs.definitions.role import Changes
from cogx_runs.definitions.spec import OUTPUT_FIELDS, PARAM_FIELDS, ROLES
from cogx_runs.formatting import write_value

CONFIG = tuple(
    sorted(
        (name for name in PARAM_FIELDS if ROLES[name].changes is not Changes.NOTHING and ROLES[name].tells_apart),
        key=lambda name: ROLES[name].asked,
    )
)
"""The parameters that tell one cell from another, those that a reader asks for first in front."""
ENDED = ("FINISHED", "FAILED")
_IDENTITY = ("tags.cogx.signature", *(f"params.{name}" for name in OUTPUT_FIELDS))
"""What makes a run another cell's."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One configuration, one prompt, one seed, as its best run in one experiment left it."""

    run_id: str
    experiment: str
    name: str
    """`guidance=6 panda_guitar`"""
    is_finished: bool
    """Else it failed."""
    prompt_name: str
    prompt: str
    signature: str
    """Identity of the pixels."""
    output_hash: str
    """Identity of pixels, file and scores."""
    config: Mapping[str, Any]
    """The parameters of CONFIG, and those that it was measured in: `device`, `placement`."""
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    """Those of `cogx.`, without that beginning."""

    @property
    def is_reused(self) -> bool:
        return "reused_from" in self.tags

    @property
    def duration_s(self) -> float:
        """Of the video."""
        return float(self.config.get("num_frames", 1)) / float(self.config.get("fps", 8))

    @property
    def timed_in(self) -> tuple[str, str, bool]:
        """What two wall times must have in common to be compared; the last is whether something ran beside it."""
        return self.tags.get("env.device_name", ""), str(self.config.get("placement", "")), "beside" in self.tags

    def others(self, axis: str | None) -> tuple[Any, ...]:
        """All that it shares with the cells that differ from it along `axis` alone."""
        return (self.prompt_name, self.prompt, *(self.config.get(name) for name in CONFIG if name != axis))


def cells_of(runs: pd.DataFrame) -> tuple[list[Cell], int]:
    """The cells of an experiment's runs as `load_runs` gives them, and how many have neither finished nor failed.

    Of several runs of a cell the newest finished one counts, else the newest failed one. In the order they were begun.
    Runs of other definitions of the metrics are of the same cell.
    """
    best: dict[tuple[Any, ...], Cell | None] = {}
    for row in runs.to_dict("records"):
        values = {str(key): value for key, value in row.items() if not _is_missing(value)}
        identity = tuple(values.get(name) for name in _IDENTITY)
        found = best.setdefault(identity, None)
        if values["status"] in ENDED and (found is None or (values["status"] == "FINISHED" and not found.is_finished)):
            best[identity] = _cell(values)
    cells = [cell for cell in reversed(best.values()) if cell is not None]
    return cells, len(best) - len(cells)


def labels_of(cells: Sequence[Cell], axis: str | None) -> dict[str, str]:
    """What tells each cell (by its run id) from the others of its prompt, beside `axis`: `seed 1, model 5b`.

    A parameter that follows from those named before it, as the size does from the model, is left out.
    """
    named: list[str] = []
    for name in CONFIG:
        kept = {tuple(cell.config.get(other) for other in named) for cell in cells}
        told = {tuple(cell.config.get(other) for other in [*named, name]) for cell in cells}
        if name != axis and len(told) > len(kept):
            named.append(name)
    return {
        cell.run_id: ", ".join(f"{name} {write_value(cell.config[name])}" for name in named if name in cell.config)
        for cell in cells
    }


def _cell(values: Mapping[str, Any]) -> Cell:
    return Cell(
        run_id=str(values["run_id"]),
        experiment=str(values["experiment"]),
        name=str(values["run_name"]),
        is_finished=values["status"] == "FINISHED",
        prompt_name=str(values.get("params.prompt_name", values["run_name"])),
        prompt=str(values.get("tags.cogx.prompt", "")),
        signature=str(values.get("tags.cogx.signature", "")),
        output_hash=str(values["tags.cogx.output_hash"]),
        config={name: value for name, value in _below(values, "params.") if name in PARAM_FIELDS},
        metrics={name: float(value) for name, value in _below(values, "metrics.") if math.isfinite(value)},
        tags={name: str(value) for name, value in _below(values, "tags.cogx.")},
    )


def _below(values: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    return [(key.removeprefix(prefix), value) for key, value in values.items() if key.startswith(prefix)]


def _is_missing(value: Any) -> bool:
    return bool(pd.isna(value))
