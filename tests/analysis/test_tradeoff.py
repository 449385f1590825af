"""Approximate cells against the exact ones of their prompt and seed: what is paired, and how it is averaged."""

from dataclasses import replace
from typing import Any

import pytest

from cogx_runs.analysis.tradeoff import trade_offs
from cogx_runs.report.tradeoffs import trade_off_content
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import BESIDE
from tests.support.reports import cell


def of_prompt(name: str, seconds: float, psnr: float | None = None, ssim: float = 0.9, **given: Any) -> TrackedRun:
    made = cell(prompt_name=name, prompt=f"{name}.", **given)
    nearness = {} if psnr is None else {"psnr.exact": psnr, "ssim.exact": ssim}
    return replace(made, metrics={**made.metrics, "denoise_s": seconds - 1, "decode_s": 1.0, **nearness})


def test_a_cell_is_paired_with_the_exact_one_of_its_prompt_and_seed() -> None:
    cells = [
        of_prompt("a", 10, seed=1),
        of_prompt("a", 20, seed=2),
        of_prompt("b", 10, seed=1),
        of_prompt("a", 5, 20, seed=1, cache="pab:2"),
        of_prompt("a", 10, 30, seed=2, cache="pab:2"),
        of_prompt("b", 1.25, 35, seed=1, cache="pab:2"),
        of_prompt("b", 5, 35, seed=3, cache="pab:2"),  # has no exact one
        of_prompt("b", 5, seed=1, cache="pab:3"),  # was not compared
    ]

    (found,) = trade_offs(cells)

    assert (found.label, found.prompts, found.pairs) == ("cache pab:2", 2, 3)
    assert (found.psnr, found.lowest_psnr, found.skipped, found.was_alone) == (30, 20, None, True)
    assert (found.ssim, found.time_share) == (pytest.approx(0.9), pytest.approx(0.25))


def test_each_combination_of_approximate_values_is_its_own_and_the_page_shows_them() -> None:
    cells = [
        of_prompt("a", 10),
        of_prompt("a", 8, 40, decoder="fused"),
        of_prompt("a", 4, 30, decoder="fused", cache="pab:2"),
    ]

    found = trade_offs(cells)
    content = trade_off_content(cells, [], "clip_score")

    assert [one.label for one in found] == ["decoder fused", "cache pab:2, decoder fused"]
    assert content is not None
    assert content.plot is not None
    assert content.exact == "decoder exact, cache none"
    assert "decoder fused 40.0 dB in 80% of the time" in content.plot
    assert trade_off_content(cells[:1], [], "clip_score") is None


def test_times_taken_alone_go_before_others_and_those_of_two_devices_are_not_compared() -> None:
    busy = {BESIDE: "busy machine: others took 1 of 2 CPU cores"}
    exact = [of_prompt("a", 10), of_prompt("b", 10)]
    pairs = [of_prompt("a", 5, 30, cache="pab:2"), of_prompt("b", 9, 30, cache="pab:2", tags=busy)]
    elsewhere = of_prompt("a", 5, 30, cache="pab:2", tags={"cogx.env.device_name": "Another chip"})

    ((alone,), (rough,), (apart,)) = (
        trade_offs([*exact, *pairs]), trade_offs([*exact, pairs[1]]), trade_offs([*exact, elsewhere])
    )  # fmt: skip

    assert (alone.time_share, alone.was_alone) == (pytest.approx(0.5), True)
    assert (rough.time_share, rough.was_alone) == (pytest.approx(0.9), False)
    assert apart.time_share is None
