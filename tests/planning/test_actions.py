"""What is to be done for a cell, by what the store remembers."""

from dataclasses import replace

import pytest

from cogx_runs.planning.actions import Action, Decision, choose_actions
from cogx_runs.tracking.tags import DEGENERATE
from tests.support.planning import actions, past
from tests.support.specs import SPEC
from tests.support.tracked_runs import tagged


def test_a_cell_that_is_finished_here_is_done_and_names_its_run() -> None:
    finished = past(SPEC, "FINISHED")

    assert choose_actions([SPEC], [finished]) == [Decision(Action.DONE, finished)]


def test_a_cell_that_is_finished_in_another_experiment_is_reused() -> None:
    assert choose_actions([SPEC], [past(SPEC, "FINISHED", "other")]) == [Decision(Action.REUSE)]


def test_a_cell_whose_file_or_score_alone_is_another_is_reused() -> None:
    other_file = past(SPEC.replace(fps=16), "FINISHED")

    assert choose_actions([SPEC], [other_file]) == [Decision(Action.REUSE, decodes=True)]


def test_a_cell_of_which_only_other_pixels_are_finished_is_run() -> None:
    assert actions([SPEC], past(SPEC.replace(seed=43), "FINISHED")) == ["run"]


@pytest.mark.parametrize("status", ["KILLED", "RUNNING", "SCHEDULED"])
def test_a_cell_that_was_begun_and_not_ended_is_run(status: str) -> None:
    assert actions([SPEC], past(SPEC, status)) == ["run"]


def test_a_cell_that_failed_here_is_left_until_it_is_asked_for_again() -> None:
    failed = past(SPEC, "FAILED")

    assert actions([SPEC], failed) == ["failed"]
    assert actions([SPEC], failed, retry_failed=True) == ["run"]


def test_a_cell_that_was_ended_as_degenerate_is_made_whole_once_the_switch_is_off() -> None:
    aborting = SPEC.replace(abort_degenerate=True)
    ended = replace(tagged(past(aborting, "FAILED"), {DEGENERATE: "noise"}), params={"abort_degenerate": "True"})
    not_finite = replace(tagged(past(SPEC, "FAILED"), {DEGENERATE: "nan"}), params={"abort_degenerate": "False"})

    assert actions([aborting], ended) == ["failed"]
    assert actions([aborting], ended, retry_failed=True) == ["run"]
    assert actions([SPEC], ended) == ["run"]
    assert actions([SPEC], not_finite) == ["failed"]
    assert actions([SPEC], ended, past(SPEC, "FAILED")) == actions([SPEC], past(SPEC, "FAILED"), ended) == ["failed"]


def test_a_cell_that_failed_in_another_experiment_is_run() -> None:
    assert actions([SPEC], past(SPEC, "FAILED", "other")) == ["run"]


def test_a_cell_that_failed_and_then_finished_is_done_in_whatever_order_the_store_tells() -> None:
    failed, finished = past(SPEC, "FAILED"), past(SPEC, "FINISHED")

    assert choose_actions([SPEC], [failed, finished]) == [Decision(Action.DONE, finished)]
    assert choose_actions([SPEC], [finished, failed]) == [Decision(Action.DONE, finished)]


def test_a_failed_cell_that_is_tried_again_takes_over_what_another_experiment_finished() -> None:
    history = past(SPEC, "FAILED"), past(SPEC, "FINISHED", "other")

    assert actions([SPEC], *history, retry_failed=True) == ["reuse"]


def test_a_cell_is_run_for_the_first_sweep_that_names_it_and_reused_by_the_others() -> None:
    second, third = SPEC.replace(sweep="second"), SPEC.replace(sweep="third", placement="resident")

    assert actions([SPEC, second, third]) == ["run", "reuse", "reuse"]


def test_a_cell_that_failed_in_the_first_sweep_is_run_in_the_second() -> None:
    second = SPEC.replace(sweep="second")

    assert actions([SPEC, second], past(SPEC, "FAILED")) == ["failed", "run"]


def test_each_value_of_a_swept_placement_is_a_cell_that_is_run_whatever_is_finished() -> None:
    swept = [SPEC.replace(axes=("placement",), placement=placement) for placement in ("resident", "group")]

    assert actions(swept, past(SPEC, "FINISHED")) == ["run", "run"]
    assert actions([SPEC.replace(placement="group")], past(SPEC, "FINISHED")) == ["done"]
