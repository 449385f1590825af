"""What the tests of generation share."""

from collections.abc import Iterator

import pytest

from cogx_runs.generation.loader import Loader


@pytest.fixture
def loader() -> Iterator[Loader]:
    """A loader that ends with the test."""
    made = Loader()
    yield made
    made.close()
