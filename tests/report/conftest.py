"""The store that reports are made of."""

from pathlib import Path

import pytest

from cogx_runs.tracking.store import RunStore


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()
