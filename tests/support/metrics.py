"""A package besides this one that registers metrics, as far as its metadata tell."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from cogx_runs.metrics import registry
from cogx_runs.metrics.metric import Metric

MODULE = "metrics_of_a_test"
Install = Callable[[Mapping[str, str]], None]
"""Installs a package with these entry points, `module:attribute` by name, in the place of the one before."""
Register = Callable[..., None]
"""Registers these metrics, in the place of those before."""


@contextmanager
def installing(folder: Path) -> Iterator[Install]:
    """Has packages found in this folder until the block ends."""

    def install(points: Mapping[str, str]) -> None:
        info = folder / "bright-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bright\nVersion: 1.0\n")
        lines = [f"[{registry.GROUP}]", *(f"{name} = {target}" for name, target in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))
        patch.syspath_prepend(folder)
        _forget()

    with pytest.MonkeyPatch.context() as patch:
        yield install
    _forget()


@contextmanager
def registering(folder: Path) -> Iterator[Register]:
    """Has metrics registered until the block ends, by a package in this folder."""

    def register(*metrics: Metric) -> None:
        by_name = {metric.card.name: metric for metric in metrics}
        patch.setitem(sys.modules, MODULE, SimpleNamespace(**by_name))
        install({name: f"{MODULE}:{name}" for name in by_name})

    with pytest.MonkeyPatch.context() as patch, installing(folder) as install:
        yield register


def _forget() -> None:
    registry.metrics.cache_clear()
    registry.cards.cache_clear()
