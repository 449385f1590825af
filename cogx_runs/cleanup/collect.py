"""Collects what can be removed, and removes it where that is asked for."""

from collections.abc import Iterator

from cogx_runs.cleanup.garbage import Garbage
from cogx_runs.cleanup.machine import machine_garbage
from cogx_runs.cleanup.stored import store_garbage
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import store_exists


def collect_garbage(*, remove: bool = False, tracking_uri: str | None = None) -> list[Garbage]:
    """Finds what nothing refers to, in the tracking store and of processes that are gone on this machine: what is half
    written, has no run, or was deleted in MLflow. With `remove` it is removed; what that came to is in the records.

    What a finished run refers to is never among it, nor what a living process uses. Raises CogxError where the store
    cannot be opened.
    """
    return [found.removed() if remove else found for found in _garbage(tracking_uri)]


def _garbage(tracking_uri: str | None) -> Iterator[Garbage]:
    if store_exists(tracking_uri):
        store = RunStore(tracking_uri)
        with store.lock:  # nobody claims a run or makes an experiment meanwhile
            yield from list(store_garbage(store))
    yield from list(machine_garbage())
