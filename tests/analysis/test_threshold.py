"""The smallest step count shown not inferior: bisection and verdicts, on simulated curves."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.threshold_accuracy import CURVES, NOISES, Noise, accuracy, scores, search
from cogx_runs.analysis.threshold import LADDER, ThresholdPoint, check_ladder, looks, threshold_sentence
from cogx_runs.errors import CogxError
from tests.support.thresholds import BAD, GOOD, UNSURE, judged


@pytest.mark.parametrize("true", LADDER)
def test_every_threshold_of_the_ladder_is_found_with_four_counts_at_most(true: int) -> None:
    rng = np.random.default_rng(true)

    def cliff(steps: np.ndarray) -> np.ndarray:
        return np.where(steps < true, -2.0, 0.0)

    found = accuracy(cliff, NOISES["low"], prompts=9, seeds=5, replications=25, rng=rng)

    assert (found.right, found.wrong) == (1.0, 0.0)
    assert found.most_new <= 4


@pytest.mark.parametrize("name", [name for name in CURVES if "at the margin" not in name])
def test_curves_of_every_shape_are_searched_right_where_noise_is_small(name: str) -> None:
    rng = np.random.default_rng(1)

    found = accuracy(CURVES[name], Noise(0.002, 0.005), prompts=9, seeds=5, replications=20, rng=rng)

    assert (found.right, found.wrong) == (1.0, 0.0)
    assert found.most_new <= 4


@pytest.mark.parametrize("known", [(), (20,), (10, 25), LADDER[:-1]])
def test_an_inferior_count_is_given_in_at_most_5_percent_even_where_all_lie_at_the_margin(
    known: tuple[int, ...],
) -> None:
    rng = np.random.default_rng(3)

    found = accuracy(
        CURVES["all below 50 at the margin"],
        NOISES["middle"],
        prompts=9,
        seeds=5,
        replications=2000,
        rng=rng,
        known=known,
    )

    assert 0.002 < found.wrong < 0.05


def test_what_is_measured_already_narrows_the_bracket_first() -> None:
    flat = scores(CURVES["a cliff of 2 margins at 12"], NOISES["low"], 9, 5, np.random.default_rng(0))

    runs = {known: search(flat, known) for known in ((), (10, 15), (10, 12), LADDER[:-1])}

    assert {threshold.found for threshold, _ in runs.values()} == {12}
    assert {known: new for known, (_, new) in runs.items()} == {
        (): (15, 8, 12, 10), (10, 15): (12,), (10, 12): (), LADDER[:-1]: (),
    }  # fmt: skip


def test_a_search_that_is_stopped_anywhere_goes_on_to_the_same_answer() -> None:
    rng = np.random.default_rng(5)
    for curve in CURVES.values():
        made = scores(curve, NOISES["middle"], 9, 5, rng)
        whole, measured = search(made)
        for stop in range(len(measured) + 1):
            assert search(made, measured[:stop]) == (whole, measured[stop:])


def test_a_verdict_is_the_one_sided_t_bound_at_the_searchs_level() -> None:
    differences = [-0.5, 0.2, -0.9, -0.1, 0.4, -0.3, -0.6, 0.0, -0.2]

    threshold = judged({20: differences}, LADDER, seeds=5)

    assert threshold.alpha == 0.05 / 4
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.975)
    about: Any = pytest.approx
    assert threshold.curve == (
        ThresholdPoint(
            count=20, mean=about(np.mean(differences)), low=about(low), high=about(high),
            prompts=9, seeds=5, verdict="not inferior",
        ),
    )  # fmt: skip
    at_the_bound = judged({20: differences}, LADDER, margin=-low - 1e-9)
    assert at_the_bound.curve[0].verdict == "inconclusive"
    assert stats.ttest_1samp(differences, low, alternative="greater").pvalue == pytest.approx(0.05 / 4)


def test_inconclusive_counts_as_not_shown() -> None:
    assert judged({20: UNSURE}).curve[0].verdict == "inconclusive"
    assert judged({20: UNSURE}).next_count == judged({20: BAD}).next_count == 40
    assert judged({20: GOOD}).next_count == 10


def test_where_lower_is_better_the_same_differences_turned_round_give_the_same() -> None:
    higher = judged({10: BAD, 20: UNSURE, 40: GOOD})
    lower = judged(
        {count: [-value for value in values] for count, values in ((10, BAD), (20, UNSURE), (40, GOOD))}, better="lower"
    )

    assert [point.verdict for point in lower.curve] == [point.verdict for point in higher.curve]
    assert [point.verdict for point in lower.curve] == ["inferior", "inconclusive", "not inferior"]
    assert (lower.found, lower.not_shown, lower.settled) == (40, 20, True)


def test_where_nothing_is_shown_the_answer_is_the_reference() -> None:
    threshold = judged({20: BAD, 40: UNSURE})

    assert (threshold.found, threshold.not_shown, threshold.settled) == (50, 40, True)
    assert threshold_sentence(threshold) == (
        "No step count below 50 is shown not inferior to 50 steps in clip_score, by a margin of 1. "
        "40 is inconclusive (−0.750, 95% interval −3.47 to +1.97): more prompts may show it not inferior."
    )


def test_the_sentence_says_the_answer_what_it_rests_on_and_what_lies_below() -> None:
    assert threshold_sentence(judged({10: GOOD, 20: GOOD})) == (
        "10 is the smallest step count shown not inferior to 50 steps in clip_score, by a margin of 1: +0.0125 on "
        "average (95% interval −0.123 to +0.148; 4 prompts, 2 seeds). The ladder has no smaller count."
    )
    assert threshold_sentence(judged({10: BAD, 20: GOOD})).endswith(
        "10 is inferior (−3.01, 95% interval −3.15 to −2.88)."
    )
    assert threshold_sentence(judged({20: GOOD})).endswith("Not settled: 10 would be measured next.")


def test_counts_that_are_out_of_order_are_said_and_not_built_upon() -> None:
    threshold = judged({10: GOOD, 20: BAD, 40: GOOD})

    assert (threshold.found, threshold.out_of_order, threshold.settled) == (40, (10,), True)
    assert "Out of order: 10 shown not inferior as well, below 20, which is not" in threshold_sentence(threshold)


def test_bisection_takes_as_many_looks_as_it_says_and_meets_no_more_inferior_counts() -> None:
    for counts in range(1, 13):
        ladder = tuple(range(1, counts + 2))
        looked, met = [], []
        for true in ladder:
            curve = {count: GOOD if count >= true else UNSURE for count in ladder[:-1]}
            for known in [(), *((count,) for count in ladder[:-1])]:
                measured = {count: curve[count] for count in known}
                order = list(known)
                while (following := judged(measured, ladder).next_count) is not None:
                    measured[following] = curve[following]
                    order.append(following)
                looked.append(len(order) - len(known))
                met.append(sum(count < true for count in order))
                assert judged(measured, ladder).found == true
        assert max(looked) <= looks(counts)
        assert max(met) <= looks(counts)


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        ([5, 10], "--ladder: lacks the reference 50; add 50 to it, or give --reference one of its counts"),
        ([5, 50, 60], "--ladder: 60 is above the reference 50; leave it out, or make it that"),
        ([50], "--ladder: must be whole numbers above 0, at least one below the reference 50"),
        ([0, 50], "--ladder: must be whole numbers above 0, at least one below the reference 50"),
    ],
)
def test_a_ladder_that_cannot_be_searched_is_refused(ladder: list[int], message: str) -> None:
    with pytest.raises(CogxError, match=f"^{message}$"):
        check_ladder(ladder, 50, "--ladder")


def test_a_ladder_may_come_in_any_order() -> None:
    assert check_ladder([50, 5, 10, 5], 50, "--ladder") == (5, 10, 50)


def test_one_prompt_is_refused() -> None:
    with pytest.raises(CogxError, match="^20 steps: one prompt has no interval, and nothing can be concluded"):
        judged({20: [0.1]})
