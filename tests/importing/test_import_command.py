"""The command import, and what the other commands show of what it took in."""

import json
from pathlib import Path
from typing import Any

import pytest

from cogx_runs.tracking.reader import RunReader
from tests.support.foreign_videos import write_video


@pytest.fixture
def folder(invoke: Any, project: Path) -> Path:
    write_video(project / "exp_guidance" / "panda-1.mp4", seed=1)
    write_video(project / "exp_guidance" / "panda-6.mp4", seed=6)
    return project / "exp_guidance"


def take(invoke: Any, folder: Path, tiny_clip: Path, *options: str) -> Any:
    pattern = "{prompt}-{guidance_scale}"
    return invoke("import", folder, "--pattern", pattern, "--clip-model", tiny_clip, *options)


@pytest.mark.slow
def test_imported_runs_stand_beside_those_of_a_sweep_with_their_mark(
    invoke: Any, folder: Path, tiny_clip: Path, tmp_path: Path
) -> None:
    swept = invoke("sweep", "guidance.yaml", "--device", "cpu")
    assert swept.exit_code == 0, swept.stderr

    taken = take(invoke, folder, tiny_clip, "--model", "2b")

    assert taken.exit_code == 0, taken.stderr
    assert taken.stdout.splitlines()[-1] == "2 imported, 0 imported before"
    runs = json.loads(invoke("runs", "exp_guidance", "--json").stdout)
    assert sorted(run["tags.cogx.imported_from"] or "" for run in runs) == ["", "", "panda-1.mp4", "panda-6.mp4"]
    assert "panda-6.mp4" in invoke("runs", "exp_guidance").stdout
    planned = json.loads(invoke("plan", "guidance.yaml", "--device", "cpu", "--json").stdout)
    assert [run["action"] for run in planned["runs"]] == ["done", "done"]
    report = invoke("report", "exp_guidance", "-o", tmp_path / "page")
    assert report.exit_code == 0, report.stderr
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert page.count(">imported</span>") == 2
    assert "2 of them imported, made by another program, without time and memory" in page
    store = RunReader()
    note = store.experiment_tags(store.experiment_id("exp_guidance"))["mlflow.note.content"]
    assert note.startswith("Why")  # the sweep's own question
    assert note.count(" imported ") == 2


def test_import_prints_its_records_as_json(invoke: Any, folder: Path, tiny_clip: Path) -> None:
    found = json.loads(take(invoke, folder, tiny_clip, "--name", "old", "--json").stdout)

    assert [(Path(one["file"]).name, one["run_name"], one["is_new"]) for one in found] == [
        ("panda-1.mp4", "guidance=1 panda", True), ("panda-6.mp4", "guidance=6 panda", True),
    ]  # fmt: skip


def test_rescore_measures_imported_videos_by_another_clip_from_their_mp4(
    invoke: Any, folder: Path, tiny_clip: Path
) -> None:
    take(invoke, folder, tiny_clip, "--name", "old")

    rescored = invoke("rescore", "old", "--clip-model", "toy")

    assert rescored.exit_code == 0, rescored.stderr
    assert rescored.stdout.splitlines()[-1] == "2 runs scored"
    (tag,) = {run.tags["cogx.clip_score.toy.decoded_as"] for run in RunReader().runs(["old"])}
    assert tag == "frames of its mp4"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "Error: nowhere: no such folder"),
        (["."], "--name {name}: must be letters, digits, '.', '_' and '-', beginning with a letter or digit"),
        (["exp_guidance", "--pattern", "{prompt}_gs{guidance_scale}"],
         "panda-1.mp4: does not match the pattern; rename it, move it away, or use --csv"),
        (["prompts"], "Error: prompts: holds no .mp4 file"),
        (["exp_guidance", "--csv", "none.csv"],
         "none.csv: cannot be read (No such file or directory); mend its name or its permissions"),
        (["exp_guidance", "--name", "a b"],
         "--name a b: must be letters, digits, '.', '_' and '-', beginning with a letter or digit"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_each(
    invoke: Any, folder: Path, arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if arguments == ["."]:
        strange = folder.parent / "my videos"
        strange.mkdir()
        monkeypatch.chdir(strange)
    done = invoke("import", *arguments)

    assert done.exit_code == 2
    assert done.stderr.splitlines()[0] == line.replace("{name}", "my videos")
