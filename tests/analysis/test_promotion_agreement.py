"""Agreement of a choice at few steps with one at many, comparisons of the winners, and luck."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from cogx_runs.analysis.intervals import Sample
from cogx_runs.analysis.promotion.agreement import Agreement, agreement
from cogx_runs.analysis.promotion.choice import choose
from cogx_runs.analysis.promotion.finals import compare, metric_to_check_by, promoted
from cogx_runs.analysis.promotion.wording import describe_agreement, describe_comparison, describe_no_agreement
from cogx_runs.errors import CogxError
from tests.support.frames import frame_of
from tests.support.promotions import OTHER, TWO, both, row


def agree(scores: Mapping[str, tuple[Sequence[float], Sequence[float | None]]]) -> Agreement:
    found = agreement(frame_of(both(scores)), "clip_score", 25, 50)
    assert found is not None
    return found


def test_the_same_order_agrees_wholly_and_the_reverse_not_at_all() -> None:
    before = [3.0, 1.0, 2.0]
    same = agree({prompt: (before, [10 * score for score in before]) for prompt in "abcd"})
    reverse = agree({prompt: (before, [-score for score in before]) for prompt in "abcd"})

    assert (same.tau, same.hits, same.prompts, same.regret, same.random_regret) == (1, 4, 4, 0, 10)
    assert (same.hit_low, same.hit_high) == pytest.approx((0.025 ** (1 / 4), 1))
    assert (reverse.tau, reverse.tau_low, reverse.tau_high) == (-1, -1, -1)
    assert (reverse.hits, reverse.regret, reverse.random_regret) == (0, 2, 1)
    assert (reverse.hit_low, reverse.hit_high) == pytest.approx((0, 1 - 0.025 ** (1 / 4)))
    assert same.chance == reverse.chance == pytest.approx(1 / 3)


def test_agreement_is_the_mean_over_prompts_with_their_interval() -> None:
    scores: dict[str, tuple[Sequence[float], Sequence[float | None]]] = {
        "a": ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]),
        "b": ([1.0, 2.0, 2.0, 4.0], [5.0, 6.0, 7.0, 8.0]),
        "c": ([1.0, 2.0, 3.0], [0.0, 9.0, 9.0]),
    }

    found = agree(scores)

    taus = [float(stats.kendalltau(*pair).statistic) for pair in scores.values()]
    assert taus == pytest.approx([2 / 3, 5 / np.sqrt(5 * 6), 2 / np.sqrt(2 * 3)])
    assert [prompt.tau for prompt in found.by_prompt] == pytest.approx(taus)
    assert found.tau == pytest.approx(np.mean(taus))
    low, high = Sample.of(taus).interval(0.95)
    assert (found.tau_low, found.tau_high) == pytest.approx((low, min(high, 1)))
    assert [prompt.hit for prompt in found.by_prompt] == [False, True, True]
    assert [prompt.regret for prompt in found.by_prompt] == [1, 0, 0]
    assert [prompt.chance for prompt in found.by_prompt] == pytest.approx([1 / 4, 1 / 4, 2 / 3])
    exact = (stats.beta.ppf(0.025, 2, 2), stats.beta.ppf(0.975, 3, 1))
    assert (found.hits, found.hit_low, found.hit_high) == (2, pytest.approx(exact[0]), pytest.approx(exact[1]))
    assert found.regret_low == 0
    assert describe_agreement(found) == [
        "Agreement of 25 and 50 steps by clip_score: 3 prompts of 3 to 4 candidates.",
        f"Kendall's tau: 0.80 on average (95% interval {low:.3g} to 1; 1 is the same order, 0 is none).",
        "The best at 25 steps is the best at 50 in 2 of 3 (95% interval 9% to 99%; 39% by chance alone).",
        "Choosing at 25 steps loses 0.333 clip_score on average against the best at 50 (95% interval 0 to 1.77); "
        "choosing at random would lose 2.",
        "By a margin of 1 choosing at 25 steps is inconclusive: 0 of 3 prompts lose more, so that up to 63% of all "
        "may; 11 more prompts would show that at most 20% do, if none of them loses more.",
    ]


def test_choosing_early_is_not_inferior_only_where_so_few_prompts_lose_more_than_the_margin_that_a_fifth_does() -> None:
    kept: tuple[Sequence[float], Sequence[float | None]] = ([2.0, 1.0], [5.5, 6.0])
    lost: tuple[Sequence[float], Sequence[float | None]] = ([2.0, 1.0], [4.5, 6.0])

    none, one = (
        agree({f"p{place:02}": pair for place, pair in enumerate([*[kept] * 13, last])}) for last in (kept, lost)
    )

    assert (none.losing, none.margin, none.verdict) == (0, 1.0, "not inferior")
    assert (one.losing, one.regret, one.verdict) == (1, pytest.approx(8 / 14), "inconclusive")
    assert describe_agreement(one)[-1] == (
        "By a margin of 1 choosing at 25 steps is inconclusive: 1 of 14 prompts loses more, so that up to 30% of all "
        "may; 8 more prompts would show that at most 20% do, if none of them loses more."
    )


def test_prompts_with_missing_finals_do_not_count_for_agreement() -> None:
    scores: dict[str, tuple[Sequence[float], Sequence[float | None]]] = {
        "a": ([1.0, 2.0, 3.0], [None, 2.0, 3.0]),
        "b": ([1.0, 1.0], [3.0, 4.0]),
        "c": ([1.0], [1.0]),
    }

    found = agree(scores)

    assert (found.prompts, found.left_out, found.tau, found.tau_prompts) == (1, 1, None, 0)
    assert (found.hits, found.regret, found.regret_low) == (0, 1, None)
    winners = frame_of(both({"a": scores["a"]}))
    assert agreement(winners, "clip_score", 25, 50) is None
    assert "`--top all` runs them" in describe_no_agreement(choose(winners, "clip_score", 50))
    with pytest.raises(CogxError, match="nobody knows which direction is better"):
        agreement(winners.assign(**{"metrics.file_size_bytes": 1.0}), "file_size_bytes", 25, 50)


def test_the_winners_are_compared_by_both_metrics() -> None:
    rows = [
        row(prompt, seed, steps, score + lift, other=10 * seed + lift)
        for prompt in "ab"
        for seed, score in enumerate([1.0, 5.0, 3.0])
        for steps, lift in ((25, 0.0), (50, 2.0 if prompt == "a" else 4.0))
        if steps == 25 or prompt == "a" or seed != 0
    ]
    frame = frame_of(rows)
    choice = choose(frame, "clip_score", 50)

    by = {one.what: (one.prompts, one.mean, one.verdict, one.chose) for one in compare(frame, choice, "clip_score")}
    check = {one.what: (one.prompts, one.mean, one.verdict, one.chose) for one in compare(frame, choice, OTHER)}

    assert by == {
        "change": (2, 3.0, "inconclusive", True),
        "lead": (2, 3.0, "inconclusive", True),
        "final lead": (1, 3.0, "one prompt", True),
    }
    assert check == {
        "change": (2, 3.0, "inconclusive", False),
        "lead": (2, 0.0, "inconclusive", False),
        "final lead": (1, 0.0, "one prompt", False),
    }
    assert metric_to_check_by(frame, choice) == OTHER
    assert metric_to_check_by(frame_of(TWO), choose(frame_of(TWO), "clip_score", 50)) is None
    best = promoted(frame, choice, OTHER)
    assert [(one.prompt, one.preview, one.final, one.final_rank, one.check_final) for one in best] == [
        ("a", 5.0, 7.0, 1, 12.0),
        ("b", 5.0, 9.0, None, 14.0),
    ]
    (change, lead, _), (_, held, _) = compare(frame, choice, "clip_score"), compare(frame, choice, OTHER)
    assert describe_comparison(change, choice) == (
        "By clip_score, which chose: at 50 steps the best are 3 higher than at 25 (no interval; "
        "2 prompts): this tends to be lower than what the steps do, since some of the value at 25 was the luck of "
        "being chosen."
    )
    assert describe_comparison(lead, choice).endswith("they were chosen for it, and some of it may be luck.")
    assert describe_comparison(held, choice) == (
        "By clip_score.other, which did not choose: at 25 steps the best are the same as the mean of the others "
        "(no interval; 2 prompts): inconclusive."
    )


def test_luck_shows_as_a_lead_by_the_chooser_that_neither_the_final_nor_another_metric_has() -> None:
    rng = np.random.default_rng(7)
    rows = [
        row(f"p{prompt}", seed, steps, rng.normal(30, 1), other=rng.normal(30, 1))
        for prompt in range(40)
        for seed in range(5)
        for steps in (25, 50)
    ]
    frame = frame_of(rows)
    choice = choose(frame, "clip_score", 50)

    by = {one.what: one for one in compare(frame, choice, "clip_score")}
    check = {one.what: one for one in compare(frame, choice, OTHER)}
    found = agreement(frame, "clip_score", 25, 50)

    assert (by["lead"].verdict, by["change"].verdict) == ("better", "worse")
    assert [by["final lead"].verdict, check["lead"].verdict, check["final lead"].verdict] == ["inconclusive"] * 3
    assert found is not None
    assert found.hit_low < found.chance < found.hit_high
    assert found.tau_low < 0 < found.tau_high  # type: ignore[operator]
