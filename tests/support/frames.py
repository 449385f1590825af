"""Runs as a DataFrame without a store, for the tests of what is computed from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cogx_runs.analysis.frame import _typed
from cogx_runs.definitions.spec import ROLES
from cogx_runs.tracking.record import params
from tests.support.specs import SPEC


def run(tags: Mapping[str, str] | None = None, status: str = "FINISHED", **given: Any) -> dict[str, Any]:
    """A row as the store gives it; what is no parameter is a metric."""
    spec_values = {name: value for name, value in given.items() if name in ROLES}
    spec_values.setdefault("prompt", f"A text of {given.get('prompt_name', 'panda')}.")
    spec = SPEC.replace(**spec_values)
    metrics = {name: value for name, value in given.items() if name not in ROLES}
    return {
        "run_id": f"{spec.output_hash}{sorted((tags or {}).items())}{spec.placement}",
        "run_name": spec.run_name,
        "experiment": spec.sweep,
        "status": status,
        **{f"params.{name}": str(value) for name, value in params(spec).items()},
        **{f"metrics.{name}": value for name, value in metrics.items()},
        "tags.cogx.signature": spec.signature,
        "tags.cogx.output_hash": spec.output_hash,
        "tags.cogx.prompt": spec.prompt,
        "tags.cogx.env.device_name": "A chip",
        **{f"tags.{name}": value for name, value in (tags or {}).items()},
    }


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return _typed(pd.DataFrame.from_records([dict(row) for row in rows]))
