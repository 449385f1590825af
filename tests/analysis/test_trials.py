"""Trials of searches, and which run stands for a cell, from tracked runs alone."""

from typing import Any

from cogx_runs.analysis.cells import run_of_each_cell
from cogx_runs.analysis.trials import TrackedSearch, objective_means, searches_of
from cogx_runs.definitions.ranges import Direction
from cogx_runs.tracking.run import RunState, TrackedRun
from tests.support.specs import SPEC
from tests.support.tracked_runs import tracked

UP: dict[str, Direction] = {"clip_score": "maximize"}


def tried(number: int, score: float | None, *, search: str = "a", seed: int = 1, **given: Any) -> TrackedRun:
    """A finished cell of a trial."""
    spec = SPEC.replace(guidance_scale=float(number), seed=seed)
    tags = {"cogx.trial": str(number), "cogx.trial.search": search, "cogx.trial.parameters": '{"guidance_scale": 1.5}'}
    metrics = {} if score is None else {"clip_score": score}
    return tracked(spec, tags={**tags, **given.pop("tags", {})}, metrics=metrics, **given)


def best_numbers(search: TrackedSearch) -> list[int]:
    return [trial.number for trial in search.best]


def test_a_trial_is_finished_with_as_many_finished_cells_as_the_largest_of_its_search_each_with_every_objective() -> (
    None
):
    (search,) = searches_of(
        [
            *(tried(1, score, seed=seed) for seed, score in ((1, 30.0), (2, 32.0))),
            *(tried(2, score, seed=seed) for seed, score in ((1, 50.0), (2, None))),
            tried(3, 60.0),
            tried(4, 70.0),
            tried(4, 70.0, seed=2, state=RunState.RUNNING),
        ],
        UP,
    )

    assert [(trial.number, trial.values) for trial in search.trials] == [(1, (31.0,)), (2, None), (3, None), (4, None)]
    assert best_numbers(search) == [1]
    assert search.trials[0].parameters == {"guidance_scale": 1.5}


def test_the_search_with_the_latest_run_comes_first_and_none_is_judged_by_another() -> None:
    runs = [
        *(tried(1, 20.0, search="two seeds", seed=seed, start_time_ms=seed) for seed in (1, 2)),
        tried(1, 35.0, search="one seed", start_time_ms=3),
        tried(2, 34.0, search="one seed", start_time_ms=4),
    ]

    searches = searches_of(runs, UP)

    assert [(search.key, best_numbers(search)) for search in searches] == [("one seed", [1]), ("two seeds", [1])]
    assert searches_of(runs, {}) == []


def test_a_trial_with_more_degenerate_videos_is_never_the_best() -> None:
    (search,) = searches_of([tried(1, 40.0, tags={"cogx.degenerate": "flat"}), tried(2, 30.0)], UP)

    assert best_numbers(search) == [2]


def test_a_mean_that_is_no_finite_number_is_no_value() -> None:
    assert objective_means([tried(1, 30.0), tried(1, float("nan"))], ["clip_score"], 2) is None
    assert objective_means([tried(1, 30.0), tried(1, 31.0)], ["clip_score"], 3) is None


def test_of_several_runs_of_a_cell_the_newest_finished_one_stands_for_it_else_the_newest() -> None:
    other_file = SPEC.replace(fps=16)
    other_definitions = SPEC.replace(metric_versions=(("clip_score", "2"),))
    runs = [
        tracked(SPEC, "KILLED", run_id="died before its parameters", params={}, start_time_ms=9),
        tracked(SPEC, "FINISHED", run_id="first", start_time_ms=1),
        tracked(other_definitions, "FINISHED", run_id="newest", start_time_ms=3),
        tracked(other_definitions, "FAILED", run_id="failed later", start_time_ms=4),
        tracked(other_file, "FAILED", run_id="file failed", start_time_ms=5),
        tracked(other_file, "RUNNING", run_id="file again", start_time_ms=6),
    ]

    assert [run.run_id for run in run_of_each_cell(runs)] == ["newest", "file again"]
    assert [run.run_id for run in run_of_each_cell(runs[::-1])] == ["newest", "file again"]
