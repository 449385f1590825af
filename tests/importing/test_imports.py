"""Videos of other programs as tracked runs, on a real store, with real files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cogx_runs.analysis.effects import effects
from cogx_runs.analysis.frame import load_runs
from cogx_runs.errors import InputError
from cogx_runs.export import export_runs
from cogx_runs.importing.imports import ImportedVideo, import_videos
from cogx_runs.metrics.registry import is_of_machine
from cogx_runs.models.cards import HUB_MODELS
from cogx_runs.planning.actions import Action, choose_actions
from cogx_runs.planning.cost import CostModel
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.spool import spool_directory
from cogx_runs.verify import verify_runs
from tests.support.foreign_videos import cut, write_video
from tests.support.specs import SPEC

PANDA = "A panda plays the guitar."


@pytest.fixture
def folder(project: Path) -> Path:
    """Two videos of one prompt at two guidance scales, beside a library that knows it."""
    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text(f"{PANDA}\n", encoding="utf-8")
    write_video(project / "old_cfg" / "panda_gs1.mp4", seed=1)
    write_video(project / "old_cfg" / "panda_gs6.mp4", seed=6)
    return project / "old_cfg"


@pytest.fixture
def take(tiny_clip: Path) -> Any:
    def take_in(folder: Path, **options: Any) -> list[ImportedVideo]:
        options["overrides"] = {"clip_model": str(tiny_clip), **options.get("overrides", {})}
        return import_videos(folder, **options)

    return take_in


def mistakes(error: pytest.ExceptionInfo[InputError]) -> list[str]:
    return [str(mistake) for mistake in error.value.mistakes]


def test_an_imported_video_is_a_finished_run_with_what_is_known_of_it_and_no_time(folder: Path, take: Any) -> None:
    found = take(folder, overrides={"seed": 42})

    assert [(one.file.name, one.run_name, one.is_new) for one in found] == [
        ("panda_gs1.mp4", "guidance=1 panda", True), ("panda_gs6.mp4", "guidance=6 panda", True),
    ]  # fmt: skip
    store = RunReader()
    run = next(run for run in store.runs(["old_cfg"]) if run.run_id == found[1].run_id)
    assert run.state is RunState.FINISHED
    known = {name: value for name, value in run.params.items() if name != "clip_model"}
    assert known == {
        "prompt_name": "panda", "guidance_scale": "6.0", "seed": "42", "num_frames": "9", "height": "32",
        "width": "32", "fps": "8", "model": "imported", "model_revision": "imported",
    }  # fmt: skip
    assert run.prompt == PANDA
    assert run.imported_from == "panda_gs6.mp4"
    assert run.tags["cogx.imported_sha256"] == hashlib.sha256((folder / "panda_gs6.mp4").read_bytes()).hexdigest()
    assert {"clip_score", "sharpness", "file_size_bytes", "axis.guidance_scale"} <= run.metrics.keys()
    assert [name for name in run.metrics if is_of_machine(name)] == []
    assert json.loads(run.tags["cogx.metrics"]).keys() == run.metrics.keys() - {"axis.guidance_scale"}
    files = store.download(run.run_id, "", folder.parent / "artifacts")
    assert (files / "video.mp4").read_bytes() == (folder / "panda_gs6.mp4").read_bytes()
    assert {path.name for path in files.iterdir()} == {
        "video.mp4", "video_large.mp4", "contact_sheet.png", "images", "prompt.txt", "config.yaml", "metrics.yaml",
    }  # fmt: skip
    assert list(spool_directory().glob("*")) == []


def test_what_is_imported_twice_is_imported_once(folder: Path, take: Any) -> None:
    first = take(folder)
    write_video(folder / "panda_gs12.mp4", seed=12)

    again = take(folder)

    assert [one.is_new for one in again] == [False, True, False]  # by name: gs1, gs12, gs6
    assert {one.run_id for one in first} == {one.run_id for one in again if not one.is_new}
    assert len(load_runs("old_cfg")) == 3


def test_other_values_for_what_is_imported_already_are_a_mistake(folder: Path, take: Any) -> None:
    first = take(folder)

    with pytest.raises(InputError) as raised:
        take(folder, overrides={"seed": 7})

    assert mistakes(raised)[0] == (
        f"panda_gs1.mp4: is imported already with seed unknown, not 7; delete its run {first[0].run_id} first"
    )
    assert len(load_runs("old_cfg")) == 2


def test_all_mistakes_are_told_at_once_and_nothing_is_written(folder: Path, take: Any) -> None:
    cut(write_video(folder / "panda_gs7.mp4", seed=7))
    (folder / "panda_gs8.mp4").write_text("no video", encoding="utf-8")
    write_video(folder / "panda_gs900.mp4", seed=9)
    write_video(folder / "pandas_gs9.mp4", seed=10)
    write_video(folder / "panda_frames25.mp4", seed=11)
    (folder / "copy.mp4").write_bytes((folder / "panda_gs1.mp4").read_bytes())
    (folder.parent / "prompts" / "copy.txt").write_text(PANDA, encoding="utf-8")

    with pytest.raises(InputError) as raised:
        take(folder, overrides={"placement": "group"})

    assert sorted(mistakes(raised)) == [
        "(command line):placement: changes nothing of a video, and is not recorded of one",
        "panda_frames25.mp4: the video has num_frames 9, and 25 is given",
        "panda_gs1.mp4: panda_gs1.mp4 is copy.mp4 again, byte for byte; import one",
        "panda_gs7.mp4: panda_gs7.mp4: cannot be decoded to its end; make or copy it again",
        "panda_gs8.mp4: panda_gs8.mp4: cannot be decoded to its end; make or copy it again",
        "panda_gs900.mp4:guidance_scale: Input should be less than or equal to 100 (got 900)",
        "pandas_gs9.mp4: no prompt 'pandas' in prompts; did you mean 'panda'?",
    ]  # fmt: skip
    assert RunReader().experiment_names() == []


def test_a_table_names_files_prompts_and_parameters(folder: Path, take: Any) -> None:
    write_video(folder / "left.mp4", seed=3)
    table = folder.parent / "table.csv"
    table.write_text(
        "file,prompt,prompt_text,guidance_scale,scheduler\n"
        "panda_gs1.mp4,panda,,1,ddim\n"
        "panda_gs6.mp4,,A cat at a keyboard.,6.5,\n",
        encoding="utf-8",
    )
    told: list[str] = []

    take(folder, table=table, name="tabled", report=told.append)

    frame = load_runs("tabled").sort_values("params.guidance_scale")
    assert frame["params.prompt_name"].tolist() == ["panda", "a_cat_at_a_keyboard"]
    assert frame["tags.cogx.prompt"].tolist() == [PANDA, "A cat at a keyboard."]
    assert frame["params.scheduler"].fillna("unknown").tolist() == ["ddim", "unknown"]
    assert told[0] == f"left.mp4: is not in {table}, and is left out"


def test_mistakes_of_a_table_have_their_line(folder: Path, take: Any) -> None:
    table = folder.parent / "table.csv"
    table.write_text(
        "file,prompt,guidance_scale\npanda_gs1.mp4,panda,high\n../panda_gs6.mp4,panda,1\npanda_gs6.mp4,,6\n",
        encoding="utf-8",
    )

    with pytest.raises(InputError) as raised:
        take(folder, table=table)

    assert mistakes(raised) == [
        f"{table}:2:guidance_scale: must be a number (got 'high')",
        f"{table}:3: ../panda_gs6.mp4: no such .mp4 file in {folder}",
        f"{table}:4: no prompt is named; give its name or its text",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,prompt\n", "has no column 'file'"),
        ("file,gidance_scale\na.mp4,1\n", "unknown column; did you mean 'guidance_scale'?"),
        ("file,prompt\na.mp4\n", "has 1 cells, and there are 2 columns"),
        ("file,prompt\na.mp4,panda\na.mp4,panda\n", "names a.mp4 a second time"),
        ("file,seed,seed\na.mp4,1,2\n", "names two columns"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(folder: Path, take: Any, text: str, message: str) -> None:
    table = folder.parent / "table.csv"
    table.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as raised:
        take(folder, table=table)

    (line,) = mistakes(raised)
    assert message in line


def test_no_plan_and_no_estimate_takes_an_imported_run_for_a_cell(folder: Path, take: Any) -> None:
    take(folder)
    history = RunReader().history()
    spec = SPEC.replace(sweep="old_cfg", prompt=PANDA, prompt_name="panda", guidance_scale=6.0, num_frames=9)

    assert [decision.action for decision in choose_actions([spec], history)] == [Action.RUN]
    assert CostModel(history).estimate(spec, HUB_MODELS["2b"]) == CostModel([]).estimate(spec, HUB_MODELS["2b"])
    assert len(history) == 2


def test_effects_compare_imported_videos_with_each_other(folder: Path, take: Any) -> None:
    take(folder)

    found = effects(load_runs("old_cfg"), ["guidance_scale"], ["sharpness"], {"guidance_scale": 6.0})

    assert [(one.value, one.pairs) for one in found] == [(1.0, 1)]


def test_export_writes_imported_videos_under_the_names_they_had(folder: Path, take: Any) -> None:
    take(folder)

    written = export_runs("old_cfg", folder.parent / "out")

    videos = [path for path in written if path.suffix == ".mp4"]
    assert {path.name: path.read_bytes() for path in videos} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_an_imported_video_is_verified_by_its_bytes_and_frames_whatever_its_rate(folder: Path, take: Any) -> None:
    write_video(folder / "panda_gs12.mp4", seed=12, fps=12.5)
    run_ids = {one.file.name: one.run_id for one in take(folder)}
    stored = next(Path("mlruns").rglob(f"{run_ids['panda_gs1.mp4']}/artifacts/video.mp4"))
    cut(stored)

    problems = {one.run_id: dict(one.problems) for one in verify_runs("old_cfg")}

    assert [problems[run_ids[name]] for name in ("panda_gs6.mp4", "panda_gs12.mp4")] == [{}, {}]
    assert problems[run_ids["panda_gs1.mp4"]].keys() == {"video.mp4"}
