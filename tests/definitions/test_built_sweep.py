"""Sweeps that are built in Python: their axes are checked as those of a file."""

from typing import Any

import pytest

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import InputError, Mistake


def build(**axes: tuple[Any, ...]) -> Sweep:
    return Sweep(
        name="built", file="built.py", description="", prompts=None, base=Parameters(), axes=axes, vary="grid"
    )  # fmt: skip


def test_each_value_of_an_axis_has_the_type_of_its_parameter() -> None:
    values = build(guidance_scale=(3, 4.5), seed=(1,), scheduler=(None, "dpm")).axes

    assert values == {"guidance_scale": (3.0, 4.5), "seed": (1,), "scheduler": (None, "dpm")}
    assert [type(value) for value in values["guidance_scale"]] == [float, float]


def test_every_mistake_in_the_axes_is_told_with_its_place() -> None:
    with pytest.raises(InputError) as caught:
        build(num_inference_steps=(10, 0), guidance=(6.0,), seed=(1, 1), vae_slicing=(True,))

    assert caught.value.mistakes == (
        Mistake("built.py:axes.num_inference_steps.1", "Input should be greater than or equal to 1 (got 0)"),
        Mistake("built.py:axes.guidance", "unknown parameter; did you mean 'guidance_scale'?"),
        Mistake("built.py:axes.seed", "names 1 more than once"),
        Mistake(
            "built.py:axes.vae_slicing",
            "is no axis: its cells would all be one, with the same pixels and scores; set it in base",
        ),
    )
