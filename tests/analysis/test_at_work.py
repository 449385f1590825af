"""Who is at which cell, how far a study is, and how long the rest takes."""

from typing import Any

import pytest

from cogx_runs.analysis.at_work import SweepProgress, study_progress
from cogx_runs.tracking.run import TrackedRun
from tests.support.specs import SPEC
from tests.support.tracked_runs import tracked

NOW_MS = 1_000_000


def cell(seed: int, state: str, worker: str = "", *, wall_time_s: float | None = None, **given: Any) -> TrackedRun:
    tags = {"cogx.env.host": "a", "cogx.worker": worker, **given.pop("tags", {})}
    metrics = {} if wall_time_s is None else {"wall_time_s": wall_time_s}
    spec = SPEC.replace(seed=seed)
    return tracked(spec, state, run_id=f"{seed}", tags=tags, metrics=metrics, **{"start_time_ms": seed, **given})


def of_sweep(runs: list[TrackedRun], cells: int, **tags: str) -> SweepProgress:
    (found,) = study_progress({"exp": runs}, {"exp": {"cogx.cells": str(cells), **tags}}, NOW_MS).sweeps
    return found


def test_the_rest_takes_what_a_finished_cell_took_shared_by_the_workers_that_are_at_it() -> None:
    runs = [
        cell(1, "FINISHED", wall_time_s=100),
        cell(2, "FINISHED", wall_time_s=1, tags={"cogx.reused_from": "1"}),
        cell(3, "FAILED"),
        cell(4, "RUNNING", "worker 1", start_time_ms=NOW_MS - 40_000),
        cell(5, "RUNNING", "worker 2", start_time_ms=NOW_MS - 500_000),
    ]

    found = of_sweep(runs, cells=10)

    assert (found.finished, found.failed, found.left) == (2, 1, 7)
    assert found.seconds_left == pytest.approx((7 * 100 - 40 - 100) / 2)
    assert str(found) == "2 of 10 finished, 1 failed, 2 running, about 4.7 min left"


def test_nothing_is_said_of_the_time_where_nobody_is_at_work_or_no_cell_has_finished() -> None:
    assert of_sweep([cell(1, "FINISHED", wall_time_s=100), cell(2, "KILLED")], cells=3).seconds_left is None
    assert of_sweep([cell(1, "RUNNING")], cells=3).seconds_left is None


def test_a_run_whose_process_has_died_is_not_at_work() -> None:
    runs = [cell(1, "FINISHED", wall_time_s=100), cell(2, "RUNNING", "worker 1"), cell(3, "RUNNING", "worker 2")]

    found = study_progress({"exp": runs}, {"exp": {}}, NOW_MS, gone={"3"})

    assert ([run.run_id for run in found.at_work], found.workers) == (["2"], 1)


def test_sweeps_that_have_not_begun_take_what_the_others_take_and_several_videos_of_a_worker_are_one_worker() -> None:
    begun = [
        cell(1, "FINISHED", wall_time_s=10),
        *(cell(seed, "RUNNING", "worker 1", start_time_ms=NOW_MS) for seed in (2, 3)),
    ]

    found = study_progress(
        {"first": begun, "second": []}, {"first": {"cogx.cells": "5"}, "second": {"cogx.cells": "3"}}, NOW_MS
    )

    assert (found.workers, found.seconds_left) == (1, 70)
    assert [sweep.seconds_left for sweep in found.sweeps] == [40, None]


def test_of_several_searches_of_an_experiment_the_latest_counts() -> None:
    old = [cell(seed, "FINISHED", tags={"cogx.trial.search": "old"}) for seed in (1, 2, 3)]
    new = [cell(4, "FINISHED", tags={"cogx.trial.search": "new"})]

    found = of_sweep([*old, *new], cells=2, **{"cogx.objectives": "{}"})

    assert str(found) == "1 of 2 finished"
