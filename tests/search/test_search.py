"""Trials: proposals, states read from the store alone, and searches that were killed."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from cogx_runs.analysis.trials import searches_of
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.planning.plan import Conditions, PlannedRun
from cogx_runs.planning.planner import Planner
from cogx_runs.search.optuna.forecast import advise_search
from cogx_runs.search.optuna.proposals import EarlierTrial, propose
from cogx_runs.search.optuna.search import Search
from cogx_runs.tracking.run import RunState
from tests.support.searches import AXES, Crew, FakeStore, KilledError, Make, measured, run, trial_rows
from tests.support.tracked_runs import tagged


def test_each_trial_is_one_new_configuration_of_every_prompt_in_tagged_runs(make: Make) -> None:
    search, store = make(), FakeStore()

    assert run(search, store) == ["finished"] * 12

    trials = search.known(store.history())
    assert [trial.number for trial in trials] == [1, 2, 3, 4, 5, 6]
    assert len({json.dumps(dict(trial.parameters)) for trial in trials}) == 6
    assert all(1 <= trial.parameters["guidance_scale"] <= 12 for trial in trials)
    assert {trial.parameters["num_inference_steps"] for trial in trials} <= set(AXES["num_inference_steps"])
    for trial in trials:
        runs = [found for found in store.runs if found.tags["cogx.trial"] == str(trial.number)]
        specs = [planned.spec for planned in trial.plan.runs]
        assert [spec.prompt_name for spec in specs] == ["panda", "cat"]
        assert {spec.axes for spec in specs} == {("guidance_scale", "num_inference_steps")}
        assert [found.output_hash for found in runs] == [spec.output_hash for spec in specs]
        assert {found.tags["cogx.trial.parameters"] for found in runs} == {json.dumps(dict(trial.parameters))}
        assert trial.values == (pytest.approx(sum(measured(spec)["clip_score"] for spec in specs) / 2),)


@pytest.mark.parametrize("objectives", [["clip_score"], ["clip_score", "denoise_s"]])
def test_a_search_killed_at_any_moment_ends_with_the_trials_of_one_that_was_not_each_cell_finished_once(
    make: Make, objectives: list[str]
) -> None:
    whole = FakeStore()
    run(make(objectives=objectives), whole)
    expected = trial_rows(make(objectives=objectives), whole)

    for moment in range(24):
        store = FakeStore()
        store.killed_after = moment
        with pytest.raises(KilledError):
            run(make(objectives=objectives), store)
        store.killed_after = math.inf
        run(make(objectives=objectives), store)

        assert trial_rows(make(objectives=objectives), store) == expected
        finished = Counter(found.output_hash for found in store.runs if found.state.is_finished)
        assert set(finished.values()) == {1}
        assert len(finished) == 12


def test_a_trial_that_was_begun_keeps_its_values_whatever_would_be_proposed_now(make: Make) -> None:
    store = FakeStore()
    store.killed_after = 5  # in the first cell of the second trial
    with pytest.raises(KilledError):
        run(make(), store)
    begun = json.loads(store.runs[2].tags["cogx.trial.parameters"])

    earlier_learning = make(startup_trials=1)
    store.killed_after = 4
    with pytest.raises(KilledError):
        run(earlier_learning, store)

    trials = earlier_learning.known(store.history())
    anew = [earlier_learning.next({trial.number: trial for trial in trials[:before]}, history=[]) for before in (1, 2)]
    second, third = [dict(trial.parameters) for trial in anew if trial is not None]
    assert second != begun
    assert [dict(trial.parameters) for trial in trials][1:] == [begun, third]


def test_optuna_learns_from_completed_trials_after_the_random_beginning(make: Make) -> None:
    def worse(spec: RunSpec) -> dict[str, float]:
        return {name: -value for name, value in measured(spec).items()}

    high, low = FakeStore(), FakeStore(worse)
    run(make(), high)
    run(make(), low)

    proposed = [[trial[1] for trial in trial_rows(make(), store)] for store in (high, low)]
    assert proposed[0][:3] == proposed[1][:3]
    assert proposed[0][3:] != proposed[1][3:]


def test_trials_run_by_several_workers_at_once_and_killed_at_any_moment_are_each_finished_once(make: Make) -> None:
    for moment in (2, 9, 17):
        store = Crew(workers=3, order=moment)
        store.killed_after = moment
        with pytest.raises(KilledError):
            run(make(), store)
        begun = {found.tags["cogx.trial"]: found.tags["cogx.trial.parameters"] for found in store.runs}
        store.killed_after = math.inf
        finished = sum(found.state.is_finished for found in store.runs)
        statuses = Counter(run(make(), store))
        assert statuses == Counter({"done": finished, "finished": 12 - finished})

        rows = trial_rows(make(), store)
        assert [(number, state) for number, _, state, _ in rows] == [(number, "finished") for number in range(1, 7)]
        assert begun.items() <= {str(number): json.dumps(parameters) for number, parameters, _, _ in rows}.items()
        assert len({json.dumps(parameters) for _, parameters, _, _ in rows}) == 6
        runs_of = Counter(found.output_hash for found in store.runs if found.state.is_finished)
        assert (set(runs_of.values()), len(runs_of)) == ({1}, 12)


def test_a_trial_is_begun_only_where_a_worker_would_have_nothing_to_do(make: Make) -> None:
    store = Crew(workers=3)

    run(make(), store)

    assert [found.tags["cogx.trial"] for found in store.runs] == [str(trial) for trial in range(1, 7) for _ in "ab"]
    assert store.most_open in {2, 3}


def test_a_proposal_knows_the_trials_that_are_pending_and_avoids_their_place(make: Make) -> None:
    sweeps = [make(trials=40, seed=seed).sweep for seed in range(8)]
    tried = [EarlierTrial({"guidance_scale": 1 + 0.5 * n, "num_inference_steps": 20}, (1.0 + n,)) for n in range(20)]
    pending = [
        EarlierTrial({"guidance_scale": 11 + 0.1 * n, "num_inference_steps": 20}, None, is_pending=True)
        for n in range(8)
    ]

    def proposed(earlier: list[EarlierTrial]) -> list[float]:
        return [(propose(sweep, ["maximize"], earlier) or {})["guidance_scale"] for sweep in sweeps]

    failed = [replace(trial, is_pending=False) for trial in pending]
    assert fmean(proposed([*tried, *failed])) > 11
    assert max(proposed([*tried, *pending])) < 11


def test_one_trial_at_a_time_is_proposed_as_ever(make: Make) -> None:
    earlier = [
        EarlierTrial({"guidance_scale": guidance, "num_inference_steps": steps}, values, degenerate)
        for guidance, steps, values, degenerate in (
            (3.315, 50, (29.1,), 0), (7.307, 20, (27.0,), 0), (9.743, 10, None, 0), (6.2, 25, (28.0,), 1),
            (5.0, 25, (28.0,), 0), (6.0, 40, (28.5,), 0),
        )
    ]  # fmt: skip

    proposed = [propose(make().sweep, ["maximize"], earlier[:number]) or {} for number in range(7)]

    assert [tuple(parameters.values()) for parameters in proposed] == [
        (3.315, 50), (7.307, 20), (9.743, 10), (9.59, 20), (1.08, 10), (1.078, 50), (11.62, 40),
    ], "a search that was stopped would continue with other proposals"  # fmt: skip


def test_of_two_commands_that_begin_one_number_at_once_the_first_has_the_trial(make: Make) -> None:
    search, store = make(prompts=["panda"]), FakeStore()
    run(search, store)
    second = next(found for found in store.runs if found.tags["cogx.trial"] == "2")
    other = {"cogx.trial.parameters": json.dumps({"guidance_scale": 2.5, "num_inference_steps": 10})}
    store.runs.append(replace(tagged(second, other), run_id="other", start_time_ms=second.start_time_ms + 1))

    trials = searches_of(store.runs, {"clip_score": "maximize"})[0].trials

    assert [trial[2] for trial in trial_rows(search, store)] == ["finished"] * 6
    assert [[found.run_id for found in trial.runs] for trial in trials] == [[str(number)] for number in range(6)]


def test_another_seed_of_optuna_is_another_search(make: Make) -> None:
    stores = [FakeStore(), FakeStore()]
    for seed, store in enumerate(stores):
        run(make(seed=seed), store)

    assert trial_rows(make(seed=0), stores[0])[0][1] != trial_rows(make(seed=1), stores[1])[0][1]
    assert trial_rows(make(seed=1), stores[0])[0][2] == "open"


def test_a_trial_with_a_failed_cell_fails_leaves_its_other_cells_and_the_search_goes_on(make: Make) -> None:
    first = make().known([])[0].parameters
    store = FakeStore(fails=lambda spec: spec.guidance_scale == first["guidance_scale"])

    assert run(make(), store) == ["failed", "skipped", *["finished"] * 10]

    assert [trial[2] for trial in trial_rows(make(), store)] == ["failed", *["finished"] * 5]
    assert run(make(), store) == ["failed", "failed", *["done"] * 10]
    assert store.ran().count("FAILED") == 1
    store.fails = lambda _: False
    assert run(make(), store, retry_failed=True) == ["finished", "finished", *["done"] * 10]


def test_a_cell_that_fails_again_is_tried_once_a_start(make: Make) -> None:
    store = FakeStore(fails=lambda _: True)
    run(make(trials=2), store)

    assert run(make(trials=2), store, retry_failed=True) == ["failed", "skipped"] * 2
    assert store.ran() == ["FAILED"] * 4


class DyingWorkers(FakeStore):
    """Loses each worker that is at a cell of this guidance: its run is ended as that of a crashed process."""

    guidance_scale: float | None = None

    def end(self, planned: PlannedRun) -> Outcome:
        if planned.spec.guidance_scale != self.guidance_scale:
            return super().end(planned)
        self.runs[-1] = replace(self.runs[-1], state=RunState.KILLED)
        return Outcome(planned.spec, OutcomeStatus.FAILED, error="2 workers died at it")


def test_a_trial_at_which_workers_died_fails_until_the_next_start_and_the_search_goes_on(make: Make) -> None:
    store = DyingWorkers()
    store.guidance_scale = make().known([])[0].parameters["guidance_scale"]

    assert run(make(), store) == ["failed", "skipped", *["finished"] * 10]

    store.guidance_scale = None
    assert run(make(), store) == ["finished", "finished", *["done"] * 10]


def test_fail_fast_ends_the_search_at_the_first_trial_that_fails(make: Make) -> None:
    store = FakeStore(fails=lambda _: True)

    assert run(make(), store, fail_fast=True) == ["failed", "skipped"]


def test_no_configuration_is_tried_twice_and_a_space_that_is_used_up_ends_the_search(make: Make) -> None:
    axes = {"num_inference_steps": [10, 20], "scheduler": [None, "dpm"]}
    search, store = make(axes, trials=50, startup_trials=0), FakeStore()

    run(search, store)

    tried = {(trial["num_inference_steps"], trial["scheduler"]) for _, trial, _, _ in trial_rows(search, store)}
    assert tried == {(10, None), (10, "dpm"), (20, None), (20, "dpm")}
    assert len(store.runs) == 8
    assert [item.message for item in advise_search(search) if item.level == "note"] == [
        "is more than the 4 configurations of the space; all of them are run"
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
    before = [trial[1] for trial in trial_rows(make(trials=3), store)]

    assert run(make(trials=4, objectives=["denoise_s"]), store).count("finished") == 2
    assert run(make(trials=3, prompts=["panda", "cat", "dog"]), store) == ["done", "done", "finished"] * 3
    assert [trial[1] for trial in trial_rows(make(trials=3), store)] == before


def test_another_space_or_base_begins_a_search_of_its_own_in_the_experiment(make: Make) -> None:
    store = FakeStore()
    run(make(trials=2), store)

    others = [make({**AXES, "guidance_scale": {"low": 1, "high": 8}}), make(base={"num_frames": 25})]

    assert len({make().key, make(base={"placement": "resident"}).key, *(other.key for other in others)}) == 3
    assert [[trial.state for trial in other.known(store.history())] for other in others] == [["open"], ["open"]]


def test_a_search_of_a_store_from_before_newer_parameters_keeps_its_key(tmp_path: Path) -> None:
    file = tmp_path / "key.yaml"
    file.write_text(
        "name: k\nprompts: [panda]\nvary: optuna\nbase: {model: toy, num_inference_steps: 10}\n"
        "axes: {guidance_scale: {low: 1, high: 8}}\noptuna: {trials: 3, objectives: [clip_score]}\n",
        encoding="utf-8",
    )
    (sweep,) = load_sweeps([file])

    key = Search(sweep, Planner(Conditions(PromptLibrary(tmp_path), "cpu"))).key

    assert key == "c28e92e4aa9b992a", "a search that is known by another key begins anew"


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

    for _, parameters, state, _ in trial_rows(search, store):
        assert state == "finished"
        assert parameters["num_frames"] in {9, 17, 25, 33, 41, 49}
        assert parameters["guidance_scale"] in {round(1 + index / 10, 1) for index in range(11)}
        assert len(str(parameters["video_quality"])) <= 5
        assert isinstance(parameters["fps"], int)


def test_a_space_too_large_to_list_is_drawn_from_where_optuna_only_repeats(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogx_runs.search.optuna.proposals.ATTEMPTS", 0)
    axes = {"fps": {"low": 1, "high": 120}, "num_inference_steps": {"low": 1, "high": 1000}, "guidance_scale": [1, 6]}
    sweep = make(axes).sweep
    tried = [EarlierTrial({"fps": 1, "num_inference_steps": 1, "guidance_scale": 6.0}, (1.0,))]

    first, again = (propose(sweep, ["maximize"], tried) for _ in range(2))

    assert first == again
    assert first is not None
    assert (first.keys(), first in [trial.parameters for trial in tried]) == (axes.keys(), False)
