"""Runs of cells as an executor opens them."""

from collections.abc import Mapping

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.store import RunStore


def claim(store: RunStore, experiment_id: str, spec: RunSpec, tags: Mapping[str, str] | None = None) -> str:
    """An open run of a cell, whose holder has gone."""
    with Claims(store) as claims:
        made = claims.claim(experiment_id, spec, tags or {})
    assert made is not None, "the cell is free"
    return made.run_id
