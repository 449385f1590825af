"""Seeds that follow each other: `{count: 5, start: 42}` in place of a list."""

from typing import Any

from pydantic import Field, ValidationError

from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.limits import MOST_CELLS
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.formatting import shortened


class SeedCount(Frozen):
    """Seeds that follow each other."""

    count: int = Field(ge=1, le=MOST_CELLS, description="How many.")
    start: int = Field(Parameters.model_fields["seed"].default, ge=0, le=2**63 - 1, description="The first.")


def listed(given: Any) -> Any:
    """Lists the seeds of a mapping with `count`, and `start`, which is the default seed without it; returns anything
    else as it is. Raises ValueError for wrong keys and numbers."""
    if not isinstance(given, dict) or not SeedCount.model_fields.keys() & given.keys():
        return given
    try:
        seeds = SeedCount.model_validate(given)
    except ValidationError as error:
        raise ValueError(_how(given)) from error
    if seeds.start > 2**63 - seeds.count:
        raise ValueError(_how(given))
    return list(range(seeds.start, seeds.start + seeds.count))


def _how(given: Any) -> str:
    return f"must be a list of seeds, or such as {{count: 5, start: 42}} (got {shortened(given)})"
