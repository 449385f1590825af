"""The search for the smallest step count: on made-up runs in a real store, and for real."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cogx_runs.analysis.threshold import threshold_sentence
from cogx_runs.cli import cli
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, InputError
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.generation.pipeline import load_pipeline
from cogx_runs.models.cards import ModelCard
from cogx_runs.planning.plan import Plan
from cogx_runs.search import threshold as search
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import LOOKS
from tests.support.executors import FakeExecutor
from tests.support.running import executor
from tests.support.runs import make_run

Quality = Callable[[int], float]
PROMPTS = ("cat", "dog", "fox", "owl", "yak", "zho")
FIVE = PROMPTS[:5]
find_threshold = partial(search.find_threshold, may_lose=0.5)  # what five prompts can show


@pytest.fixture
def study(project: Path, tiny_model: Path, tiny_clip: Path) -> Callable[..., Path]:
    """Writes a sweep file of five prompts with what it is given."""
    (project / "prompts").mkdir()
    for name in PROMPTS:
        (project / "prompts" / f"{name}.txt").write_text(f"A {name} plays the guitar.\n", encoding="utf-8")
    base = {
        "model": str(tiny_model), "clip_model": str(tiny_clip), "num_frames": 9, "scheduler": "ddim_matched",
        "guidance_scale": 1,
    }  # fmt: skip

    def write(**content: Any) -> Path:
        content["base"] = {**base, **content.get("base", {})}
        file = project / "found.yaml"
        file.write_text(yaml.safe_dump({"name": "exp_found", "prompts": list(FIVE), **content}), encoding="utf-8")
        return file

    return write


class Runs(FakeExecutor):
    """Finishes each cell of a plan with a score made up from its step count."""

    def __init__(self, quality: Quality, fails_at: int | None = None) -> None:
        self.rounds: list[list[int]] = []
        self.placements: set[str] = set()
        self._quality = quality
        self._fails_at = fails_at

    def finish(self, plan: Plan) -> list[Outcome]:
        store = RunStore()
        todo = [planned.spec for planned in plan.runs if planned.action != "done"]
        self.rounds.append(sorted({spec.num_inference_steps for spec in todo}))
        self.placements.add(plan.sweeps[0].base.placement)
        for spec in todo:
            place = PROMPTS.index(spec.prompt_name)
            score = 25 + place + 0.01 * place * spec.num_inference_steps / 50 + self._quality(spec.num_inference_steps)
            failed = spec.num_inference_steps == self._fails_at and place == 1
            make_run(
                store, spec, metrics={"clip_score": score}, error="broken" if failed else None,
                tags={"cogx.signature": spec.signature, "cogx.prompt": spec.prompt},
            )  # fmt: skip
        return []


def cliff_at(count: int) -> Quality:
    return lambda steps: 0.0 if steps >= count else -2.0


def test_each_round_runs_one_count_and_a_second_search_runs_nothing(study: Callable[..., Path]) -> None:
    file = study()
    runs, again = Runs(cliff_at(12)), Runs(cliff_at(12))
    reported: list[str] = []

    found = find_threshold(file, executor=runs, report=reported.append)
    same = find_threshold(file, executor=again)

    down = [40, 35, 30, 25, 20, 15, 12, 10]
    assert runs.rounds == [[50], *([count] for count in down)]
    assert found.threshold.found == 12
    assert (found.known, found.measured, found.stopped) == ((), (50, *down), None)
    assert again.rounds == []
    assert runs.placements == {"resident"}, "chosen once, before a model takes the memory that it is chosen by"
    assert same == replace(found, known=(*down[::-1], 50), measured=())
    assert reported[:3] == [
        "At most 60 videos: 50, 40, 35, 30, 25, 20, 15, 12, 10, 8, 6, 5 steps in turn, until a count is not shown.",
        "50 steps, the reference, is there; next is 40",
        "40 steps: −0.00400, not inferior; next is 35",
    ]
    assert len(reported) == 9


@pytest.mark.slow
def test_a_search_that_died_in_a_round_goes_on_with_what_is_missing(study: Callable[..., Path]) -> None:
    file = study(axes={"num_inference_steps": [5, 10, 25, 50], "seed": [1, 2]})

    class Dies(Runs):
        def finish(self, plan: Plan) -> list[Outcome]:
            if self.rounds:
                super().finish(replace(plan, runs=plan.runs[:3]))
                raise KeyboardInterrupt
            return super().finish(plan)

    with pytest.raises(KeyboardInterrupt):
        find_threshold(file, executor=Dies(cliff_at(25)))
    runs = Runs(cliff_at(25))
    found = find_threshold(file, executor=runs)

    assert runs.rounds == [[25], [10]]
    assert (found.threshold.found, found.known, found.measured) == (25, (50,), (25, 10))
    assert {(point.prompts, point.seeds) for point in found.threshold.curve} == {(5, 2)}


def test_a_search_with_more_prompts_is_a_further_look_that_the_experiment_keeps(study: Callable[..., Path]) -> None:
    ladder = {"num_inference_steps": [25, 50]}
    first = find_threshold(study(axes=ladder, prompts=list(FIVE), max_prompts=6), executor=Runs(cliff_at(25)))
    second = find_threshold(study(axes=ladder, prompts=list(PROMPTS), max_prompts=9), executor=Runs(cliff_at(25)))

    store = RunStore()
    tags = store.experiment_tags(store.experiment_id("exp_found"))
    assert json.loads(tags[LOOKS]) == {"threshold clip_score 50": {"prompts": [5, 6], "max_prompts": 6}}
    assert (first.threshold.looks.prompts, first.notes) == ((5,), ())
    assert second.notes == ("max_prompts was 6 at the first look, and is 9 now: the first one holds.",)
    assert 0 < second.threshold.alpha < 0.05
    assert "Look 2 at this threshold, at 5, 6 of at most 6 prompts" in threshold_sentence(second.threshold)


def test_failed_cells_end_the_search_unsettled_with_advice(study: Callable[..., Path]) -> None:
    file = study(axes={"num_inference_steps": [5, 10, 25, 50]})

    found = find_threshold(file, executor=Runs(cliff_at(25), fails_at=10))

    assert found.stopped == "1 of 5 cells at 10 steps are not finished; --retry-failed runs the failed ones again"
    assert (found.threshold.found, found.threshold.settled) == (25, False)
    retried = find_threshold(file, executor=Runs(cliff_at(25)), retry_failed=True)
    assert (retried.threshold.found, retried.stopped) == (25, None)


def test_cells_without_the_metric_end_the_search_with_the_command_that_measures_it(study: Callable[..., Path]) -> None:
    file = study(axes={"num_inference_steps": [5, 10, 25, 50]})

    found = find_threshold(file, metric="sharpness", margin=1.0, executor=Runs(cliff_at(25)))

    assert found.stopped == (
        "5 of 5 cells at 50 steps have no sharpness; `cogx-runs rescore exp_found` measures it where that can be done "
        "here"
    )


@pytest.mark.slow
def test_other_runs_of_the_experiment_are_not_of_the_search(study: Callable[..., Path]) -> None:
    find_threshold(study(base={"guidance_scale": 3}), executor=Runs(cliff_at(40)))

    found = find_threshold(study(), executor=Runs(cliff_at(12)))

    assert (found.threshold.found, found.known) == (12, ())
    assert {point.prompts for point in found.threshold.curve} == {5}


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            {},
            {"may_lose": 0.2},
            "found.yaml:prompts: 5 prompts cannot show that at most 20% of all prompts lose more than the margin, "
            "whatever comes out; name 14 or more, or accept more with --may-lose 0.46",
        ),
        (
            {"prompts": ["cat"]},
            {},
            "found.yaml:prompts: 1 prompt cannot show that at most 50% of all prompts lose more than the margin, "
            "whatever comes out; name 5 or more",
        ),
        ({}, {"may_lose": 1.0}, "--may-lose 1: must be a share of prompts between 0 and 1, such as 0.2"),
        (
            {"axes": {"guidance_scale": [1, 6]}},
            {},
            "found.yaml:axes.guidance_scale: a search varies num_inference_steps and seed alone; put one value into",
        ),
        ({}, {"ladder": [5, 10]}, "--ladder: lacks the reference 50; add 50 to it"),
        (
            {"axes": {"num_inference_steps": [5, 10]}},
            {},
            "found.yaml:axes.num_inference_steps: lacks the reference 50; add 50 to it",
        ),
        (
            {"axes": {"seed": [1]}, "vary": "zip"},
            {},
            "found.yaml:vary: a search runs every seed at a count; zip does not",
        ),
        ({}, {"metric": "psnr"}, "--metric psnr: is no measure of quality that a sweep takes"),
        ({}, {"metric": "sharpness"}, "--margin: give the largest loss of sharpness that does not matter"),
        ({}, {"metric": "wall_time_s"}, "--metric wall_time_s: is no measure of quality that a sweep takes"),
        ({}, {"margin": 0.0}, "--margin 0: must be above 0"),
        (
            {"base": {"scheduler": "ddim"}},
            {},
            "found.yaml:base.scheduler: ddim goes wrong at 6, 12, 15, 30, 35 steps, and a search would measure that; "
            "give --set scheduler=ddim_matched, which is right at any count, or --ladder 5,8,10,20,25,40,50",
        ),
        ({"base": {"num_frames": 29}}, {}, "found.yaml:base.num_frames: 29 frames are beyond the 17"),
    ],
)
def test_input_that_makes_a_search_worthless_is_one_line_before_anything_runs(
    content: dict[str, Any], options: dict[str, Any], message: str, study: Callable[..., Path], project: Path
) -> None:
    runs = Runs(cliff_at(10))
    study(**content)

    with pytest.raises(CogxError) as error:
        find_threshold("found.yaml", executor=runs, **options)

    assert re.sub(r":\d+: ", ":", str(error.value)).startswith(message)  # the line in which it stands aside
    assert len(str(error.value).splitlines()) == 1
    assert runs.rounds == []


def test_the_models_own_scheduler_will_do_where_it_is_right(study: Callable[..., Path]) -> None:
    file = study(base={"scheduler": None})

    with pytest.raises(InputError, match="ddim goes wrong at 6, 12"):
        find_threshold(file)
    found = find_threshold(file, ladder=[5, 10, 20, 25, 40, 50], executor=Runs(cliff_at(20)))

    assert found.threshold.found == 20


def test_the_reference_is_the_files_base_or_the_one_given(study: Callable[..., Path]) -> None:
    file = study(base={"num_inference_steps": 20})

    by_file = find_threshold(file, executor=Runs(cliff_at(12)))
    given = find_threshold(file, reference=25, executor=Runs(cliff_at(12)))

    assert [(one.threshold.reference, one.threshold.found) for one in (by_file, given)] == [(20, 12), (25, 12)]
    assert given.known == (10, 12, 15, 20)


@pytest.mark.slow
def test_the_command_runs_a_search_and_prints_the_curve_and_goes_on_from_there(
    study: Callable[..., Path], project: Path
) -> None:
    file = study(axes={"num_inference_steps": [1, 2, 3, 5]}, base={"num_inference_steps": 5})
    loads: list[RunSpec] = []
    said: list[str] = []

    def load(card: ModelCard, spec: RunSpec) -> Any:
        loads.append(spec)
        return load_pipeline(card, spec)

    with executor(load_pipeline=load) as used:
        find_threshold(file, margin=1000, executor=used, report=said.append)

    first = CliRunner().invoke(
        cli, ["threshold", "found.yaml", "--margin", "1000", "--may-lose", "0.5"], catch_exceptions=False
    )
    again = CliRunner().invoke(
        cli, ["threshold", "found.yaml", "--margin", "1000", "--may-lose", "0.5", "--json"], catch_exceptions=False
    )

    assert (first.exit_code, again.exit_code) == (0, 0)
    lines = first.stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["steps", "1", "2", "3"]
    assert [line.split()[-1] for line in lines[:4]] == ["verdict", "inferior", "inferior", "inferior"]
    assert lines[5].startswith("1 is the smallest step count shown not inferior to 5 steps in clip_score, by a margin")
    assert any("2 steps: " in line for line in said)
    assert any("next is 1" in line for line in said)
    found = json.loads(again.stdout)
    assert (found["known"], found["measured"], found["settled"]) == ([1, 2, 3, 5], [], True)
    assert len(loads) == 1
    assert found["threshold"]["found"] == 1
    store = RunStore()
    tags = store.experiment_tags(store.experiment_id("exp_found"))
    assert json.loads(tags["cogx.axes"]) == {"num_inference_steps": "number"}
    assert len(list(store.runs(["exp_found"]))) == 20


def test_the_command_reports_bad_input_in_one_line_and_exits_with_1_where_nothing_is_settled(
    study: Callable[..., Path], project: Path
) -> None:
    file = study(axes={"num_inference_steps": [5, 10, 25, 50]})
    find_threshold(file, executor=Runs(cliff_at(25), fails_at=10))

    wrong = CliRunner().invoke(cli, ["threshold", "found.yaml", "--ladder", "5;10"])
    stopped = CliRunner().invoke(cli, ["threshold", "found.yaml", "--may-lose", "0.5"])

    assert (wrong.exit_code, wrong.stderr) == (2, "--ladder 5;10: write it as 5,10,25,50\n")
    lines = [line for line in stopped.stderr.splitlines() if not line.startswith("warning")]
    assert (stopped.exit_code, lines) == (
        1,
        [
            "At most 10 videos: 50, 25, 10, 5 steps in turn, until a count is not shown. Finished already: 25, 50.",
            "25 steps: -0.0100, not inferior; next is 10",
            "watch it: cogx-runs ui exp_found",
            "1 of 5 cells at 10 steps are not finished; --retry-failed runs the failed ones again",
        ],
    )
    assert "Not settled: 10 would be measured next.\nBy margin: 25 from 0.02 on.\n" in stopped.stdout
