"""What previews are worth, on previews and finals whose relation is known."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from cogx_runs.analysis.promotion.calibration import Candidates, jackknife, unit_of
from cogx_runs.analysis.promotion.gains import PreviewGains, largest_of, preview_gains
from cogx_runs.analysis.promotion.wording import describe_gains
from cogx_runs.errors import CogxError
from tests.support.frames import frame_of
from tests.support.promotions import both, row

Scores = Mapping[str, tuple[Sequence[float], Sequence[float | None]]]
HALF: Scores = {
    prompt: ([mean + 1, mean, mean - 1], [mean + 2.5, mean + 2, mean + 1.5])
    for prompt, mean in (("a", 10.0), ("b", 20.0), ("c", 30.0))
}
"""Half of each lead is left, and two points are added."""
C4 = np.sqrt(np.pi) / 2
"""Of three values."""


def gains(scores: Scores, seconds: Mapping[int, float] | None = None, **given: Any) -> PreviewGains:
    frame = frame_of(both(scores))
    times = frame["params.num_inference_steps"].map(seconds or {}).astype("Float64")
    return preview_gains(frame.assign(**{"metrics.wall_time_s": times}), "clip_score", 50, **given)


def test_the_expected_final_is_the_mean_and_the_part_of_the_lead_that_finished_prompts_keep() -> None:
    found = gains({**HALF, "d": ([44.0, 41.0, 38.0], [47.0, None, None])})

    (calibration,) = found.calibrations
    assert (calibration.prompts, calibration.candidates, found.finished) == (3, 9, ((25, 3),))
    assert (calibration.slope, calibration.correlation, calibration.change) == pytest.approx((0.5, 1, 2))
    assert (calibration.preview_deviation, calibration.final_deviation) == pytest.approx((1 / C4, 0.5 / C4))
    expected = found.expected
    assert expected is not None
    assert [(one.prompt, one.lead, one.expected, one.final) for one in expected.by_prompt] == [
        ("a", 1, pytest.approx(12.5), 12.5), ("b", 1, pytest.approx(22.5), 22.5), ("c", 1, pytest.approx(32.5), 32.5),
        ("d", 3, pytest.approx(44.5), 47.0),
    ]  # fmt: skip
    assert (expected.gain, expected.naive - expected.expected) == pytest.approx((0.75, 0.75))
    assert expected.low < expected.expected < expected.high


def test_gain_and_seconds_make_the_choice() -> None:
    found = gains(HALF, {25: 1.0, 50: 2.0})

    rows = {(row.from_steps, row.candidates): row for row in found.rows}
    assert sorted(rows) == [(steps, number) for steps in (25, 50) for number in range(1, 9)]
    unit = 0.5 / C4
    assert [rows[25, number].gain / unit for number in (1, 2, 5)] == pytest.approx([0, 0.56419, 1.16296], abs=1e-4)
    assert [rows[25, number].seen for number in (1, 2, 3, 4)] == [0, pytest.approx(1 / 3), pytest.approx(0.5), None]
    assert [rows[25, number].seconds for number in (1, 2, 5)] == [2, 4, 7]
    assert [rows[50, number].seconds for number in (1, 2, 5)] == [2, 4, 10]
    assert found.best == rows[25, 4]
    assert found.nearly == (3, 4, 5)
    assert describe_gains(found, 25)[-1].startswith(
        "Most a second: 4 candidates at 25 steps and the final of the best, an expected gain of 0.581 for 6 s a "
        "prompt; 3 to 5 candidates gain 95% of that a second, or more. More than 3 candidates were not tried"
    )
    shown = [(row.from_steps, row.candidates) for row in found.shown(25)]
    assert shown == [*((25, number) for number in range(1, 9)), (50, 2)]
    assert gains(HALF).best is None, "without times"


def test_finals_that_are_all_the_same_have_no_gain_of_their_own() -> None:
    found = gains({prompt: ([3.0, 2.0, 1.0], [mean] * 3) for prompt, mean in (("a", 5.0), ("b", 6.0), ("c", 7.0))})

    assert [row.gain for row in found.rows] == [0.0] * 8


def test_the_gain_seen_is_the_mean_over_all_choices_of_so_many() -> None:
    rng = np.random.default_rng(4)
    previews, finals = np.sort(rng.normal(size=6))[::-1], rng.normal(size=6)
    one = Candidates("a", 1, previews, finals)

    chosen = [finals[min(places)] for places in combinations(range(6), 3)]

    assert one.seen(3) == pytest.approx(np.mean(chosen) - finals.mean())
    draws = rng.normal(size=(200_000, 5)).max(axis=1)
    assert largest_of(5) == pytest.approx(draws.mean(), abs=0.01)


def test_the_interval_covers_the_gain_of_uneven_reliability_one_half() -> None:
    """Nine prompts of five candidates, 400 times: two binomial errors are 2.2 points."""
    rng = np.random.default_rng(20240613)
    covered = 0
    for _ in range(400):
        true = rng.normal(size=(9, 5))
        before, after = true + rng.normal(size=true.shape), true + rng.normal(size=true.shape)
        low, high = jackknife([Candidates("p", 1, b, a) for b, a in zip(before, after, strict=True)], unit_of)
        covered += low <= 0.5 * 2**0.5 <= high

    assert covered / 400 >= 0.93


def test_where_lower_is_better_the_same_scores_turned_round_gain_the_same() -> None:
    frame = frame_of(both(HALF))
    lower = frame.assign(**{"metrics.lpips": -frame["metrics.clip_score"]})

    turned, plain = preview_gains(lower, "lpips", 50), preview_gains(frame, "clip_score", 50)

    assert [one.low for one in turned.rows] == pytest.approx([one.low for one in plain.rows])
    assert [one.seen for one in turned.rows if one.seen is not None][1:3] == pytest.approx([1 / 3, 1 / 2])
    assert turned.expected is not None
    assert plain.expected is not None
    assert (turned.expected.expected, turned.expected.low) == pytest.approx(
        (-plain.expected.expected, -plain.expected.high)
    )


def test_too_few_finished_prompts_conclude_nothing_and_say_how_many_are_missing() -> None:
    found = gains({"a": HALF["a"], "b": HALF["b"], "c": ([1.0, 2.0], [1.0, None])})

    assert (found.calibrations, found.expected, found.rows, found.best) == ((), None, (), None)
    assert describe_gains(found, 25) == [
        "What a lead at 25 steps is worth at 50 is unknown: 2 prompts of two candidates or more, with previews that "
        "differ, have a final of each, and 3 are needed; `--top all` runs them."
    ]
    assert gains({prompt: ([1.0, 1.0], [1.0, 2.0]) for prompt in "abcd"}).rows == (), "previews that are all the same"
    sizes = [row("a", 1, 25, 1.0), row("a", 2, 25, 1.0, height=64)]
    with pytest.raises(CogxError, match="clip_score of previews: runs of 2 values of height"):
        preview_gains(frame_of(sizes), "clip_score")
