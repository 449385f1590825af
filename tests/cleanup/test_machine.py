"""What `gc` finds of processes that are gone, and what it leaves to those that live."""

import os
import time
from pathlib import Path

import pytest

from cogx_runs.cleanup.machine import machine_garbage
from cogx_runs.system.disk import cache_directory
from cogx_runs.system.whole_file import written_whole
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.spool import spooled_run
from cogx_runs.tracking.store import RunStore
from tests.support.tracked import SPEC, SWEEP
from tests.tracking.test_delivery import AwayStore, leave

LONG_AGO = 1_000_000_000


def found() -> dict[str, str]:
    """The kind of each thing by its path."""
    return {one.what: one.kind.value for one in machine_garbage()}


def made_long_ago(path: Path, content: bytes = b"half") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for place in (path, path.parent):
        os.utime(place, (LONG_AGO, LONG_AGO))
    return path


def test_an_unnamed_temporary_folder_that_is_older_than_any_process_that_could_use_it_goes(temporary: Path) -> None:
    old = made_long_ago(temporary / "cogx-runs-abc_1234" / "latents.safetensors").parent
    written = made_long_ago(temporary / "cogx-runs-def_1234" / "latents.safetensors").parent
    os.utime(written / "latents.safetensors")
    (temporary / "cogx-runs-new_1234").mkdir()
    made_long_ago(temporary / "other-tool" / "file")
    made_long_ago(temporary / "cogx-runs-demo" / "notes.txt")
    made_long_ago(temporary / "cogx-runs-study_01" / "mlflow.db")

    (garbage,) = machine_garbage()

    assert (garbage.what, garbage.kind.value, garbage.size_bytes) == (str(old), "temporary", 4)
    assert garbage.removed().is_removed
    left = ["cogx-runs-def_1234", "cogx-runs-demo", "cogx-runs-new_1234", "cogx-runs-study_01", "other-tool"]
    assert sorted(path.name for path in temporary.iterdir()) == left


def test_an_unnamed_folder_that_is_younger_than_a_living_process_with_a_model_stays(temporary: Path) -> None:
    import torch  # noqa: F401 (loads its library into this process)

    (temporary / "cogx-runs-abc_1234").mkdir()
    time.sleep(0.01)

    assert list(machine_garbage(unseen_s=0)) == []


def test_the_folder_of_a_living_process_stays_and_that_of_a_dead_one_goes(temporary: Path) -> None:
    with temporary_folder() as folder:
        assert found() == {}
    folder.mkdir()

    assert found() == {str(folder): "temporary"}


def test_half_files_of_the_cache_go_once_nobody_can_be_writing_them() -> None:
    embeddings, digests = cache_directory() / "embeddings", cache_directory() / "weights_sha256"
    old = [made_long_ago(embeddings / "a.part"), made_long_ago(digests / f"{'a' * 64}.1234")]
    made_long_ago(embeddings / "whole.safetensors")
    made_long_ago(digests / ("b" * 64))
    (digests / f"{'c' * 64}.1234").write_bytes(b"half")

    with written_whole(embeddings / "at work") as part:
        part.write_bytes(b"half")
        assert found() == dict.fromkeys(map(str, old), "partial")


@pytest.mark.parametrize(("latents", "end"), [(True, False), (True, True), (False, True)])
def test_what_is_whole_in_the_spool_of_a_dead_process_stays(latents: bool, end: bool, project: Path) -> None:
    run = leave(AwayStore(), latents=latents, end=end)
    assert run.is_dear

    assert found() == {}
    assert run.folder.exists()


def test_an_entry_of_the_spool_without_anything_whole_goes_once_its_process_has(project: Path) -> None:
    store = RunStore()
    with Claims(store) as claims:
        made = claims.claim(store.open_experiment(SWEEP), SPEC, {})
        assert made is not None
        run = spooled_run(claims.holder, made.cell_id)
        run.latents_file.write_bytes(b"half")
        assert found() == {}

    left = leave(store, latents=False, end=False, seed=7)
    left.latents_file.parent.mkdir(parents=True, exist_ok=True)
    left.latents_file.write_bytes(b"half")

    assert found()[str(left.folder)] == "spool"
