"""Seeds that follow each other: `{count: 5, start: 42}` in place of a list."""

from typing import Any

from cogx_runs.definitions.limits import MOST_CELLS
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.formatting import shortened

_DEFAULTS: dict[str, Any] = {"count": 0, "start": Parameters.model_fields["seed"].default}


def listed(given: Any) -> Any:
    """Lists the seeds of a mapping with `count`, and `start`, which is the default seed without it; returns anything
    else as it is. Raises ValueError for wrong keys and numbers."""
    if not isinstance(given, dict) or not _DEFAULTS.keys() & given.keys():
        return given
    count, start = (given.get(key, default) for key, default in _DEFAULTS.items())
    is_whole = type(count) is type(start) is int
    if (
        given.keys() - _DEFAULTS.keys()
        or not is_whole
        or not (1 <= count <= MOST_CELLS and 0 <= start <= 2**63 - count)
    ):
        raise ValueError(f"must be a list of seeds, or such as {{count: 5, start: 42}} (got {shortened(given)})")
    return list(range(start, start + count))
