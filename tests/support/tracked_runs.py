"""Runs as the tracking store would give them, without a store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cogx_runs.definitions.spec import RunSpec
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
