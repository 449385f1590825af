"""A cell that is this sweep's to run, as it is handed to a worker."""

from contextlib import suppress
from dataclasses import dataclass

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import StoreUnavailableError
from cogx_runs.tracking.record import known_params, spec_metrics
from cogx_runs.tracking.spool import SpooledRun, spooled_run
from cogx_runs.tracking.store import RunStore


@dataclass(frozen=True)
class ClaimedCell:
    """All that a worker in any process has to know of a cell beside its model's card."""

    spec: RunSpec
    run_id: str
    """The open run that it is tracked by."""
    holder: str
    """Name of the lock that its run is claimed with."""
    cell_id: str
    """Its entry in the holder's spool."""
    beside: tuple[str, ...] = ()
    """Names of the runs that are encoded, scored and logged meanwhile on the same machine."""

    spool: str | None = None
    """Name of the lock in whose spool its entry is, where that is not the holder's: of a worker on another host."""

    is_new: bool = False
    """Whether its run was created for it, and nothing is known there of its parameters."""

    def describe(self, store: RunStore) -> None:
        """Writes what is known of a new run from the beginning, so that it stands in its place among the others. Where
        the store does not answer, its end writes all of it."""
        if self.is_new:
            with suppress(StoreUnavailableError):
                store.describe(self.run_id, known_params(self.spec), spec_metrics(self.spec))

    @property
    def spooled(self) -> SpooledRun:
        """Its entry in the spool."""
        return spooled_run(self.spool or self.holder, self.cell_id)
