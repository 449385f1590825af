"""How the threads on which torch computes on a CPU wait for each other, set without importing torch."""

import os
from collections.abc import MutableMapping

SPINS = 1000
"""Spins before a thread sleeps; OpenMP's own are 300,000. As fast as those on two free cores, where none at all cost 6%
of a step."""
_SETTINGS = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}


def sleep_while_waiting(environment: MutableMapping[str, str] = os.environ) -> None:
    """Has OpenMP's threads sleep after a short while in which they wait for each other, as long as torch is not
    imported yet.

    Else they spin, and where another process wants a core too, they take the time from the thread that they wait for.
    The pixels stay the same, since the number of threads does. A setting of the user's own stays.
    """
    if not _SETTINGS & set(environment):
        environment["OMP_WAIT_POLICY"] = "passive"  # what other OpenMPs than GCC's read
        environment["GOMP_SPINCOUNT"] = str(SPINS)
