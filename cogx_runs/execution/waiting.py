"""The ended runs of a plan that wait in the spool, since the tracking store did not answer."""

import time
from collections.abc import Callable

from cogx_runs.errors import StoreUnavailableError
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.spool import SpooledRun, size_gib, spool_directory
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import without_password

MAX_WAITING = 100
"""Runs that may wait before no further cell is begun."""
MAX_WAITING_GIB = 5.0
"""GiB that they may take."""
GRACE_S = 30.0
"""How long the store is waited for once the last cell has ended."""
_PAUSE_S = 1.0


class WaitingRuns:
    """Keeps account of a plan's ended runs that the store lacks, each by its cell's place in the plan."""

    def __init__(self, store: RunStore, note: Callable[[str], None]) -> None:
        """`note` is told when the store goes away, and when it is back."""
        self._address = without_password(store.uri)
        self._delivery = Delivery(store)
        self._note = note
        self._runs: dict[int, SpooledRun] = {}

    def add(self, place: int, run: SpooledRun) -> None:
        """Takes up a run that has ended, where the store did not take it."""
        if run.ended is None:
            return
        if not self._runs:
            self._note(
                f"the tracking store {self._address} does not answer; finished cells are kept in {spool_directory()} "
                f"until it does, up to {MAX_WAITING} cells or {MAX_WAITING_GIB:g} GiB"
            )
        self._runs[place] = run

    def deliver(self) -> dict[int, str]:
        """Delivers what waits, where the store answers. Returns the ids of the runs by their places."""
        delivered = {}
        for place, run in list(self._runs.items()):
            try:
                found = self._delivery.deliver(run)
            except StoreUnavailableError:
                break
            del self._runs[place]
            assert found is not None, "a run that has ended is whole"
            delivered[place] = found.run_id
        if delivered and not self._runs:
            self._note(f"the tracking store {self._address} answers again; all that was kept is delivered")
        return delivered

    def deliver_all(self) -> dict[int, str]:
        """Delivers what waits, and waits for the store as long as GRACE_S. Returns the ids of the runs by their places.

        Raises StoreUnavailableError where something is left.
        """
        ends = time.monotonic() + GRACE_S
        delivered = self.deliver()
        while self._runs and time.monotonic() < ends:
            time.sleep(_PAUSE_S)
            delivered |= self.deliver()
        if self._runs:
            raise StoreUnavailableError(f"tracking store {self._address} does not answer")
        return delivered

    def check_limits(self) -> None:
        """Raises StoreUnavailableError where too much waits."""
        if len(self._runs) >= MAX_WAITING or (self._runs and size_gib([*self._runs.values()]) > MAX_WAITING_GIB):
            raise StoreUnavailableError(f"tracking store {self._address} does not answer")
