"""Sizes and SHA-256 of artifacts, logged with them and checked when they are read."""

from pathlib import Path

import pytest

from cogx_runs.errors import DamagedArtifactError
from cogx_runs.tracking.digests import Digest, digests, read_digests, write_digests
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tables import Tables
from tests.support.claims import claim
from tests.support.tracked import SPEC, SWEEP

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


def _finished(store: RunStore, tmp_path: Path) -> str:
    """A finished run with latents, a video and a picture."""
    run_id = claim(store, store.open_experiment(SWEEP), SPEC)
    latents = tmp_path / "latents.safetensors"
    latents.write_bytes(b"latents")
    store.keep_latents(run_id, latents, {}, {})
    files = tmp_path / "files"
    (files / "images").mkdir(parents=True)
    (files / "video.mp4").write_bytes(b"abc")
    (files / "images" / "clip+1.png").write_bytes(b"picture")
    store.finish(run_id, files, {}, {}, {})
    return run_id


def _logged(run_id: str, name: str) -> Path:
    return next(Path("mlruns").rglob(f"{run_id}/artifacts/{name}"))


def test_digests_are_of_all_files_by_their_names_and_survive_their_tag(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"abc")

    found = digests(tmp_path)

    assert found == {"images/a.png": Digest(3, ABC)}
    assert read_digests(write_digests(found)) == found


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"video.mp4": [3]}', '{"video.mp4": ["3", "ab"]}'])
def test_a_tag_of_digests_that_was_edited_by_hand_tells_none(text: str) -> None:
    assert read_digests(text) == {}


def test_a_run_has_the_digest_of_each_artifact_but_tables_do_not(store: RunStore, tmp_path: Path) -> None:
    _finished(store, tmp_path)

    (run,) = store.history()

    assert set(run.digests) == {"latents.safetensors", "video.mp4", "images/clip+1.png"}
    assert run.digests["video.mp4"] == Digest(3, ABC)
    assert "tags.cogx.artifacts" not in next(store.rows())


@pytest.mark.parametrize(
    ("artifact", "name", "content", "told"),
    [
        ("video.mp4", "video.mp4", b"abd", "damaged (SHA-256 a52d159f262b..., not ba7816bf8f01...)"),
        ("video.mp4", "video.mp4", b"ab", "damaged (2 bytes, not 3)"),
        ("latents.safetensors", "latents.safetensors", b"Latents", "damaged"),
        ("images", "images/clip+1.png", b"Picture", "damaged"),
        ("images", "images/clip+1.png", None, "gone"),
        ("", "images/clip+1.png", None, "gone"),
    ],
)
def test_what_is_not_as_it_was_logged_is_not_read(
    store: RunStore, tmp_path: Path, artifact: str, name: str, content: bytes | None, told: str
) -> None:
    run_id = _finished(store, tmp_path)
    logged = _logged(run_id, name)
    if content is None:
        logged.unlink()
    else:
        logged.write_bytes(content)
    copies = tmp_path / "copies"

    with pytest.raises(DamagedArtifactError) as raised:
        store.download(run_id, artifact, copies)

    assert str(raised.value).startswith(f"run {run_id}: artifact {name} cannot be read: it is {told}")
    assert not (copies / name).exists()


def test_what_is_whole_is_read_beside_what_is_not(store: RunStore, tmp_path: Path) -> None:
    run_id = _finished(store, tmp_path)
    _logged(run_id, "latents.safetensors").write_bytes(b"Latents")

    assert store.download(run_id, "video.mp4", tmp_path / "copies").read_bytes() == b"abc"


def test_a_run_of_an_earlier_version_is_read_as_it_is(store: RunStore, tmp_path: Path) -> None:
    run_id = _finished(store, tmp_path)
    store.amend(run_id, {}, {}, remove=["cogx.artifacts"])
    _logged(run_id, "video.mp4").write_bytes(b"abd")

    assert store.download(run_id, "video.mp4", tmp_path / "copies").read_bytes() == b"abd"


def test_files_that_a_finished_run_is_given_later_have_their_digests_too(store: RunStore, tmp_path: Path) -> None:
    run_id = _finished(store, tmp_path)
    later = tmp_path / "later"
    later.mkdir()
    (later / "video.mp4").write_bytes(b"other")
    store.mark_damaged(run_id, {"video.mp4": "SHA-256", "latents.safetensors": "SHA-256"})

    store.amend(run_id, {}, {}, artifacts=later)

    assert store.download(run_id, "video.mp4", tmp_path / "copies").read_bytes() == b"other"
    (run,) = store.history()
    assert set(run.digests) == {"latents.safetensors", "video.mp4", "images/clip+1.png"}
    assert run.tags["cogx.damaged"] == '{"latents.safetensors": "SHA-256"}'


def test_several_artifacts_are_copied_and_a_run_is_ended_with_one_reading_of_the_run(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = _finished(store, tmp_path)
    read = []
    read_run = Tables.run
    monkeypatch.setattr(Tables, "run", lambda *given: read.append(given) or read_run(*given))

    store.download_each(run_id, ["video.mp4", "images", "latents.safetensors"], tmp_path / "copies")
    assert len(read) == 1
    store.finish(run_id, tmp_path / "files", {}, {}, {})
    assert len(read) == 2
