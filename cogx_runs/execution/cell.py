"""A cell that is this sweep's to run, as it is handed to a worker."""

from dataclasses import dataclass

from cogx_runs.definitions.spec import RunSpec


@dataclass(frozen=True)
class ClaimedCell:
    """All that a worker in any process has to know of a cell beside its model's card."""

    spec: RunSpec
    run_id: str
    """The open run that it is tracked by."""
    holder: str = ""
    """Name of the lock that its run is claimed with."""
    beside: tuple[str, ...] = ()
    """Names of the runs that are encoded, scored and logged meanwhile on the same machine."""
