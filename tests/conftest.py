"""Real parts, small: a random CogVideoX, a random CLIP, an empty tracking store."""

import gc
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import yaml
from filelock import FileLock

from cogx_runs.system import hardware, load
from tests.support.fsync import do_without_fsync
from tests.support.gpus import FakeGpu, LeaveFree, PlugIn, fake_nvml
from tests.support.metrics import Register, registering
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from click.testing import Result
    from playwright.sync_api import Browser

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported
# Read once too, when torch is: further threads find no work in models this small, and wait by spinning.
os.environ["OMP_NUM_THREADS"] = "1"
do_without_fsync()


def pytest_collection_finish() -> None:
    """Leave what was imported out of later collections of garbage: the runner asks for several a cell, 0.3 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, made by the first worker that asks."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}.unfinished")
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(shared: Path) -> Path:
    """A CogVideoXPipeline folder with random weights, 32x32, up to 17 frames."""

    def make(folder: Path) -> None:
        from benchmarks.random_model import save_random_model

        save_random_model(folder, "tiny", ROOT / "prompts")

    return _once(shared / "tiny_model", make)


@pytest.fixture(scope="session")
def tiny_1_5(shared: Path) -> Path:
    """Another like CogVideoX 1.5: patches of two latent frames, rotary positions, 32x48, up to 33 frames."""

    def make(folder: Path) -> None:
        from benchmarks.random_model import save_random_model

        save_random_model(folder, "tiny-1.5", ROOT / "prompts")

    return _once(shared / "tiny_1_5", make)


@pytest.fixture(scope="session")
def tiny_clip(shared: Path) -> Path:
    """A CLIP folder of open_clip's with random weights."""

    def make(folder: Path) -> None:
        from benchmarks.random_model import save_random_clip

        save_random_clip(folder)

    return _once(shared / "tiny_clip", make)


@pytest.fixture(scope="session")
def empty_store(shared: Path) -> Path:
    """A folder with a fresh `mlflow.db`; making one takes MLflow seconds, copying it none."""

    def make(folder: Path) -> None:
        from cogx_runs.tracking.store import RunStore

        folder.mkdir()
        RunStore(f"sqlite:///{folder}/mlflow.db")

    return _once(shared / "empty_store", make)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with a cache of its own and none of the user's settings."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing else runs: what its other users do is no matter of the tests."""
    monkeypatch.setattr(load, "cpu_times", lambda: load.CpuTimes(time.monotonic(), 0.0, 0.0))


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlugIn]:
    """Put a GPU into this machine, or None, as far as NVIDIA's management library tells."""

    def plug(gpu: FakeGpu | None) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(gpu))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        hardware.gpu.cache_clear()

    yield plug
    hardware.gpu.cache_clear()


@pytest.fixture
def leave_free(monkeypatch: pytest.MonkeyPatch) -> LeaveFree:
    """Leave so many GiB of this machine's memory free."""

    def leave(free_gib: float) -> None:
        memory = psutil.virtual_memory()._replace(available=int(free_gib * hardware.GIB))
        # How much is free is the system's to say, and each caller asks anew: there is no argument for it.
        monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)

    return leave


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    """Register metrics beside those that the package brings."""
    with registering(tmp_path / "installed") as registered:
        yield registered


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium, without a window; tests that need it are skipped, and say so, where there is none."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here; `apt-get install chromium` installs it")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path)
        yield opened
        opened.close()


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an empty tracking store, entered."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(empty_store / "mlflow.db", folder / "mlflow.db")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def invoke(project: Path, tiny_model: Path, tiny_clip: Path) -> "Callable[..., Result]":
    """Run `cogx-runs` with these arguments in a project that holds a guidance and a seed sweep."""
    from click.testing import CliRunner

    from cogx_runs.cli import cli

    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")
    (project / "prompts" / "cat.txt").write_text("A cat at a keyboard.\n", encoding="utf-8")
    base = {
        "model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9,
        "guidance_scale": 6, "seed": 42,
    }  # fmt: skip
    sweeps = {
        "guidance": {"name": "exp_guidance", "description": "Why.", "axes": {"guidance_scale": [1, 6]}},
        "seed": {"name": "exp_seed", "axes": {"seed": [42, 7]}},
    }
    for name, content in sweeps.items():
        text = yaml.safe_dump({"prompts": ["panda"], "base": base, **content})
        (project / f"{name}.yaml").write_text(text, encoding="utf-8")

    def call(*arguments: object) -> "Result":
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
