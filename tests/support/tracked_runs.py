"""Runs as the tracking store would give them, without a store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.tracking.columns import METRICS, PARAMS, TAGS
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.tags import DEVICE_NAME, OUTPUT_HASH, PROMPT, SIGNATURE


def tracked(
    spec: RunSpec, state: RunState | str = "FINISHED", *, tags: Mapping[str, str] | None = None, **given: Any
) -> TrackedRun:
    """A run of this cell, its parameters as text, as a store has them."""
    content = {
        "run_id": f"{state} in {spec.sweep}",
        "name": spec.run_name,
        "experiment": spec.sweep,
        "state": RunState(state),
        "start_time_ms": 0,
        "params": {name: str(value) for name, value in spec.config.items() if name != "prompt"},
        "tags": {
            SIGNATURE: spec.signature,
            OUTPUT_HASH: spec.output_hash,
            PROMPT: spec.prompt,
            DEVICE_NAME: "NVIDIA H100",
            **(tags or {}),
        },
    }
    return TrackedRun(**{**content, **given})


def tagged(run: TrackedRun, tags: Mapping[str, str]) -> TrackedRun:
    """The run with more tags."""
    return replace(run, tags={**run.tags, **tags})


def tracked_in(frame: pd.DataFrame) -> list[TrackedRun]:
    """The runs of a frame such as that of `load_runs`, newest first."""
    rows = [{str(key): value for key, value in row.items() if not pd.isna(value)} for row in frame.to_dict("records")]
    return [
        TrackedRun(
            run_id=row["run_id"],
            name=row["run_name"],
            experiment=row["experiment"],
            state=RunState(row["status"]),
            start_time_ms=len(rows) - place,
            params={name: str(value) for name, value in _below(row, PARAMS)},
            metrics=dict(_below(row, METRICS)),
            tags=dict(_below(row, TAGS)),
        )
        for place, row in enumerate(rows)
    ]


def _below(row: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    return [(key.removeprefix(prefix), value) for key, value in row.items() if key.startswith(prefix)]
