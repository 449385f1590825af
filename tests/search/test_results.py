"""The result of a search: the best trials, and trials that fail or are passed over."""

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import pytest

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.search.optuna.forecast import advise_search
from cogx_runs.search.optuna.proposals import EarlierTrial, propose
from cogx_runs.search.optuna.results import SearchResult, result_of
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import BESIDE, DEGENERATE, DEVICE_NAME
from tests.support.searches import FakeStore, Make, measured, run, trial_rows
from tests.support.tracked_runs import tagged


def test_of_two_objectives_the_front_is_the_trials_that_no_other_beats_in_both(make: Make) -> None:
    search, store = make(trials=8, objectives=["clip_score", "denoise_s"]), FakeStore()
    run(search, store)

    result = result_of(search, store.history())

    points = {trial.number: trial.values or () for trial in result.trials}
    front = {trial.number for trial in result.best}
    for number, (score, seconds) in points.items():
        beaten = any(s >= score and t <= seconds and (s, t) != (score, seconds) for s, t in points.values())
        assert (number in front) == (not beaten)
    assert [(trial.values or ())[0] for trial in result.best] == sorted((points[n][0] for n in front), reverse=True)
    assert 1 < len(front) < 8
    assert [row["cells"] for row in result.rows()] == [2] * len(front)


def test_a_trial_with_degenerate_videos_is_never_the_best_while_others_have_none(make: Make) -> None:
    search, store = make(trials=12, startup_trials=6), FakeStore()
    run(search, store)
    plain = result_of(search, store.history())
    best = plain.best[0]
    (cell, *_) = best.plan.runs

    def judged(degenerate: Callable[[TrackedRun], bool]) -> SearchResult:
        return result_of(
            search, [tagged(one, {DEGENERATE: "frozen"}) if degenerate(one) else one for one in store.history()]
        )

    without = judged(lambda one: one.signature == cell.spec.signature)
    all_bad = judged(lambda _: True)

    assert best.number not in [trial.number for trial in without.best]
    assert without.best[0].values == max(trial.values or () for trial in plain.trials if trial.number != best.number)
    assert without.caveats == [f"Passed over, since more of their videos are degenerate: trial {best.number} (1 of 2)."]
    assert [trial.number for trial in all_bad.best] == [best.number]
    assert all_bad.caveats == [
        "Every finished trial has degenerate videos, the best too: 2 of 2. Look at them before believing a score."
    ]
    assert plain.caveats == []


def test_optuna_looks_away_from_where_videos_are_degenerate(make: Make) -> None:
    sweeps = [make(trials=40, startup_trials=10, seed=seed).sweep for seed in range(8)]
    tried = [{"guidance_scale": 1 + 0.5 * n, "num_inference_steps": 20} for n in range(20)]
    seen = [EarlierTrial(one, (one["guidance_scale"],)) for one in tried]
    frozen = [replace(one, degenerate=int(one.parameters["guidance_scale"] > 6)) for one in seen]

    def proposed(earlier: list[EarlierTrial]) -> list[float]:
        return [(propose(sweep, ["maximize"], earlier) or {})["guidance_scale"] for sweep in sweeps]

    assert fmean(proposed(seen)) > 8
    assert fmean(proposed(frozen)) < 6


def test_directions_can_be_turned_round(make: Make) -> None:
    search, store = make(objectives=["clip_score"], directions=["minimize"]), FakeStore()
    run(search, store)

    result = result_of(search, store.history())

    assert [trial.values for trial in result.best] == [min(trial.values or () for trial in result.trials)]


def test_times_that_are_not_comparable_are_caveats_of_the_result(make: Make) -> None:
    search, store = make(objectives=["denoise_s"], trials=2), FakeStore()
    run(search, store)
    store.runs[0] = tagged(store.runs[0], {BESIDE: "another sweep"})
    store.runs[1] = tagged(store.runs[1], {DEVICE_NAME: "NVIDIA H200"})

    assert result_of(search, store.history()).caveats == [
        "1 of 4 cells were timed while other work used the machine.",
        "Not all cells were measured in one place: NVIDIA H100 (resident), NVIDIA H200 (resident).",
    ]


def test_a_cell_without_the_objective_stops_the_search_with_advice(make: Make) -> None:
    store = FakeStore(numbers=lambda _: {"denoise_s": 1.0})

    with pytest.raises(CogxError) as caught:
        run(make(), store)

    assert str(caught.value) == (
        "exp: trial 1: 2 of its 2 cells have no clip_score, an objective of the search, nor has any other run; "
        "`cogx-runs rescore exp` adds what can be measured here"
    )


def test_an_objective_that_one_video_has_no_value_of_fails_its_trial_and_no_other(make: Make) -> None:
    def raises_once(spec: RunSpec) -> dict[str, float]:
        return {"denoise_s": 1.0} if len(store.runs) == 3 else measured(spec)

    search, store = make(trials=3), FakeStore(raises_once)

    run(search, store)

    assert [trial[2] for trial in trial_rows(search, store)] == ["finished", "failed", "finished"]
    assert search.known(store.history())[1].error == (
        "1 of its 2 cells have no clip_score; `cogx-runs rescore exp` adds what can be measured here"
    )


def test_a_value_that_is_no_finite_number_fails_its_trial(make: Make) -> None:
    store = FakeStore(numbers=lambda _: {"clip_score": math.nan})

    run(make(trials=2), store)

    assert [trial[2:] for trial in trial_rows(make(trials=2), store)] == [("failed", None)] * 2


def test_a_combination_that_cannot_run_fails_its_trial_and_no_other(make: Make) -> None:
    axes = {"height": [480, 472], "dtype": ["float32", None]}
    search, store = make(axes, trials=4, base={"width": 712}), FakeStore()

    assert [item.level for item in advise_search(search) if item.level == "error"] == ["error"] * 2
    statuses = run(search, store)

    assert set(statuses) == {"failed"}
    assert store.runs == []
    assert {(trial.error or "").split(":")[0] for trial in search.known([])} == {"cannot run"}
