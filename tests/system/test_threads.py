"""How OpenMP's threads wait for each other."""

import pytest

from cogx_runs.system.threads import sleep_while_waiting


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
        ({"GOMP_SPINCOUNT": "1000"}, {"GOMP_SPINCOUNT": "1000"}),
        ({"KMP_BLOCKTIME": "0"}, {"KMP_BLOCKTIME": "0"}),
    ],
)
def test_threads_sleep_while_they_wait_unless_the_user_has_said_how(
    given: dict[str, str], expected: dict[str, str]
) -> None:
    environment = dict(given)

    sleep_while_waiting(environment)

    assert environment == expected
