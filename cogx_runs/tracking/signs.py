"""Signs of life of open runs, by which hosts judge each other that cannot see each other's locks."""

import time
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from cogx_runs.tracking import tags
from cogx_runs.tracking.liveness import is_alive, is_of_this_host
from cogx_runs.tracking.run import TrackedRun

UNCHANGED_S = 300.0
"""How long a sign is watched before a run without a newer one counts as left behind."""
GAP_S = 180.0
"""The most that counts of the time between two looks: signs cannot be written while the store is away."""


def now_ms() -> int:
    """Reads this host's clock, in ms since 1970."""
    return time.time_ns() // 1_000_000


class Life(Enum):
    """Whether the process that has claimed a run still has it."""

    ALIVE = auto()
    UNKNOWN = auto()
    """It has shown no sign since this process first looked, and may still."""
    GONE = auto()


class _Seen(NamedTuple):
    sign: tuple[int, float]
    """The last sign of life, and the last step."""
    at_s: float
    watched_s: float
    """How long it has been watched without a newer sign."""


class Signs:
    """Judges who is at open runs: on this host by the locks, on another by signs of life that are watched."""

    def __init__(self, watch_s: Callable[[], float] = time.monotonic) -> None:
        """`watch_s` gives the seconds since a fixed moment."""
        self._watch_s = watch_s
        self._seen: dict[str, _Seen] = {}
        self._alive: set[str] = set()

    def of(self, run: TrackedRun) -> Life:
        """Judges an open run, and keeps in mind what it shows.

        Only whether a sign changes counts, and not its age: the clocks of two hosts may differ by any time.
        """
        if not is_alive(run.tags):
            return Life.GONE
        if is_of_this_host(run.tags):
            return Life.ALIVE
        sign, at_s = (last_sign_ms(run), run.metrics.get("current_step", 0.0)), self._watch_s()
        seen = self._seen.get(run.run_id)
        watched_s = 0.0
        if seen is not None and seen.sign == sign:
            watched_s = seen.watched_s + min(at_s - seen.at_s, GAP_S)
        elif seen is not None:
            self._alive.add(run.run_id)
        self._seen[run.run_id] = _Seen(sign, at_s, watched_s)
        if watched_s >= UNCHANGED_S:
            return Life.GONE
        return Life.ALIVE if run.run_id in self._alive else Life.UNKNOWN


def last_sign_ms(run: TrackedRun) -> int:
    """Reads when a run last gave a sign of life, by the clock of its host; that of an earlier version gave one when it
    began."""
    return int(run.tags.get(tags.PROCESS_SEEN, run.start_time_ms))


def where_made(run: TrackedRun, clock_ms: int) -> str:
    """Tells which host makes an open run, and since when it has given no sign of life."""
    host = run.tags.get(tags.PROCESS_HOST, "another host").split(" ")[0]
    return f"being run by host {host}, last sign of life {_ago(clock_ms - last_sign_ms(run))}"


def _ago(elapsed_ms: int) -> str:
    seconds = max(0, elapsed_ms) // 1000
    if seconds < 120:
        return f"{seconds} s ago"
    return f"{seconds // 60} min ago" if seconds < 7200 else f"{seconds // 3600} h ago"
