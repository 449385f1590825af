"""Advice on caches: one that would do nothing is an error before anything is loaded."""

from dataclasses import replace
from typing import Any

import pytest

from cogx_runs.models.cards import HUB_MODELS
from cogx_runs.models.memory import needs
from cogx_runs.planning.cost import CostModel
from cogx_runs.planning.plan import Advice
from cogx_runs.planning.rules import _cache
from cogx_runs.system.hardware import Gpu
from tests.support.advice import advice_on, make_sweep
from tests.support.specs import SPEC


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cache": "pab:2:100:101"}, "pab:2:100:101 can skip nothing in 50 steps; use more steps, or other numbers"),
        (
            {"cache": "magcache:0.06:3:0.9", "num_inference_steps": 5},
            "magcache:0.06:3:0.9 can skip nothing in 5 steps; use more steps, or other numbers",
        ),
        (
            {"cache": "taylorseer:2:1:50"},
            "taylorseer:2:1:50 can skip nothing in 50 steps; use more steps, or other numbers",
        ),
        (
            {"cache": "fastercache", "compile": True, "placement": "resident"},
            "fastercache acts inside a compiled block; use first_block, magcache, taylorseer, or fastercache without "
            "compile",
        ),
    ],
)
def test_a_cache_that_can_skip_nothing_or_does_not_compile_is_an_error(values: dict[str, Any], message: str) -> None:
    assert advice_on(**values) == [Advice("error", "exp.yaml:base.cache", message)]


def test_a_cache_of_the_other_blocks_needs_one() -> None:
    spec, card, sweep = SPEC.replace(cache="first_block"), HUB_MODELS["2b"], make_sweep()
    small = replace(card, transformer=card.transformer.model_copy(update={"num_layers": 1}))

    assert list(_cache(spec, card, sweep)) == []
    assert [advice.message for advice in _cache(spec, small, sweep)] == [
        "first_block skips all blocks but the first, and 2b has no other; use none"
    ]


@pytest.mark.parametrize("cache", ["first_block", "pab", "fastercache", "magcache", "taylorseer"])
def test_nothing_is_said_of_a_cache_that_can_skip(cache: str) -> None:
    assert advice_on(cache=cache) == []


def test_a_cache_is_estimated_at_most_as_long_as_none_and_with_what_it_keeps() -> None:
    card, gpu = HUB_MODELS["2b"], Gpu("GPU-1", "NVIDIA H100 80GB HBM3", "", 80 * 2**30, (9, 0))
    plain, cached = SPEC.replace(placement="resident"), SPEC.replace(placement="resident", cache="pab")

    exact, rough = (CostModel([], gpu).estimate(spec, card) for spec in (plain, cached))

    assert (exact.is_rough, rough.is_rough) == (False, True)
    assert rough.seconds == exact.seconds
    assert rough.basis.endswith("; at most, since its cache skips some of it")
    kept = needs(card, "resident", cached.workload).denoise_gib - needs(card, "resident", plain.workload).denoise_gib
    assert kept == pytest.approx(30 * 2 * 17_776 * 1920 * 2 / 2**30, rel=0.01)
