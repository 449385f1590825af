"""Which cell a free worker takes next, and what each worker asks Ray for."""

import pytest
import ray

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.execution.handout import choose_cell, group_of
from cogx_runs.execution.ray_crew import Resources
from cogx_runs.execution.ray_executor import resources_of
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


def test_each_worker_asks_for_a_gpu_and_the_cpus_that_every_node_has_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": found} for found in ({"CPU": 64, "GPU": 8}, {"CPU": 16, "GPU": 4}, {"CPU": 4})
    ]
    monkeypatch.setattr(ray, "nodes", lambda: [*nodes, {"Alive": False, "Resources": {"CPU": 1, "GPU": 1}}])

    assert resources_of(None, is_on_cpu=False) == Resources(12, 4, 1)
    assert resources_of(2, is_on_cpu=False) == Resources(2, 4, 1)
    assert resources_of(None, is_on_cpu=True) == Resources(3, 4, 0)
    assert resources_of(6, is_on_cpu=True) == Resources(6, 2, 0)
    with pytest.raises(CogxError, match="--workers 13: the Ray cluster has 12 GPUs"):
        resources_of(13, is_on_cpu=False)
