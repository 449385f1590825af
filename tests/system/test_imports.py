"""Imports in the process of a command: packages that are left out, and a garbage collector that waits."""

import gc
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cogx_runs.system.imports import UNUSED, lean_imports


@pytest.fixture(autouse=True)
def without_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has imported neither torch nor the package that is to be left out."""
    for name in ("torch", "colorsys"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield
    gc.unfreeze()


def test_a_package_that_is_left_out_is_missing_in_the_block_alone() -> None:
    with lean_imports(["colorsys", "json"]):
        assert importlib.util.find_spec("colorsys") is None
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("colorsys")
        assert importlib.import_module("json") is sys.modules["json"], "what is imported already stays"

    assert importlib.import_module("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def fail() -> None:
    with lean_imports(["colorsys"]):
        assert not gc.isenabled()
        raise ImportError("no torch")


def test_the_garbage_collector_waits_for_the_end_of_the_block_also_where_it_fails() -> None:
    with pytest.raises(ImportError, match="no torch"):
        fail()

    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert "colorsys" not in sys.modules


def test_nothing_is_done_to_a_process_that_has_imported_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)

    with lean_imports(["colorsys"]):
        assert gc.isenabled()
        assert importlib.util.find_spec("colorsys") is not None
    assert gc.get_freeze_count() == 0


@pytest.mark.slow
def test_a_worker_is_imported_without_what_it_does_not_use() -> None:
    script = """
import sys
from cogx_runs.system.imports import lean_imports
with lean_imports():
    import cogx_runs.execution.worker, cogx_runs.metrics.clip
print("loaded:", *sorted(sys.modules))
import scipy.stats
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded >= {"torch", "diffusers", "transformers", "open_clip"}
    assert loaded & {*UNUSED, "sklearn", "mlflow"} == set()
