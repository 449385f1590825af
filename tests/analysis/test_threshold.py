"""The smallest step count shown not inferior: from the reference down, on simulated curves."""

from typing import Any

import numpy as np
import pytest

from benchmarks.threshold_accuracy import CURVES, NOISES, SHARES, Noise, accuracy, scores, search
from cogx_runs.analysis.noninferiority import prompts_needed
from cogx_runs.analysis.sequential import Looks
from cogx_runs.analysis.signflips import SignFlips
from cogx_runs.analysis.threshold import (
    LADDER,
    ThresholdPoint,
    answers_sentence,
    check_ladder,
    threshold_sentence,
)
from cogx_runs.errors import CogxError
from tests.support.thresholds import BAD, GOOD, UNSURE, judged


@pytest.mark.parametrize("name", [name for name in CURVES if "at the margin" not in name])
def test_curves_of_every_shape_are_searched_right_where_noise_is_small(name: str) -> None:
    found = accuracy(
        CURVES[name], Noise(0.002, 0.005), prompts=14, seeds=5, replications=5, rng=np.random.default_rng(1)
    )

    assert (found.right, found.wrong) == (1.0, 0.0)


def test_a_dip_is_not_jumped() -> None:
    dips = CURVES["a dip of 1.5 margins at 20"]

    found = accuracy(dips, NOISES["low"], prompts=14, seeds=5, replications=30, rng=np.random.default_rng(2))

    assert (found.right, found.wrong, found.before_wrong) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("known", [(), (20,), LADDER[:-1]])
@pytest.mark.parametrize("share", ["alike", "a fifth of the prompts lose five times as much, the others nothing"])
def test_an_inferior_count_is_given_in_at_most_5_percent_even_where_all_lie_at_the_margin(
    known: tuple[int, ...], share: str
) -> None:
    """400 searches: two binomial errors are 2.2 points."""
    curve, rng = CURVES["all below 50 at the margin"], np.random.default_rng(3)

    found = accuracy(
        curve, NOISES["middle"], prompts=14, seeds=5, replications=400, rng=rng, known=known, share=SHARES[share],
    )  # fmt: skip

    assert found.wrong <= 0.072


def test_counts_are_measured_from_the_largest_down_until_one_is_not_shown() -> None:
    flat = scores(CURVES["a cliff of 2 margins at 12"], NOISES["low"], 14, 5, np.random.default_rng(0))

    runs = {known: search(flat, known) for known in ((), (10, 15), LADDER[:-1])}

    assert {threshold.found for threshold, _ in runs.values()} == {12}
    assert {known: new for known, (_, new) in runs.items()} == {
        (): (40, 35, 30, 25, 20, 15, 12, 10), (10, 15): (40, 35, 30, 25, 20, 12), LADDER[:-1]: (),
    }  # fmt: skip


def test_a_search_that_is_stopped_anywhere_goes_on_to_the_same_answer() -> None:
    rng = np.random.default_rng(5)
    for curve in list(CURVES.values())[::3]:
        made = scores(curve, NOISES["middle"], 14, 5, rng)
        whole, measured = search(made)
        for stop in range(0, len(measured) + 1, 3):
            assert search(made, measured[:stop]) == (whole, measured[stop:])


def test_a_verdict_takes_the_mean_and_the_share_that_may_lose() -> None:
    differences = [-0.5, 0.2, -0.9, -0.1, 0.4, -0.3, -0.6, 0.0, -0.2]
    low, high = SignFlips(9).interval(np.array(differences), 0.9)

    lenient, strict = judged({40: differences}, may_lose=0.3), judged({40: differences})

    about: Any = pytest.approx
    assert lenient.curve == (
        ThresholdPoint(
            count=40, mean=about(np.mean(differences)), low=about(float(low)), high=about(float(high)), losing=0,
            may_lose=about(1 - 0.05 ** (1 / 9)), mean_margin=about(-float(low)), margin=about(0.9), prompts=9, seeds=2,
            verdict="not inferior",
        ),
    )  # fmt: skip
    assert (strict.curve[0].verdict, strict.curve[0].margin) == ("inconclusive", None)
    assert threshold_sentence(strict).endswith(
        "the mean is within the margin, and 5 more prompts would show that at most 20% lose more, if none of them does."
    )
    assert judged({40: differences}, may_lose=0.3, margin=0.89).curve[0].verdict == "inconclusive"
    assert (prompts_needed(0.2), prompts_needed(0.3), prompts_needed(0.9)) == (14, 9, 5)


