"""Free space on each disk that a sweep writes to."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cogx_runs.errors import CogxError
from cogx_runs.system.disk import FREE_DISK_GIB, cache_directory, check_disk, keep_compiled_code, state_directory
from cogx_runs.system.hardware import GIB
from tests.support.sweeping import Invoke

Fill = Callable[[Path], None]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Fill the disk of a folder, which is one of its own."""

    def full(folder: Path) -> None:
        stat, usage = Path.stat, shutil.disk_usage

        def device(path: Path, **options: bool) -> object:
            found = stat(path, **options)
            return SimpleNamespace(st_dev=-1, st_mode=found.st_mode) if path == folder else found

        def free(path: Path) -> object:
            return SimpleNamespace(free=0.9 * FREE_DISK_GIB * GIB) if path == folder else usage(path)

        # What is on which disk is the system's to say, and each caller asks anew: there is no argument for it.
        monkeypatch.setattr(Path, "stat", device)
        monkeypatch.setattr(shutil, "disk_usage", free)

    return full


@pytest.mark.parametrize("place", [cache_directory, state_directory, Path.cwd, lambda: Path(tempfile.gettempdir())])
def test_each_disk_that_is_written_to_is_looked_at(fill: Fill, place: Callable[[], Path]) -> None:
    check_disk()
    folder = place()
    fill(folder)

    with pytest.raises(CogxError) as caught:
        check_disk()

    assert str(caught.value) == f"0.23 GiB left on the disk of {folder}; free some and start again"


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_its_parent(fill: Fill, tmp_path: Path) -> None:
    check_disk(tmp_path / "a" / "b")
    fill(tmp_path)

    with pytest.raises(CogxError, match=f"left on the disk of {tmp_path};"):
        check_disk(tmp_path / "a" / "b")


def test_a_sweep_begins_no_cell_where_the_disk_of_its_artifacts_is_full(
    invoke: Invoke, project: Path, fill: Fill
) -> None:
    (project / "mlruns" / "1").mkdir(parents=True)
    fill(project / "mlruns" / "1")

    result = invoke("sweep", "guidance.yaml")

    assert (result.exit_code, "left on the disk of" in result.stderr) == (2, True)
    assert result.stderr.count("\n") < 10


def test_compiled_code_outlives_a_reboot_unless_the_user_has_named_a_place() -> None:
    unset: dict[str, str] = {}
    named = {
        "TORCHINDUCTOR_CACHE_DIR": "/elsewhere",
        "FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED": "0",
        "FLASH_ATTENTION_CUTE_DSL_CACHE_DIR": "/elsewhere",
    }
    before = named.copy()

    keep_compiled_code(unset)
    keep_compiled_code(named)

    assert unset == {
        "TORCHINDUCTOR_CACHE_DIR": str(cache_directory() / "compiled"),
        "FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED": "1",
        "FLASH_ATTENTION_CUTE_DSL_CACHE_DIR": str(cache_directory() / "compiled" / "flash_attention"),
    }
    assert named == before
