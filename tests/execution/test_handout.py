"""Which cell a free worker of several takes next."""

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.execution.handout import choose_cell, group_of
from tests.support.specs import SPEC

FIRST, SECOND = (SPEC.replace(model=name, model_source=f"zai-org/{name}") for name in ("2b", "5b"))
LEFT = {place: spec.replace(seed=place) for place, spec in enumerate([FIRST, FIRST, SECOND, SECOND, SECOND])}


def test_a_worker_stays_at_the_model_that_it_has_loaded() -> None:
    assert choose_cell(LEFT, group_of(SECOND), [group_of(SECOND)], []) == 2


def test_a_worker_whose_model_has_no_cell_left_takes_one_that_nobody_is_at() -> None:
    assert choose_cell(LEFT, None, [group_of(FIRST)], []) == 2
    assert choose_cell(LEFT, None, [group_of(SECOND)], []) == 0


def test_where_all_models_are_being_worked_at_the_one_with_the_most_cells_left_gets_help() -> None:
    assert choose_cell(LEFT, None, [group_of(FIRST), group_of(SECOND)], []) == 2


def test_a_cell_whose_pixels_are_being_generated_waits_for_them() -> None:
    assert choose_cell(LEFT, group_of(FIRST), [], [LEFT[0].signature]) == 1


def test_compiled_cells_of_another_shape_are_another_group() -> None:
    def other(spec: RunSpec) -> RunSpec:
        return spec.replace(num_frames=9)

    compiled = FIRST.replace(compile=True)

    assert group_of(FIRST) == group_of(other(FIRST))
    assert group_of(compiled) != group_of(other(compiled))
