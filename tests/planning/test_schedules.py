"""Advice on step counts."""

import pytest

from cogx_runs.planning.plan import Advice
from tests.support.advice import advice_on


def test_a_step_count_that_leaves_noise_is_an_error_naming_the_nearest_right_ones() -> None:
    assert advice_on(num_inference_steps=17) == [
        Advice(
            "error",
            "exp.yaml:base.num_inference_steps",
            "ddim leaves noise at 17 steps; use 10 or 20, or ddim_matched, which is right at any count",
        )
    ]


def test_a_step_count_that_misses_timesteps_is_a_warning_naming_the_nearest_right_ones() -> None:
    assert advice_on(model="5b", axes={"num_inference_steps": (10, 12)}) == [
        Advice(
            "warning",
            "exp.yaml:axes.num_inference_steps",
            "dpm misplaces 4 of 12 steps; use 10 or 20, or dpm_matched, which is right at any count",
        )
    ]


@pytest.mark.parametrize("scheduler", ["ddim_matched", "dpm_matched"])
def test_nothing_is_said_of_a_step_count_under_a_matched_scheduler(scheduler: str) -> None:
    assert advice_on(scheduler=scheduler, axes={"num_inference_steps": tuple(range(1, 101))}) == []
