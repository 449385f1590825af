"""Planned cells that no run was begun of, as rows among the runs, so that their pairs count as lost."""

from collections.abc import Iterable

import pandas as pd

from cogx_runs.analysis.frame import typed_like
from cogx_runs.definitions.spec import FILE_FIELDS, RunSpec
from cogx_runs.tracking.columns import EXPERIMENT, RUN_ID, RUN_NAME, STATUS, param_column, tag_column
from cogx_runs.tracking.record import known_params
from cogx_runs.tracking.tags import OUTPUT_HASH, PROMPT, SIGNATURE

NOT_BEGUN = "NOT_BEGUN"
"""The status of a planned cell without a run, which MLflow does not know."""
_FILE = [param_column(name) for name in FILE_FIELDS]


def with_unbegun(runs: pd.DataFrame, planned: Iterable[RunSpec]) -> pd.DataFrame | None:
    """Adds a row for each planned cell that no run was begun of. None where no planned cell has a run: the plan is of
    other cells than the runs.

    `runs` are as `load_runs` returns them. Cells are known by what makes their videos, whatever metrics are measured.
    """
    begun = set(runs[[tag_column(SIGNATURE), *_FILE]].astype(str).itertuples(index=False, name=None))
    cells = {(spec.signature, *(str(getattr(spec, name)) for name in FILE_FIELDS)): spec for spec in planned}
    missing = [spec for key, spec in cells.items() if key not in begun]
    if len(missing) == len(cells):
        return None
    if not missing:
        return runs
    rows = pd.DataFrame.from_records([_row(spec) for spec in missing])
    return pd.concat([runs, typed_like(runs, rows)], ignore_index=True)


def _row(spec: RunSpec) -> dict[str, object]:
    return {
        RUN_ID: f"not begun {spec.output_hash}",
        RUN_NAME: spec.run_name,
        EXPERIMENT: spec.sweep,
        STATUS: NOT_BEGUN,
        **{param_column(name): str(value) for name, value in known_params(spec).items()},
        tag_column(SIGNATURE): spec.signature,
        tag_column(OUTPUT_HASH): spec.output_hash,
        tag_column(PROMPT): spec.prompt,
    }
