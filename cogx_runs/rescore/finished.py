"""The finished runs of a sweep, as they are in the store."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cogx_runs.definitions.spec import OUTPUT_FIELDS, PIXEL_FIELDS, logged_value, output_hash
from cogx_runs.metrics.registry import versions
from cogx_runs.tracking.reader import StoredRuns
from cogx_runs.tracking.record import METRICS_TAG


@dataclass(frozen=True)
class FinishedRun:
    """A finished run."""

    run_id: str
    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def signature(self) -> str:
        return self.tags["cogx.signature"]

    @property
    def output_hash(self) -> str:
        """What it would be by the present definitions of all metrics."""
        outputs = {name: logged_value(self.params, name) for name in OUTPUT_FIELDS}
        return output_hash(self.signature, outputs, versions())

    @property
    def identities(self) -> dict[str, str]:
        """Of the metrics that it has, or that it can have no value of."""
        found: dict[str, str] = json.loads(self.tags.get(METRICS_TAG, "{}"))
        return found

    def settings(self, changed: Mapping[str, Any] = MappingProxyType({})) -> tuple[str, ...]:
        """All that its pixels depend on, with some parameters changed."""
        own = {name: self.params.get(name, "") for name in PIXEL_FIELDS} | {"prompt": self.tags.get("cogx.prompt", "")}
        return tuple(str(changed.get(name, value)) for name, value in own.items())


def finished_runs(store: StoredRuns, experiments: Sequence[str]) -> list[FinishedRun]:
    """Those of these experiments, newest first."""
    return [
        FinishedRun(run.info.run_id, run.info.run_name, run.data.params, run.data.metrics, run.data.tags)
        for run in store.runs(experiments, finished_only=True)
    ]
