"""The primary metric of a report, and the looks at it that the store keeps."""

from pathlib import Path

import pytest

from cogx_runs.analysis.looks import changed_since, looks_of, with_looks
from cogx_runs.analysis.sequential import Looks
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import InputError
from cogx_runs.report.content import Experiment, content_of
from cogx_runs.report.folder import write_report
from cogx_runs.report.plots import plot_prompts
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import LOOKS, MAX_PROMPTS, PRIMARY
from tests.support.frames import run
from tests.support.reports import experiment_of
from tests.support.runs import SMALL, make_run
from tests.support.studies import clip_effects, study

WORSE = [-1.0 - n / 10 for n in range(9)]


def test_a_sweep_names_its_primary_metric_and_its_most_prompts_and_the_store_keeps_them(project: Path) -> None:
    file = project / "exp.yaml"
    file.write_text("name: exp\nprompts: [panda]\nprimary: sharpness\nmax_prompts: 30\n", encoding="utf-8")
    (sweep,) = load_sweeps([file])

    store = RunStore()
    tags = store.experiment_tags(store.open_experiment(sweep))

    assert (sweep.primary, sweep.max_prompts) == ("sharpness", 30)
    assert (tags[PRIMARY], tags[MAX_PROMPTS]) == ("sharpness", "30")
    file.write_text("name: exp\nprompts: [panda]\nmax_prompts: 5\n", encoding="utf-8")
    with pytest.raises(InputError, match="max_prompts"):
        load_sweeps([file])


def test_a_report_keeps_each_look_and_says_what_the_verdicts_rest_on_after_the_first(project: Path) -> None:
    store = RunStore()

    def add(prompts: range) -> None:
        for n in prompts:
            spec = SMALL.replace(prompt_name=f"p{n}", prompt=f"A thing {n}.", axes=("guidance_scale",))
            for guidance, score in ((6.0, 30.0), (12.0, 29.0 - n / 10)):
                make_run(store, spec.replace(guidance_scale=guidance), metrics={"clip_score": score})

    def tags() -> dict[str, str]:
        return store.experiment_tags(store.experiment_id("exp"))

    add(range(6))
    first = write_report(["exp"], "out", log=False)
    write_report(["exp"], "out", log=False)
    assert looks_of(tags(), "clip_score").prompts == (6,)
    assert "Look " not in first.page.read_text("utf-8")
    add(range(6, 8))
    second = write_report(["exp"], "out", log=False)

    assert looks_of(tags(), "clip_score") == Looks(prompts=(6, 8))
    assert second.looks_not_kept is None
    assert (
        "Look 2 at the primary metric, at 6, 8 prompts, and the sweep file has no max_prompts"
        in second.page.read_text("utf-8")
    )


def test_what_is_changed_after_the_first_look_is_told_and_does_not_hold() -> None:
    tags = {MAX_PROMPTS: "30"} | with_looks({}, "clip_score", Looks(prompts=(9,), max_prompts=20))

    assert looks_of(tags, "clip_score").max_prompts == 20
    assert changed_since(tags, "clip_score") == [
        "max_prompts was 20 at the first look, and is 30 now: the first one holds."
    ]
    assert changed_since(tags, "sharpness")[0].startswith("The primary metric was clip_score at earlier looks")
    assert looks_of({LOOKS: "nonsense", MAX_PROMPTS: "many"}, "clip_score") == Looks()


def test_all_primary_comparisons_of_a_report_are_one_family_and_the_others_are_exploratory() -> None:
    other = [row | {"metrics.sharpness": row["metrics.clip_score"]} for row in study(WORSE)]
    steps = [
        run(prompt_name=f"prompt_{n}", num_inference_steps=count, clip_score=30.0 - lost, sharpness=1.0)
        for n in range(9)
        for count, lost in ((50, 0.0), (25, 1 + n / 10), (10, 2 + n / 10))
    ]
    experiments = [experiment_of(other, "guidance_scale"), experiment_of(steps, "num_inference_steps")]

    content = content_of("id", experiments, {}, {}, [])

    found = [one for section in content.sections for one in section.comparisons.effects]
    assert {(one.metric, one.family, one.comparisons) for one in found if one.metric != "sharpness"} == {
        ("clip_score", "primary", 3)
    }
    assert {one.family for one in found if one.metric == "sharpness"} == {"exploratory"}
    sharp = Experiment(**{**vars(experiments[0]), "primary": "sharpness"})
    (section,) = content_of("id", [sharp], {}, {}, []).sections
    assert {one.metric: one.family for one in section.comparisons.effects} == {
        "clip_score": "exploratory", "sharpness": "primary",
    }  # fmt: skip


def test_the_plot_of_all_prompts_shows_those_that_collapse() -> None:
    rows = [row for seed in (1, 2) for row in study([-24.0, *[-0.1] * 7, -31.0 - seed], seed=seed)]
    (effect,) = clip_effects(rows)

    drawn = plot_prompts(effect)

    assert drawn is not None
    assert "prompt_0" in drawn
    assert "CLIP score of 9 prompts, guidance_scale 12 against 6" in drawn
    assert "2 lose more than 1.00" in drawn
    (one,) = clip_effects(study([1.0]))
    assert plot_prompts(one) is None
