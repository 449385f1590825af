"""Finished runs read as a whole: what is gone, damaged, or not what the parameters say."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file

from cogx_runs import verify_runs
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import VideoFacts, examine_video, write_mp4
from tests.support.runs import SMALL, make_run


@pytest.fixture
def run_id(project: Path) -> str:
    """The only run of a store: 9 frames of 32x48."""
    return make_run(RunStore(), SMALL)


def _problems() -> dict[str, str]:
    (verified,) = verify_runs()
    return dict(verified.problems)


def _mark() -> str | None:
    (run,) = RunStore().history()
    return run.tags.get("cogx.damaged")


def _video() -> Path:
    return next(Path("mlruns").rglob("video.mp4"))


def _as_of_an_earlier_version(run_id: str) -> None:
    RunStore().amend(run_id, {}, {}, remove=["cogx.artifacts"])


def _flip(file: Path, place: int = -9) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 0xFF
    file.write_bytes(content)


def test_whole_runs_have_no_problems_and_no_mark(run_id: str) -> None:
    (verified,) = verify_runs("exp")

    assert (verified.run_id, verified.experiment, verified.problems) == (run_id, "exp", {})
    assert _mark() is None


def test_what_is_gone_or_damaged_is_told_and_marked_until_it_is_whole_again(run_id: str) -> None:
    whole = _video().read_bytes()
    _flip(_video())
    sheet = next(Path("mlruns").rglob("contact_sheet.png"))
    picture = sheet.read_bytes()
    sheet.unlink()

    found = _problems()

    assert found.keys() == {"contact_sheet.png", "video.mp4"}
    assert found["contact_sheet.png"] == "gone"
    assert found["video.mp4"].startswith("damaged (SHA-256 ")
    assert json.loads(_mark() or "") == found

    _video().write_bytes(whole)
    sheet.write_bytes(picture)
    assert _problems() == {}
    assert _mark() is None


@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_a_truncated_video_without_a_digest_is_found_by_decoding_it(run_id: str, kept: float) -> None:
    _as_of_an_earlier_version(run_id)
    content = _video().read_bytes()
    _video().write_bytes(content[: int(len(content) * kept)])

    assert _problems().keys() == {"video.mp4"}


def test_a_video_that_is_none_cannot_be_decoded(run_id: str) -> None:
    _as_of_an_earlier_version(run_id)
    _video().write_bytes(b"no video")

    assert _problems() == {"video.mp4": "cannot be decoded"}


def test_a_video_of_other_frames_size_or_rate_than_the_parameters_is_told(run_id: str) -> None:
    _as_of_an_earlier_version(run_id)
    write_mp4(np.zeros((5, 48, 32, 3), dtype=np.uint8), _video(), 12)

    assert _problems() == {"video.mp4": "5 frames, not 9; 48 high, not 32; 32 wide, not 48; 12 frames a second, not 8"}


@pytest.mark.parametrize(
    ("latents", "told"),
    [
        (torch.zeros(1, 3, 16, 4, 6), None),
        (torch.full((1, 3, 16, 4, 6), float("nan")), "has values that are not finite"),
        (torch.zeros(1, 3, 16, 4, 4), "has the shape (1, 3, 16, 4, 4), which is not that of its video"),
        (torch.zeros(1, 4, 16, 4, 6), "has the shape (1, 4, 16, 4, 6), which is not that of its video"),
        (torch.zeros(3), "has the shape (3,), which is not that of its video"),
        (None, "cannot be loaded"),
    ],
)
def test_latents_are_finite_and_have_the_shape_of_their_video(
    run_id: str, tmp_path: Path, latents: torch.Tensor | None, told: str | None
) -> None:
    file = tmp_path / "latents.safetensors"
    if latents is None:
        file.write_bytes(b"none")
    else:
        save_file({"latents": latents}, file)
    RunStore().keep_latents(run_id, file, {}, {})
    _as_of_an_earlier_version(run_id)

    assert _problems() == ({} if told is None else {"latents.safetensors": told})


def test_a_store_that_can_only_be_read_is_verified_and_not_marked(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _video().unlink()
    said: list[str] = []
    with monkeypatch.context() as patched:  # who runs the tests as root may write everything
        patched.setattr("os.access", lambda path, _: not str(path).endswith("mlflow.db"))
        (verified,) = verify_runs(report=said.append)

    assert verified.problems == {"video.mp4": "gone"}
    assert said[0].startswith("nothing is marked: ")
    assert _mark() is None


def test_a_run_that_is_written_anew_while_it_is_read_is_read_again(
    run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore()
    sheet = next(Path("mlruns").rglob("contact_sheet.png"))
    files = Path("files")
    files.mkdir()
    (files / sheet.name).write_bytes(b"another")
    sheet.unlink()

    def meanwhile(file: Path) -> VideoFacts:
        if not sheet.exists():
            store.amend(run_id, {}, {}, artifacts=files)
        return examine_video(file)

    monkeypatch.setattr("cogx_runs.verify.examine_video", meanwhile)

    assert _problems() == {}
    assert _mark() is None


def test_the_command_lists_what_is_not_right(invoke: Callable[..., Result]) -> None:
    run_id = make_run(RunStore(), SMALL)
    assert (invoke("verify").exit_code, invoke("verify").stdout) == (0, "1 finished runs, 0 not whole\n")
    _video().unlink()

    result = invoke("verify", "exp")
    printed = json.loads(invoke("verify", "--json").stdout)

    assert result.exit_code == 1
    line = f"exp: {SMALL.run_name}, run {run_id}: video.mp4: gone\n"
    assert result.stdout == f"{line}1 finished runs, 1 not whole\n"
    assert printed == [
        {"run_id": run_id, "run_name": SMALL.run_name, "experiment": "exp", "problems": {"video.mp4": "gone"}}
    ]
