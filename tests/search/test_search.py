"""Searches: what is proposed, what the store alone tells of the trials, and that being killed changes nothing."""

import json
import math
import re
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from cogx_runs import best_trials, load_runs, plan_sweeps
from cogx_runs.actions import PastRun
from cogx_runs.cli import cli
from cogx_runs.cli.progress import reporter
from cogx_runs.errors import CogxError, InputError, Mistake
from cogx_runs.generation import loader
from cogx_runs.outcomes import Outcome, SilentReporter
from cogx_runs.plan import Conditions, Plan
from cogx_runs.prompts import PromptLibrary
from cogx_runs.search.outlook import advise_search, outlook
from cogx_runs.search.proposals import Told, propose
from cogx_runs.search.results import SearchResult, result_of
from cogx_runs.search.trials import Search
from cogx_runs.space import OptunaSearch
from cogx_runs.spec import RunSpec
from cogx_runs.study import _search
from cogx_runs.sweep import Sweep, load_sweeps
from tests.support.paths import ROOT
from tests.support.processes import Death, ended, start
from tests.support.specs import SPEC

AXES = {"guidance_scale": {"low": 1, "high": 12}, "num_inference_steps": [10, 20, 25, 40, 50]}
Numbers = Callable[[RunSpec], Mapping[str, float]]


def measured(spec: RunSpec) -> dict[str, float]:
    """Scores that are best at guidance 6 and many steps, and times that grow with the steps."""
    noise = int(spec.signature, 16) % 100 / 100
    score = 30 - (spec.guidance_scale - 6) ** 2 / 10 - 40 / spec.num_inference_steps + noise
    return {"clip_score": score, "denoise_s": spec.num_inference_steps / 10, "wall_time_s": 7.0}


class KilledError(Exception):
    """The process is gone."""


class FakeStore:
    """Remembers the cells that it is given to make."""

    def __init__(self, numbers: Numbers = measured, fails: Callable[[RunSpec], bool] = lambda _: False) -> None:
        self.runs: list[PastRun] = []
        self.numbers = numbers
        self.fails = fails
        self.killed_after = math.inf
        """Writes, of which each cell has two: begun, and ended."""

    def history(self) -> list[PastRun]:
        return list(self.runs)

    def execute(self, plan: Plan) -> list[Outcome]:
        outcomes = []
        for planned in plan.runs:
            spec = planned.spec
            if planned.action == "done" or any(outcome.status == "failed" for outcome in outcomes):
                outcomes.append(Outcome(spec, "done" if planned.action == "done" else "skipped"))
                continue
            begun = PastRun(
                run_id=str(len(self.runs)),
                experiment=spec.sweep,
                status="RUNNING",
                signature=spec.signature,
                output_hash=spec.output_hash,
                start_time_ms=len(self.runs),
                reused_from=None,
                beside=None,
                device_name="NVIDIA H100",
                params={"placement": spec.placement},
                metrics={},
                trial_tags=planned.tags,
            )
            self._write()
            self.runs.append(begun)
            self._write()
            failed = self.fails(spec)
            status = "FAILED" if failed else "FINISHED"
            self.runs[-1] = replace(begun, status=status, metrics={} if failed else self.numbers(spec))
            outcomes.append(Outcome(spec, "failed" if failed else "finished"))
        return outcomes

    def _write(self) -> None:
        self.killed_after -= 1
        if self.killed_after < 0:
            raise KilledError

    def ran(self) -> list[str]:
        return [run.status for run in self.runs]


