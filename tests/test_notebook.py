"""What a notebook shows of records and clips."""

from pathlib import Path

import pytest

import cogx_runs
from cogx_runs import effects, load_runs, plan_sweeps, show_clips
from cogx_runs.notebook import Clips, Records
from cogx_runs.tracking.store import RunStore
from tests.support.runs import make_run
from tests.support.specs import SPEC


def test_effects_take_one_name_and_are_a_table_in_a_notebook(project: Path) -> None:
    store = RunStore()
    make_run(store, SPEC, metrics={"clip_score": 30.0})
    make_run(store, SPEC.replace(guidance_scale=12), metrics={"clip_score": 31.0})
    runs = load_runs("exp")

    found = effects(runs, "guidance_scale", "clip_score")

    assert found == effects(runs, ["guidance_scale"], ["clip_score"])
    html = found._repr_html_()
    assert "<th>verdict</th>" in html
    assert "<td>one prompt</td>" in html
    assert "<th>low</th>" not in html, "an empty column"


def test_runs_name_the_file_of_their_video_and_its_clip_is_embedded(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(RunStore(), SPEC)
    (file,) = load_runs("exp")["video"]
    assert Path(file).name == "video.mp4"
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(b"mp4")

    assert "data:video/mp4;base64,bXA0" in show_clips(load_runs("exp"))._repr_html_()
    monkeypatch.setattr("cogx_runs.notebook.EMBED_LIMIT_MB", 0)
    assert str(file) in show_clips(load_runs("exp"))._repr_html_()
    assert "no video here" in Clips([("<a>", None)])._repr_html_()
    assert "&lt;a&gt;" in Clips([("<a>", None)])._repr_html_()


def test_a_plan_is_a_table_of_cells_with_its_advice(project: Path) -> None:
    (project / "s.yaml").write_text(
        "name: s\nprompts: [panda_guitar]\nbase: {model: toy}\naxes: {num_inference_steps: [7, 50]}\n"
    )

    html = plan_sweeps(["s.yaml"], device="cpu")._repr_html_()

    assert html.count("<tr>") == 3
    assert "<li>error s.yaml:axes.num_inference_steps: ddim leaves noise at 7 steps" in html


def test_the_public_names_complete_and_an_empty_list_is_an_empty_table() -> None:
    assert set(cogx_runs.__all__) <= set(dir(cogx_runs))
    assert Records()._repr_html_().count("<tr>") == 1