def test_the_answer_at_every_margin_is_told() -> None:
    threshold = judged({10: BAD, 20: UNSURE, 40: GOOD})

    assert [count for count, _ in threshold.answers] == [40, 20, 10]
    margins = [margin for _, margin in threshold.answers]
    assert margins == [pytest.approx(0.1), pytest.approx(3.0), pytest.approx(3.1)]
    assert answers_sentence(threshold) == "By margin: 40 from 0.1 on, 20 from 3 on, 10 from 3.1 on."
    for count, margin in threshold.answers:
        assert judged({10: BAD, 20: UNSURE, 40: GOOD}, margin=margin + 1e-9).found == count


def test_a_further_look_is_held_to_its_part_of_the_5_percent_or_to_an_e_value() -> None:
    losses = [-0.95, -0.9, -0.8, -0.95, *[-0.85] * 10]
    first, spending, e_value, spent = (
        judged({40: losses}, looks=looks)
        for looks in (
            Looks().at(14),
            Looks(max_prompts=30).at(14),
            Looks().at(9).at(14),
            Looks(prompts=(9, 30), max_prompts=30).at(31),
        )
    )

    assert first.curve[0].low > spending.curve[0].low > e_value.curve[0].low > spent.curve[0].low == -np.inf
    assert (first.interval_name, e_value.interval_name) == ("90% interval", "interval by e-values")
    assert [one.curve[0].verdict for one in (first, spending, e_value, spent)] == [
        "not inferior", "not inferior", "not inferior", "inconclusive",
    ]  # fmt: skip
    assert spent.curve[0].margin is None
    assert "Look 2 at this threshold, at 9, 14 prompts" in threshold_sentence(e_value)


def test_inconclusive_counts_as_not_shown() -> None:
    assert judged({40: UNSURE}).curve[0].verdict == "inconclusive"
    assert judged({40: UNSURE}).settled == judged({40: BAD}).settled is True
    assert judged({40: GOOD}).next_count == 20


def test_where_lower_is_better_the_same_differences_turned_round_give_the_same() -> None:
    higher = judged({10: BAD, 20: UNSURE, 40: GOOD})
    lower = judged(
        {count: [-value for value in values] for count, values in ((10, BAD), (20, UNSURE), (40, GOOD))}, better="lower"
    )

    assert [point.verdict for point in lower.curve] == [point.verdict for point in higher.curve]
    assert [point.verdict for point in lower.curve] == ["inferior", "inconclusive", "not inferior"]
    assert (lower.found, lower.not_shown, lower.settled, lower.answers) == (40, 20, True, higher.answers)


def test_where_nothing_is_shown_the_answer_is_the_reference() -> None:
    threshold = judged({20: BAD, 40: UNSURE})

    assert (threshold.found, threshold.not_shown, threshold.settled) == (50, 40, True)
    assert threshold_sentence(threshold).startswith(
        "No step count below 50 is shown not inferior to 50 steps in clip_score, by a margin of 1. 40 is inconclusive ("
    )


def test_the_sentence_states_the_answer_its_evidence_and_the_count_below() -> None:
    assert threshold_sentence(judged({10: GOOD, 20: GOOD, 40: GOOD})) == (
        "10 is the smallest step count shown not inferior to 50 steps in clip_score, by a margin of 1, with all counts "
        "above it: +0.0107 on average (90% interval −0.0286 to +0.0500; 14 prompts, 2 seeds); 0 of 14 prompts lose "
        "more than the margin, so that up to 19% of all may. The ladder has no smaller count."
    )
    assert "20 is inferior (−3.01, 90% interval" in threshold_sentence(judged({20: BAD, 40: GOOD}))
    assert threshold_sentence(judged({40: GOOD})).endswith("Not settled: 20 would be measured next.")


def test_counts_that_are_out_of_order_are_reported_and_not_relied_on() -> None:
    threshold = judged({10: GOOD, 20: BAD, 40: GOOD})

    assert (threshold.found, threshold.out_of_order, threshold.settled) == (40, (10,), True)
    assert "Out of order: 10 would be shown too, below 20, which is not" in threshold_sentence(threshold)


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        ([5, 10], "--ladder: lacks the reference 50; add 50 to it, or give --reference one of its counts"),
        ([5, 50, 60], "--ladder: 60 is above the reference 50; leave it out, or give --reference 60"),
        ([50], "--ladder: must be whole numbers above 0, at least one below the reference 50"),
        ([0, 50], "--ladder: must be whole numbers above 0, at least one below the reference 50"),
    ],
)
def test_a_ladder_that_cannot_be_searched_is_refused(ladder: list[int], message: str) -> None:
    with pytest.raises(CogxError, match=f"^{message}$"):
        check_ladder(ladder, 50, "--ladder")


def test_a_ladder_may_come_in_any_order() -> None:
    assert check_ladder([50, 5, 10, 5], 50, "--ladder") == (5, 10, 50)


def test_less_than_five_prompts_are_refused() -> None:
    with pytest.raises(CogxError, match="^20 steps: nothing can be concluded from less than 5 prompts"):
        judged({20: [0.1] * 4})