@pytest.fixture
def library(tmp_path: Path) -> PromptLibrary:
    for name, text in (("panda", "A panda."), ("cat", "A cat."), ("dog", "A dog.")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return PromptLibrary(tmp_path)


@pytest.fixture
def make(library: PromptLibrary, tmp_path: Path) -> Callable[..., Search]:
    """A search of these settings on a CPU."""

    def make(axes: Mapping[str, Any] = AXES, base: Mapping[str, Any] = {}, **settings: Any) -> Search:
        content = {
            "name": "exp",
            "prompts": settings.pop("prompts", ["panda", "cat"]),
            "base": dict(base),
            "axes": dict(axes),
            "vary": "optuna",
            "optuna": {"trials": 6, "objectives": ["clip_score"], "startup_trials": 3} | settings,
        }
        (tmp_path / "search.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        (sweep,) = load_sweeps([tmp_path / "search.yaml"])
        return _search(sweep, Conditions(library, "cpu"))

    return make


Make = Callable[..., Search]


def run(search: Search, store: FakeStore, **options: Any) -> list[str]:
    outcomes = search.run(store.execute, store.history, SilentReporter(), **options)
    return [outcome.status for outcome in outcomes]


def told(search: Search, store: FakeStore) -> list[tuple[Any, ...]]:
    return [
        (trial.number, dict(trial.parameters), trial.state, trial.values) for trial in search.known(store.history())
    ]


def test_each_trial_is_one_new_configuration_of_every_prompt_in_tagged_runs(make: Make) -> None:
    search, store = make(), FakeStore()

    assert run(search, store) == ["finished"] * 12

    trials = search.known(store.history())
    assert [trial.number for trial in trials] == [1, 2, 3, 4, 5, 6]
    assert len({json.dumps(dict(trial.parameters)) for trial in trials}) == 6
    assert all(1 <= trial.parameters["guidance_scale"] <= 12 for trial in trials)
    assert {trial.parameters["num_inference_steps"] for trial in trials} <= set(AXES["num_inference_steps"])
    for trial in trials:
        runs = [found for found in store.runs if found.trial_tags["cogx.trial"] == str(trial.number)]
        specs = [planned.spec for planned in trial.plan.runs]
        assert [spec.prompt_name for spec in specs] == ["panda", "cat"]
        assert {spec.axes for spec in specs} == {("guidance_scale", "num_inference_steps")}
        assert [found.output_hash for found in runs] == [spec.output_hash for spec in specs]
        assert {found.trial_tags["cogx.trial.parameters"] for found in runs} == {json.dumps(dict(trial.parameters))}
        assert trial.values == (pytest.approx(sum(measured(spec)["clip_score"] for spec in specs) / 2),)


@pytest.mark.parametrize("objectives", [["clip_score"], ["clip_score", "denoise_s"]])
def test_a_search_killed_at_any_moment_ends_with_the_trials_of_one_that_was_not_each_cell_finished_once(
    make: Make, objectives: list[str]
) -> None:
    whole = FakeStore()
    run(make(objectives=objectives), whole)
    expected = told(make(objectives=objectives), whole)

    for moment in range(24):
        store = FakeStore()
        store.killed_after = moment
        with pytest.raises(KilledError):
            run(make(objectives=objectives), store)
        store.killed_after = math.inf
        run(make(objectives=objectives), store)

        assert told(make(objectives=objectives), store) == expected
        finished = Counter(found.output_hash for found in store.runs if found.status == "FINISHED")
        assert set(finished.values()) == {1}
        assert len(finished) == 12


def test_a_trial_that_was_begun_keeps_its_values_whatever_would_be_proposed_now(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FakeStore()
    store.killed_after = 5  # in the first cell of the second trial
    with pytest.raises(KilledError):
        run(make(), store)
    begun = json.loads(store.runs[2].trial_tags["cogx.trial.parameters"])

    monkeypatch.setattr(
        "cogx_runs.search.trials.propose", lambda *_: {"guidance_scale": 2.0, "num_inference_steps": 50}
    )
    store.killed_after = 4
    with pytest.raises(KilledError):
        run(make(), store)

    assert [dict(trial.parameters) for trial in make().known(store.history())][1:] == [
        begun,
        {"guidance_scale": 2.0, "num_inference_steps": 50},
    ]


def test_optuna_learns_from_what_it_is_told_after_the_random_beginning(make: Make) -> None:
    def worse(spec: RunSpec) -> dict[str, float]:
        return {name: -value for name, value in measured(spec).items()}

    high, low = FakeStore(), FakeStore(worse)
    run(make(), high)
    run(make(), low)

    proposed = [[trial[1] for trial in told(make(), store)] for store in (high, low)]
    assert proposed[0][:3] == proposed[1][:3]
    assert proposed[0][3:] != proposed[1][3:]


def test_another_seed_of_optuna_is_another_search(make: Make) -> None:
    stores = [FakeStore(), FakeStore()]
    for seed, store in enumerate(stores):
        run(make(seed=seed), store)

    assert told(make(seed=0), stores[0])[0][1] != told(make(seed=1), stores[1])[0][1]
    assert told(make(seed=1), stores[0])[0][2] == "open"


def test_a_trial_with_a_failed_cell_fails_leaves_its_other_cells_and_the_search_goes_on(make: Make) -> None:
    first = make().known([])[0].parameters
    store = FakeStore(fails=lambda spec: spec.guidance_scale == first["guidance_scale"])

    assert run(make(), store) == ["failed", "skipped", *["finished"] * 10]

    assert [trial[2] for trial in told(make(), store)] == ["failed", *["finished"] * 5]
    assert run(make(), store) == ["failed", "failed", *["done"] * 10]
    assert store.ran().count("FAILED") == 1
    store.fails = lambda _: False
    assert run(make(), store, retry_failed=True) == ["finished", "finished", *["done"] * 10]


def test_a_cell_that_fails_again_is_tried_once_a_start(make: Make) -> None:
    store = FakeStore(fails=lambda _: True)
    run(make(trials=2), store)

    assert run(make(trials=2), store, retry_failed=True) == ["failed", "skipped"] * 2
    assert store.ran() == ["FAILED"] * 4


def test_fail_fast_ends_the_search_at_the_first_trial_that_fails(make: Make) -> None:
    store = FakeStore(fails=lambda _: True)

    assert run(make(), store, fail_fast=True) == ["failed", "skipped"]


def test_no_configuration_is_tried_twice_and_a_space_that_is_used_up_ends_the_search(make: Make) -> None:
    axes = {"num_inference_steps": [10, 20], "scheduler": [None, "dpm"]}
    search, store = make(axes, trials=50, startup_trials=0), FakeStore()

    run(search, store)

    tried = {(trial["num_inference_steps"], trial["scheduler"]) for _, trial, _, _ in told(search, store)}
    assert tried == {(10, None), (10, "dpm"), (20, None), (20, "dpm")}
    assert len(store.runs) == 8
    assert [item.message for item in advise_search(search) if item.level == "note"] == [
        "is more than the 4 configurations that there are; all of them are made"
    ]


def test_seeds_are_averaged_over_and_never_searched(make: Make) -> None:
    search, store = make(seeds=[1, 2, 3], prompts=["panda"], trials=2), FakeStore()

    run(search, store)

    for trial in search.known(store.history()):
        specs = [planned.spec for planned in trial.plan.runs]
        assert [spec.seed for spec in specs] == [1, 2, 3]
        assert specs[0].run_name.endswith("seed=1 panda")
        assert trial.values == (pytest.approx(sum(measured(spec)["clip_score"] for spec in specs) / 3),)


def test_more_trials_other_objectives_and_more_prompts_go_on_with_the_search_that_is_there(make: Make) -> None:
    store = FakeStore()
    run(make(trials=3), store)
    before = [trial[1] for trial in told(make(trials=3), store)]

    assert run(make(trials=4, objectives=["denoise_s"]), store).count("finished") == 2
    assert run(make(trials=3, prompts=["panda", "cat", "dog"]), store) == ["done", "done", "finished"] * 3
    assert [trial[1] for trial in told(make(trials=3), store)] == before


def test_another_space_or_base_begins_a_search_of_its_own_in_the_experiment(make: Make) -> None:
    store = FakeStore()
    run(make(trials=2), store)

    others = [make({**AXES, "guidance_scale": {"low": 1, "high": 8}}), make(base={"num_frames": 25})]

    assert len({make().key, make(base={"placement": "resident"}).key, *(other.key for other in others)}) == 3
    assert [[trial.state for trial in other.known(store.history())] for other in others] == [["open"], ["open"]]


def test_ranges_give_whole_stepped_and_logarithmic_numbers(make: Make) -> None:
    axes = {
        "num_frames": {"low": 9, "high": 49, "step": 8},
        "guidance_scale": {"low": 1, "high": 2, "step": 0.1},
        "video_quality": {"low": 1, "high": 10, "log": True},
        "fps": {"low": 4, "high": 16},
    }
    search, store = make(axes, trials=12, prompts=["panda"]), FakeStore()

    assert not [item for item in advise_search(search) if item.level == "error"]
    run(search, store)

    for _, parameters, state, _ in told(search, store):
        assert state == "finished"
        assert parameters["num_frames"] in {9, 17, 25, 33, 41, 49}
        assert parameters["guidance_scale"] in {round(1 + index / 10, 1) for index in range(11)}
        assert len(str(parameters["video_quality"])) <= 5
        assert isinstance(parameters["fps"], int)


def test_of_two_objectives_the_front_is_the_trials_that_no_other_beats_in_both(make: Make) -> None:
    search, store = make(trials=8, objectives=["clip_score", "denoise_s"]), FakeStore()
    run(search, store)

    result = result_of(search, store.history())

    points = {trial.number: trial.values for trial in result.trials}
    front = {trial.number for trial in result.best}
    for number, (score, seconds) in points.items():
        beaten = any(s >= score and t <= seconds and (s, t) != (score, seconds) for s, t in points.values())
        assert (number in front) == (not beaten)
    assert [trial.values[0] for trial in result.best] == sorted((points[n][0] for n in front), reverse=True)
    assert 1 < len(front) < 8
    assert [row["cells"] for row in result.rows()] == [2] * len(front)


def test_a_trial_with_degenerate_videos_is_never_the_best_while_others_have_none(make: Make) -> None:
    search, store = make(trials=12, startup_trials=6), FakeStore()
    run(search, store)
    plain = result_of(search, store.history())
    best = plain.best[0]
    (cell, *_) = best.plan.runs

    def judged(degenerate: Callable[[PastRun], bool]) -> SearchResult:
        return result_of(
            search, [replace(one, degenerate="frozen") if degenerate(one) else one for one in store.history()]
        )

    without = judged(lambda one: one.signature == cell.spec.signature)
    all_bad = judged(lambda _: True)

    assert best.number not in [trial.number for trial in without.best]
    assert without.best[0].values == max(trial.values for trial in plain.trials if trial.number != best.number)
    assert without.caveats == [f"Passed over, since more of their videos are degenerate: trial {best.number} (1 of 2)."]
    assert [trial.number for trial in all_bad.best] == [best.number]
    assert all_bad.caveats == [
        "Every finished trial has degenerate videos, the best too: 2 of 2. Look at them before believing a score."
    ]
    assert plain.caveats == []


def test_optuna_looks_away_from_where_videos_are_degenerate(make: Make) -> None:
    sweeps = [make(trials=40, startup_trials=10, seed=seed).sweep for seed in range(8)]
    tried = [{"guidance_scale": 1 + 0.5 * n, "num_inference_steps": 20} for n in range(20)]
    seen = [Told(one, (one["guidance_scale"],)) for one in tried]
    frozen = [replace(one, degenerate=int(one.parameters["guidance_scale"] > 6)) for one in seen]

    def proposed(told: list[Told]) -> list[float]:
        return [(propose(sweep, ["maximize"], told) or {})["guidance_scale"] for sweep in sweeps]

    assert fmean(proposed(seen)) > 8
    assert fmean(proposed(frozen)) < 6


def test_directions_can_be_turned_round(make: Make) -> None:
    search, store = make(objectives=["clip_score"], directions=["minimize"]), FakeStore()
    run(search, store)

    result = result_of(search, store.history())

    assert [trial.values for trial in result.best] == [min(trial.values for trial in result.trials)]


def test_times_that_are_not_a_cells_own_are_told_with_the_result(make: Make) -> None:
    search, store = make(objectives=["denoise_s"], trials=2), FakeStore()
    run(search, store)
    store.runs[0] = replace(store.runs[0], beside="another sweep")
    store.runs[1] = replace(store.runs[1], device_name="NVIDIA H200")

    assert result_of(search, store.history()).caveats == [
        "1 of 4 cells were timed while another sweep used the device.",
        "Not all cells were measured in one place: NVIDIA H100 (resident), NVIDIA H200 (resident).",
    ]


def test_a_cell_without_the_objective_stops_the_search_with_what_to_do(make: Make) -> None:
    store = FakeStore(numbers=lambda _: {"denoise_s": 1.0})

    with pytest.raises(CogxError) as caught:
        run(make(), store)

    assert str(caught.value) == (
        "exp: trial 1: 2 of its 2 cells have no clip_score, which the search is for, nor has any other; `cogx-runs "
        "rescore exp` adds what can be measured here"
    )


def test_an_objective_that_one_video_has_no_value_of_fails_its_trial_and_no_other(make: Make) -> None:
    def raises_once(spec: RunSpec) -> dict[str, float]:
        return {"denoise_s": 1.0} if len(store.runs) == 3 else measured(spec)

    search, store = make(trials=3), FakeStore(raises_once)

    run(search, store)

    assert [trial[2] for trial in told(search, store)] == ["finished", "failed", "finished"]
    assert search.known(store.history())[1].error == (
        "1 of its 2 cells have no clip_score; `cogx-runs rescore exp` adds what can be measured here"
    )


def test_a_value_that_is_no_finite_number_fails_its_trial(make: Make) -> None:
    store = FakeStore(numbers=lambda _: {"clip_score": math.nan})

    run(make(trials=2), store)

    assert [trial[2:] for trial in told(make(trials=2), store)] == [("failed", None)] * 2


def test_a_combination_that_cannot_be_made_fails_its_trial_and_no_other(make: Make) -> None:
    axes = {"height": [480, 472], "dtype": ["float32", None]}
    search, store = make(axes, trials=4, base={"width": 712}), FakeStore()

    assert [item.level for item in advise_search(search) if item.level == "error"] == ["error"] * 2
    statuses = run(search, store)

    assert set(statuses) == {"failed"}
    assert store.runs == []
    assert {trial.error.split(":")[0] for trial in search.known([])} == {"cannot be made"}


@pytest.mark.parametrize(
    ("axes", "where", "message"),
    [
        (
            {"num_frames": {"low": 9, "high": 25}},
            "num_frames",
            "10 frames would come back as 9; use 9 or 17; 14 of the 17 values are like this: give the range a `step`, "
            "or list values",
        ),
        (
            {"num_inference_steps": {"low": 10, "high": 20}},
            "num_inference_steps",
            "11 steps end at timestep 0 instead of past 0 with the ddim scheduler, which leaves noise in the video "
            "(about 5% at timestep 0); ddim_matched is right at any count, and so is "
            "ddim at 10 or 20; 6 of the 11 values are like this: give the range a `step`, or list values",
        ),
    ],
)
def test_a_range_that_holds_values_which_cannot_be_made_is_one_clear_error(
    make: Make, axes: Mapping[str, Any], where: str, message: str
) -> None:
    search = make(axes)

    errors = [item for item in advise_search(search) if item.level == "error"]

    assert [(item.where, item.message) for item in errors] == [(f"{search.sweep.file}:axes.{where}", message)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"objectives": ["clip_scor"]}, ("optuna.objectives.0", "no metric 'clip_scor'; did you mean 'clip_score'?")),
        (
            {"objectives": ["clip_score.ViT-L-14:openai"]},
            (
                "optuna.objectives.0",
                "not every cell of a sweep has clip_score.ViT-L-14:openai; did you mean 'clip_score'?",
            ),
        ),
        (
            {"objectives": ["step_s", "peak_vram_text_gib"]},
            (
                "optuna.objectives.1",
                "not every cell of a sweep has peak_vram_text_gib; did you mean 'peak_vram_gib'?",
            ),
        ),
        (
            {"objectives": ["clip_score", "step_s", "denoise_s"]},
            ("optuna", "`objectives` are one or two metrics, these are 3"),
        ),
        ({"objectives": ["step_s"] * 2}, ("optuna", "`objectives` names step_s twice")),
        ({"directions": ["maximize"] * 2}, ("optuna", "`directions` needs one for each of `objectives`")),
        ({"seeds": [1, 1]}, ("optuna", "`seeds` names one more than once")),
        ({"trails": 3}, ("optuna.trails", "unknown key; did you mean 'trials'?")),
        (
            {"axes": {"seed": [1, 2]}},
            (
                "axes.seed",
                "is not searched: the luckiest would win; name those to average over in `optuna: {seeds: [...]}`",
            ),
        ),
        (
            {"axes": {"scheduler": {"low": 1, "high": 2}}},
            ("axes.scheduler", "is no number, and has no range; list the values to choose from"),
        ),
        (
            {"axes": {"num_frames": {"low": 9.5, "high": 25}}},
            ("axes.num_frames", "is a whole number; write low, high and step as such"),
        ),
        ({"axes": {"fps": {"low": 9, "high": 8}}}, ("axes.fps", "low 9 is not below high 8")),
        ({"axes": {"fps": {"low": 9, "high": 12, "step": 0}}}, ("axes.fps", "step 0 is not above 0")),
        (
            {"axes": {"fps": {"low": 9, "high": 12, "step": 2}}},
            ("axes.fps", "steps of 2 from 9 do not reach high 12; write 11"),
        ),
        (
            {"axes": {"guidance_scale": {"low": 0, "high": 12, "log": True}}},
            ("axes.guidance_scale", "low 0 has no logarithm; `log` needs more than 0"),
        ),
        (
            {"axes": {"guidance_scale": {"low": 1, "high": 12, "log": True, "step": 1}}},
            ("axes.guidance_scale", "has both `log` and `step`; use one"),
        ),
        (
            {"axes": {"guidance_scale": {"low": "x", "high": 12}}},
            ("axes.guidance_scale.low", "must be a number (got 'x')"),
        ),
        ({"axes": {"guidance_scale": {"low": 1}}}, ("axes.guidance_scale.high", "is required")),
        (
            {"axes": {"guidance_scale": {"low": 1, "hihg": 2, "high": 3}}},
            ("axes.guidance_scale.hihg", "unknown key; did you mean 'high'?"),
        ),
        (
            {"axes": {"guidance_scale": {"low": 1, "high": 1000}}},
            ("axes.guidance_scale.high", "Input should be less than or equal to 100 (got 1000)"),
        ),
        (
            {"axes": {"placement": {"low": 1, "high": 2}}},
            ("axes.placement", "changes neither pixels nor scores, so that its cells would all be one"),
        ),
        ({"axes": {"heigth": {"low": 1, "high": 2}}}, ("axes.heigth", "unknown parameter; did you mean 'height'?")),
    ],
)
def test_a_mistake_in_a_search_is_one_clear_line(
    make: Make, tmp_path: Path, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    where, message = expected

    with pytest.raises(InputError) as caught:
        make(**changes)

    assert caught.value.mistakes == (Mistake(f"{tmp_path}/search.yaml:{where}", message),)


@pytest.mark.parametrize("metric", ["psnr", "ssim", "lpips", "idle_before_s"])
def test_what_a_sweep_may_never_have_is_no_objective(make: Make, metric: str) -> None:
    with pytest.raises(InputError, match=f"not every cell of a sweep has {metric}; "):
        make(objectives=[metric])


@pytest.mark.parametrize(
    ("rest", "where", "message"),
    [
        (
            "axes: {guidance_scale: {low: 1, high: 2}}",
            ":axes.guidance_scale",
            "a range is for `vary: optuna`; list the values",
        ),
        ("axes: {seed: {low: 1, high: 2}}", ":axes.seed", "a range is for `vary: optuna`; list the values"),
        (
            "axes: {fps: [8, 9]}\nvary: optuna",
            "",
            "`vary: optuna` and `optuna: {trials: N, objectives: [METRIC]}` go together",
        ),
        (
            "vary: optuna\noptuna: {trials: 2, objectives: [clip_score]}",
            "",
            "`vary: optuna` needs `axes` to search",
        ),
    ],
)
def test_a_search_and_its_settings_go_together(tmp_path: Path, rest: str, where: str, message: str) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(f"name: s\nprompts: all\n{rest}\n", encoding="utf-8")

    with pytest.raises(InputError) as caught:
        load_sweeps([file])

    assert caught.value.mistakes == (Mistake(f"{file}{where}", message),)


def test_memory_of_a_gpu_is_no_objective_on_a_cpu(make: Make) -> None:
    search = make(objectives=["clip_score", "peak_vram_gib"])

    assert [(item.level, item.message) for item in advise_search(search) if item.level == "error"] == [
        ("error", "peak_vram_gib is not measured on a CPU")
    ]


def test_the_outlook_tells_what_is_finished_next_and_still_unknown(make: Make) -> None:
    search, store = make(trials=5), FakeStore()
    store.killed_after = 9  # in the third trial
    with pytest.raises(KilledError):
        run(search, store)

    trials = search.known(store.history())
    advice, cells = outlook(search, trials)

    assert [trial.state for trial in trials] == ["finished", "finished", "open"]
    assert cells == 4
    assert (advice.level, advice.message) == (
        "note",
        "2 of 5 trials finished; trial 3 is next; 2 more follow from the results, of 2 cells each, about 28 s if they "
        "take what those known take",
    )


def test_a_plan_holds_the_cells_up_to_the_next_trial_and_says_how_many_follow(project: Path) -> None:
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
    assert [item.message for item in planned.advice] == [
        "0 of 20 trials finished; trial 1 is next; 19 more follow from the results, of 2 cells each"
    ]
    assert set(planned.as_dict()) == {"runs", "advice"}


def test_the_example_of_the_documents_plans_and_each_key_is_documented(project: Path) -> None:
    documents = (ROOT / "docs" / "sweep-files.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?vary: optuna.*?)```", documents, re.DOTALL)
    (project / "search.yaml").write_text(example, encoding="utf-8")

    planned = plan_sweeps(["search.yaml"], device="cpu")

    assert (len(planned.runs), planned.cells_to_come, planned.errors) == (2, 38, [])
    assert [name for name in OptunaSearch.model_fields if f"\n| `{name}` |" not in documents] == []


def test_an_error_in_the_values_of_a_search_stops_the_plan(project: Path) -> None:
    (project / "search.yaml").write_text(
        "name: s\nprompts: [panda_guitar]\naxes: {num_frames: [9, 29]}\nvary: optuna\n"
        "optuna: {trials: 2, objectives: [clip_score]}\n",
        encoding="utf-8",
    )

    planned = plan_sweeps(["search.yaml"], device="cpu")

    assert [item.message for item in planned.errors] == ["29 frames would come back as 32; use 25 or 33"]
    assert planned.runs == ()


def test_progress_counts_the_cells_to_come_and_tells_each_trial(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(Plan((), (), cells_to_come=4)) as progress:
        for number in (1, 2):
            progress.trial_started(number, 2, "guidance=6.5")
            progress.shown_at(["exp"], None)
            progress.note("no CLIP score")
            progress.run_started(SPEC)

    assert capsys.readouterr().err.splitlines() == [
        "trial 1 of 2: guidance=6.5",
        "watch it: cogx-runs ui exp",
        "note: no CLIP score",
        "[1/4] guidance=6 panda",
        "trial 2 of 2: guidance=6.5",
        "[2/4] guidance=6 panda",
    ]


@pytest.fixture
def sweep_files(project: Path, tiny_model: Path, tiny_clip: Path) -> Callable[..., Path]:
    """Write an ordinary sweep, a search of so many trials, and a study of both."""

    def write(trials: int, objectives: list[str]) -> Path:
        (project / "prompts").mkdir(exist_ok=True)
        (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.", encoding="utf-8")
        base = {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9}
        ordinary = {"name": "exp_fps", "prompts": ["panda"], "base": base, "axes": {"fps": [8]}}
        search = {
            "name": "exp_search",
            "prompts": ["panda"],
            "base": base,
            "axes": {"guidance_scale": {"low": 1, "high": 12}, "num_inference_steps": [2, 4]},
            "vary": "optuna",
            "optuna": {"trials": trials, "objectives": objectives, "startup_trials": 1},
        }
        contents = {"fps": ordinary, "search": search, "study": {"include": ["search.yaml", "fps.yaml"]}}
        for name, content in contents.items():
            (project / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return project / "search.yaml"

    return write


@pytest.mark.slow
def test_a_search_runs_beside_ordinary_sweeps_goes_on_and_tells_its_best(
    sweep_files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    load, loads = loader.load_pipeline, []
    monkeypatch.setattr(loader, "load_pipeline", lambda *given: loads.append(given) or load(*given))

    def sweep(trials: int, *options: str) -> Result:
        sweep_files(trials, ["clip_score", "denoise_s"])
        result = CliRunner().invoke(cli, ["sweep", "study.yaml", "--device", "cpu", *options])
        assert result.exit_code == 0, result.output
        return result

    first, second, third = sweep(1, "--json"), sweep(3), sweep(3, "--json")

    assert len(loads) == 2, "once a command that has cells to make"
    assert [(run["sweep"], run["status"]) for run in json.loads(first.stdout)["runs"]] == [
        ("exp_fps", "finished"),
        ("exp_search", "finished"),
    ]
    assert "exp_search: Pareto front of 3 finished trials in clip_score (maximize) and denoise_s (minimize)" in (
        second.stdout
    )
    assert "looks better than it is (the winner's curse)" in second.stdout
    told = json.loads(third.stdout)
    assert [run["status"] for run in told["runs"]] == ["done"] * 4
    runs = load_runs("exp_search")
    assert sorted(runs["tags.cogx.trial"]) == ["1", "2", "3"]
    assert set(runs["status"]) == {"FINISHED"}
    assert not runs["metrics.axis.guidance_scale"].isna().any()
    every = best_trials("search.yaml", every=True, device="cpu")
    assert [{"sweep": "exp_search", **row} for row in every.to_dict("records")] == told["trials"]
    by_trial = runs.assign(trial=runs["tags.cogx.trial"].astype(int)).sort_values("trial")
    assert list(every["clip_score"]) == list(by_trial["metrics.clip_score"])
    assert set(best_trials("search.yaml", device="cpu")["trial"]) == set(every.loc[every["best"], "trial"])


@pytest.mark.slow
@pytest.mark.parametrize("moment", [("after", "create_run", 2), ("before", "set_terminated", 2)])
def test_a_search_whose_process_is_killed_goes_on_with_the_trials_that_it_would_have_made(
    sweep_files: Callable[..., Path], moment: Death
) -> None:
    file = sweep_files(3, ["clip_score"])
    died = start("sweep", "search.yaml", "--device", "cpu", dies=moment)
    assert ended(died) == -signal.SIGKILL
    resumed = CliRunner().invoke(cli, ["sweep", "search.yaml", "--device", "cpu"])
    assert resumed.exit_code == 0, resumed.output
    found = best_trials("search.yaml", every=True, device="cpu")
    assert Counter(load_runs("exp_search")["status"]) == {"FINISHED": 3, "KILLED": 1}

    whole = file.parent / "whole.yaml"
    whole.write_text(file.read_text(encoding="utf-8").replace("exp_search", "exp_whole"), encoding="utf-8")
    CliRunner().invoke(cli, ["sweep", "whole.yaml", "--device", "cpu"])

    pd.testing.assert_frame_equal(found, best_trials("whole.yaml", every=True, device="cpu"))


@pytest.mark.slow
def test_two_processes_at_once_make_one_search_together(sweep_files: Callable[..., Path]) -> None:
    sweep_files(3, ["clip_score"])

    processes = [start("sweep", "search.yaml", "--device", "cpu") for _ in range(2)]

    assert [ended(process) for process in processes] == [0, 0]
    runs = load_runs("exp_search")
    assert sorted(zip(runs["tags.cogx.trial"], runs["status"], strict=True)) == [
        ("1", "FINISHED"),
        ("2", "FINISHED"),
        ("3", "FINISHED"),
    ]
    assert list(best_trials("search.yaml", every=True, device="cpu")["state"]) == ["finished"] * 3


def test_best_trials_are_asked_of_a_file_with_one_search(project: Path) -> None:
    with pytest.raises(CogxError, match="holds 0 sweeps with `vary: optuna`; name a file with one"):
        best_trials("guidance")
    assert isinstance(load_sweeps(["guidance"])[0], Sweep)
