"""The runs of experiments that are being written: read whole at first, then those alone that may have changed."""

from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.signs import now_ms

OTHER_CLOCKS_MS = 600_000
"""How far the clock of another host may be behind, whose runs are then seen at once; those of others at the end."""


class FollowedRuns:
    """Keeps the runs of experiments, and reads again those that are open, those that were, and those that have ended
    since the last look."""

    def __init__(self, store: RunReader) -> None:
        self._store = store
        self._runs: dict[str, list[TrackedRun]] = {}
        self._read_ms: dict[str, int] = {}

    def read(self, name: str) -> list[TrackedRun]:
        """Reads the runs of an experiment, newest first."""
        now = now_ms()
        if name in self._runs:
            since = self._read_ms[name] - OTHER_CLOCKS_MS
            self._runs[name] = self._store.runs_again(name, self._runs[name], since)
        else:
            self._runs[name] = list(self._store.runs([name]))
        self._read_ms[name] = now
        return self._runs[name]

    def forget(self) -> None:
        """Has all runs read again, in which also those that had ended may have changed."""
        self._runs.clear()
