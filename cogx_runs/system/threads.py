"""How the threads on which torch computes on a CPU wait for each other, set without importing torch."""

import os
from collections.abc import MutableMapping

_SETTINGS = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}


def sleep_while_waiting(environment: MutableMapping[str, str] = os.environ) -> None:
    """Has OpenMP's threads sleep while they wait for each other, as long as torch is not imported yet.

    Else they spin for some milliseconds, which takes the time from the very thread that they wait for where another
    process has a core: a step of the toy on two cores then takes 15 to 20 times as long instead of twice. The pixels
    stay the same, since the number of threads does. A setting of the user's own stays.
    """
    if not _SETTINGS & set(environment):
        environment["OMP_WAIT_POLICY"] = "passive"
