"""The plan of a search, its forecast, and its progress."""

import re
from pathlib import Path

import pytest
import yaml

from cogx_runs import plan_sweeps
from cogx_runs.cli.progress import show_progress
from cogx_runs.definitions.ranges import OptunaSearch
from cogx_runs.planning.plan import Plan
from cogx_runs.search.optuna.forecast import forecast
from tests.support.paths import ROOT
from tests.support.searches import AXES, FakeStore, KilledError, Make, run
from tests.support.specs import SPEC


def test_the_forecast_counts_finished_next_and_unknown_trials(make: Make) -> None:
    search, store = make(trials=5), FakeStore()
    store.killed_after = 9  # in the third trial
    with pytest.raises(KilledError):
        run(search, store)

    trials = search.known(store.history())
    advice, cells = forecast(search, trials)

    assert [trial.state for trial in trials] == ["finished", "finished", "open"]
    assert cells == 4
    assert (advice.level, advice.message) == (
        "note",
        "2 of 5 trials finished; trial 3 is next; 2 more follow from the results, of 2 cells each, about 28 s if they "
        "take what those known take",
    )


def test_a_plan_holds_the_cells_up_to_the_next_trial_and_counts_those_that_follow(project: Path) -> None:
    content = {
        "name": "search",
        "prompts": ["panda_guitar", "gatto_hacker"],
        "axes": AXES,
        "vary": "optuna",
        "optuna": {"trials": 20, "objectives": ["clip_score", "wall_time_s"]},
    }
    (project / "search.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    planned = plan_sweeps(["guidance", "search.yaml"], device="cpu")

    assert [(found.spec.sweep, found.action) for found in planned.runs] == [
        *[("exp1_guidance_scale", "run")] * 3,
        *[("search", "run")] * 2,
    ]
    assert planned.cells_to_come == 38
    assert [item.message for item in planned.advice if item.level == "note"] == [
        "0 of 20 trials finished; trial 1 is next; 19 more follow from the results, of 2 cells each"
    ]
    assert set(planned.as_dict()) == {"runs", "cost", "advice"}


def test_the_example_of_the_documents_plans_and_each_key_is_documented(project: Path) -> None:
    documents = (ROOT / "docs" / "searching.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```yaml\n(.*?)```", documents, re.DOTALL) if "vary: optuna" in block)
    (project / "search.yaml").write_text(example, encoding="utf-8")

    planned = plan_sweeps(["search.yaml"], device="cpu")

    assert (len(planned.runs), planned.cells_to_come, planned.errors) == (2, 38, [])
    assert [name for name in OptunaSearch.model_fields if f"\n| `{name}` |" not in documents] == []


def test_progress_counts_the_cells_to_come_and_reports_each_trial(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(Plan((), (), cells_to_come=4)) as progress:
        for number in (1, 2):
            progress.trial_started(number, 2, "guidance=6.5")
            progress.shown_at(["exp"], None)
            progress.note("no CLIP score")
            progress.cell_started(SPEC.run_name, SPEC.num_inference_steps)

    assert capsys.readouterr().err.splitlines() == [
        "trial 1 of 2: guidance=6.5",
        "watch it: cogx-runs ui exp",
        "note: no CLIP score",
        "[1/4] guidance=6 panda",
        "trial 2 of 2: guidance=6.5",
        "[2/4] guidance=6 panda",
    ]
