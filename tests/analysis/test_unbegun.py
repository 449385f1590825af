"""Planned cells that no run was begun of, and looks, where a sweep's effects are judged."""

from pathlib import Path

import pytest
import yaml

import cogx_runs
from cogx_runs.report.folder import write_report
from cogx_runs.tracking.store import RunStore
from tests.support.runs import make_run

PROMPTS = [f"p{number}" for number in range(9)]


@pytest.fixture
def file(project: Path, tiny_model: Path, tiny_clip: Path) -> str:
    """A sweep of guidance 1 and 6 over nine prompts."""
    (project / "prompts").mkdir()
    for name in PROMPTS:
        (project / "prompts" / f"{name}.txt").write_text(f"A thing called {name}.\n", encoding="utf-8")
    base = {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_frames": 9}
    content = {"name": "exp", "prompts": PROMPTS, "base": base, "axes": {"guidance_scale": [1, 6]}}
    (project / "exp.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return "exp.yaml"


def begin(file: str, prompts: list[str]) -> None:
    """Finishes the cells of these prompts with lower scores at guidance 1."""
    store = RunStore()
    for planned in cogx_runs.plan_sweeps([file], device="cpu").runs:
        if planned.spec.prompt_name in prompts and planned.action != "done":
            score = 30.0 - (planned.spec.guidance_scale == 1) * (1 + PROMPTS.index(planned.spec.prompt_name))
            tags = {"cogx.signature": planned.spec.signature, "cogx.prompt": planned.spec.prompt}
            make_run(store, planned.spec, metrics={"clip_score": score}, tags=tags)


def test_cells_that_were_never_begun_are_lost_pairs_where_the_sweep_file_is_given(file: str) -> None:
    begin(file, PROMPTS[:6])

    by_name = cogx_runs.sweep_effects("exp", ["guidance_scale"], ["clip_score"])
    by_file = cogx_runs.sweep_effects(file, ["guidance_scale"], ["clip_score"])

    assert [(one.lost, one.verdict) for one in by_name.effects] == [((), "worse")]
    assert [(one.lost, one.verdict) for one in by_file.effects] == [((("not begun", 3),), "refused")]
    assert "3 of 9 pairs lost: 3 not begun" in write_report([file], "out", log=False).page.read_text("utf-8")
    text = Path(file).read_text(encoding="utf-8")
    Path(file).write_text(text.replace("num_frames: 9", "num_frames: 17"), encoding="utf-8")
    assert cogx_runs.sweep_effects(file, ["guidance_scale"], ["clip_score"]).notes == (
        "Cells of exp.yaml that were never begun are not counted as lost: it plans other cells than were run, as where "
        "they were run with --set.",
    )


def test_effects_of_a_sweep_are_judged_over_all_looks_and_keep_theirs(file: str) -> None:
    begin(file, PROMPTS[:6])
    first = cogx_runs.sweep_effects("exp", ["guidance_scale"], ["clip_score"])
    begin(file, PROMPTS)
    second = cogx_runs.sweep_effects("exp", ["guidance_scale"], ["clip_score"])

    assert (first.looks.prompts, first.notes, first.effects[0].rule) == ((6,), (), "one look")
    assert (second.looks.prompts, second.effects[0].rule) == ((6, 9), "e-value")
    assert second.notes[0].startswith("Look 2 at the primary metric, at 6, 9 prompts")
