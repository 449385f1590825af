"""Finished runs whose files are gone or damaged, made again from what is whole."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.planning.plan import Plan
from cogx_runs.tracking.store import RunStore
from tests.support.running import Notes, again, never, outcomes, run


@pytest.fixture
def made(plan: Plan) -> Plan:
    """The plan of one cell, which is finished."""
    one = replace(plan, runs=plan.runs[:1])
    assert run(one) == ["finished"]
    return one


def _file(name: str) -> Path:
    (found,) = Path("mlruns").rglob(name)
    return found


def _flip(file: Path) -> None:
    """Flips the bits of a byte behind the header."""
    content = bytearray(file.read_bytes())
    content[-9] ^= 0xFF
    file.write_bytes(content)


def _first(plan: Plan) -> Plan:
    return replace(plan, runs=plan.runs[:1])


def _other_fps() -> Plan:
    return _first(plan_sweeps(["seed.yaml"], device="cpu", overrides={"fps": 16}))


def _warnings(plan: Plan) -> list[str]:
    return [advice.message for advice in plan.advice if "lost files" in advice.message]


def test_a_lost_video_is_made_again_in_its_own_run_from_its_latents(made: Plan) -> None:
    before = RunStore().history()[0]
    video = _file("video.mp4").read_bytes()
    _file("video.mp4").unlink()

    planned = again()
    assert [planned_run.action for planned_run in planned.runs] == ["reuse", "run", "run", "run"]
    assert _warnings(planned) == [
        "1 finished cell has lost files, and will be made again, from kept latents: seed=1 panda (video.mp4)"
    ]
    assert run(_first(planned), denoise=never) == ["finished"]

    (after,) = RunStore().history()
    assert (after.run_id, after.state, after.params) == (before.run_id, before.state, before.params)
    assert _file("video.mp4").read_bytes() == video
    assert len(list(Path("mlruns").rglob("images/clip*.png"))) == 1
    same = ("denoise_s", "clip_score", "sharpness")
    assert [after.metrics[name] for name in same] == [before.metrics[name] for name in same]
    assert "cogx.latents_from" not in after.tags
    assert [planned_run.action for planned_run in again().runs] == ["done", "run", "run", "run"]


@pytest.mark.slow
def test_runs_that_lost_all_of_their_files_are_ended_and_made_anew(made: Plan) -> None:
    shutil.rmtree("mlruns")

    planned = again()
    assert planned.runs[0].action == "run"
    assert run(_first(planned)) == ["finished"]

    ended = load_runs("exp", where=["status=KILLED"]).iloc[0]
    assert ended["tags.cogx.lost"].startswith("latents.safetensors, ")
    assert RunStore().download(load_runs("exp", where=["status=FINISHED"]).iloc[0]["run_id"], "", Path("all")).is_dir()
    assert again().runs[0].action == "done"


def test_a_disk_that_is_not_mounted_makes_nothing_anew(made: Plan) -> None:
    Path("mlruns").rename("disk")
    Path("mlruns").mkdir()

    planned = again()
    (error,) = planned.errors
    assert error.message.endswith(
        "/mlruns: is empty, and 1 run has files in it; mount its disk; if they are gone for good, remove it, and "
        "finished cells are made again"
    )
    assert _warnings(planned) == []

    Path("mlruns").rmdir()
    assert [again().errors, again().runs[0].action] == [[], "run"]


def test_lost_latents_alone_leave_a_cell_done_but_are_not_to_be_decoded(made: Plan) -> None:
    _file("latents.safetensors").unlink()

    assert again().runs[0].action == "done"
    assert _other_fps().runs[0].action == "run"


def test_damaged_latents_are_told_and_denoised_again(made: Plan) -> None:
    _flip(_file("latents.safetensors"))
    notes = Notes()

    (outcome,) = outcomes(_other_fps(), notes)

    first, second = (load_runs("exp", where=[f"params.fps={fps}"]).iloc[0] for fps in (8, 16))
    assert outcome.status == "finished"
    assert second["metrics.clip_score"] == first["metrics.clip_score"]
    assert "is damaged (SHA-256 " in " ".join(notes.notes)


def test_a_run_that_lost_its_video_and_has_damaged_latents_is_made_anew(made: Plan) -> None:
    _flip(_file("latents.safetensors"))
    _file("video.mp4").unlink()

    assert run(_first(again())) == ["finished"]

    assert sorted(load_runs("exp")["status"]) == ["FINISHED", "KILLED"]


@pytest.mark.slow
def test_a_copy_of_a_damaged_video_is_made_from_its_latents(made: Plan) -> None:
    _flip(_file("video.mp4"))
    text = Path("seed.yaml").read_text(encoding="utf-8")
    Path("copy.yaml").write_text(text.replace("name: exp", "name: copy"), encoding="utf-8")
    notes = Notes()

    (outcome,) = outcomes(_first(plan_sweeps(["copy.yaml"], device="cpu")), notes, denoise=never)

    assert outcome.status == "finished"
    assert "video.mp4 cannot be read: it is damaged (SHA-256 " in " ".join(notes.notes)
    assert outcome.run_id is not None
    RunStore().download(outcome.run_id, "", Path("all"))


def test_a_run_that_lost_its_video_is_not_copied(made: Plan) -> None:
    _file("video.mp4").unlink()
    text = Path("seed.yaml").read_text(encoding="utf-8")
    Path("copy.yaml").write_text(text.replace("name: exp", "name: copy"), encoding="utf-8")
    notes = Notes()

    (outcome,) = outcomes(_first(plan_sweeps(["copy.yaml"], device="cpu")), notes, denoise=never)

    assert (outcome.status, notes.notes) == ("finished", [])


def test_what_is_marked_as_damaged_is_made_again_and_loses_the_mark(made: Plan) -> None:
    store = RunStore()
    (finished,) = store.history()
    store.mark_damaged(finished.run_id, {"video.mp4": "7 frames, not 9"})

    planned = again()
    assert planned.runs[0].decision.lost == ("video.mp4",)
    assert run(_first(planned), denoise=never) == ["finished"]

    (mended,) = store.history()
    assert "cogx.damaged" not in mended.tags
    assert json.loads(mended.tags["cogx.artifacts"])["video.mp4"]
