"""Verdicts: with their intervals, corrected over their family, and held to their error rates in simulation."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from benchmarks.verdict_errors import KINDS, draw_losses, false_reports, judged_often, statistics_of
from cogx_runs.analysis.best import p_of_best
from cogx_runs.analysis.sequential import Looks, e_interval, e_values, levels, strictest
from cogx_runs.analysis.shares import median_interval, prompts_for, share_interval, upper_share
from cogx_runs.analysis.signflips import SignFlips, step_down
from cogx_runs.analysis.verdict import Differences, Judgement, judge, judge_family, more_prompts
from cogx_runs.analysis.wording import looks_sentence, sentence
from tests.support.studies import SCORES, clip_effects, study


def compared(rows: Sequence[np.ndarray], margin: float | None = None) -> list[Differences]:
    names = tuple("abcdefghijklmnopqrstuvwxyz")
    return [Differences(values=row, prompts=names[: len(row)], margin=margin, better="higher") for row in rows]


@pytest.mark.parametrize("family", ["primary", "exploratory"])
def test_verdicts_never_contradict_their_intervals(family: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = [
            rng.normal(mean, 0.7, count)
            for mean, count in zip(rng.normal(0, 0.8, 6), rng.integers(1, 20, 6), strict=True)
        ]

        for found in judge_family(compared(rows, 1.6), family):  # type: ignore[arg-type]
            if found.verdict_low is None or found.verdict_high is None:
                assert found.verdict in {"one prompt", "inconclusive"}
            elif found.verdict == "equivalent":
                assert -1.6 < found.verdict_low < found.verdict_high < 1.6
                assert found.may_change is not None
                assert found.may_change <= 0.2
                assert found.prompts >= 14
            else:
                without_zero = found.verdict_low > 0 or found.verdict_high < 0
                assert without_zero == (found.verdict in {"better", "worse"})
                assert found.verdict != "better" or found.verdict_low > 0


@pytest.mark.parametrize("count", [6, 9, 13])
def test_the_sign_flip_test_and_its_interval_are_exact(count: int) -> None:
    values = np.random.default_rng(count).normal(0.6, 1, count)
    flips = SignFlips(count)

    low, high = flips.interval(values, 0.95)

    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert flips.p_differs(values) == pytest.approx(expected.pvalue)
    inside = [float(flips.p_differs(values - end)) for end in (low + 1e-6, high - 1e-6)]
    outside = [float(flips.p_differs(values - end)) for end in (low - 1e-6, high + 1e-6)]
    assert min(inside) > 0.05 >= max(outside)
    assert flips.p_within(values, 5.0) == pytest.approx(1 / 2**count)
    assert np.isnan(SignFlips(5).interval(values[:5], 0.95)).all()


def test_above_twenty_prompts_signs_are_drawn() -> None:
    values = np.random.default_rng(1).normal(0.3, 1, 18)

    exact, drawn = SignFlips(18), SignFlips(18, exact=0)

    assert float(drawn.p_differs(values)) == pytest.approx(float(exact.p_differs(values)), abs=0.01)
    for end, expected in zip(drawn.interval(values, 0.95), exact.interval(values, 0.95), strict=True):
        assert float(end) == pytest.approx(float(expected), abs=0.02)


def test_what_t_is_blind_to_is_found_by_signs() -> None:
    """Nine of nine prompts fall, two of them far: the study of step counts on the toy."""
    losses = -np.array([0.3, 0.5, 0.6, 0.8, 1.0, 1.1, 1.3, 24.0, 31.0])

    (found,) = judge([losses], [1.0], "higher")

    assert (found.verdict, found.p) == ("worse", 2 / 2**9)
    assert found.t_p is not None
    assert found.t_p > 0.05
    assert (found.losing, found.median) == (4, -1.0)


def test_a_family_is_corrected_by_the_smallest_p_of_the_same_signs_at_least_as_strongly_as_by_holm() -> None:
    rng = np.random.default_rng(3)
    baseline = rng.normal(size=9)
    rows = rng.normal(0.5, 1, (6, 9)) - baseline

    steps = step_down(rows, 0.05, SignFlips(9))

    raw = np.array([step.p for step in steps])
    order = np.argsort(raw)
    holm = np.empty(6)
    holm[order] = np.minimum(np.maximum.accumulate(raw[order] * (6 - np.arange(6))), 1)
    adjusted = np.array([step.adjusted_p for step in steps])
    assert (raw <= adjusted).all()
    assert (adjusted <= holm + 1e-12).all()
    assert (adjusted < holm).any()


def test_equivalence_cannot_be_had_by_luck() -> None:
    def verdict(values: Sequence[float]) -> Judgement:
        return judge([values], [1.0], "higher")[0]

    small = [0.01, -0.01]
    assert [verdict([0.0, 0.0]).verdict, verdict(small * 4).missing_prompts] == ["inconclusive", 6]
    assert (verdict([*small * 6, 0.0]).verdict, verdict(small * 7).verdict) == ("inconclusive", "equivalent")
    assert verdict(small * 7).may_change == pytest.approx(1 - 0.05 ** (1 / 14))
    one_loses = verdict([*small * 8, -1.5])
    one_gains = verdict([*small * 8, 1.5])
    assert (one_loses.verdict, one_loses.losing, one_loses.missing_prompts) == ("inconclusive", 1, 22 - 17)
    assert (one_gains.verdict, one_gains.losing) == ("inconclusive", 0)
    assert (prompts_for(0), prompts_for(1), prompts_for(0, 0.3)) == (14, 22, 9)


@pytest.mark.parametrize("count", [1, 5, 6, 9, 30])
def test_shares_and_medians_have_the_exact_intervals_of_scipy(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    expected = stats.quantile_test(values, q=0.0, p=0.5).confidence_interval(0.95)

    assert (median_interval(values) or (np.nan, np.nan)) == pytest.approx((expected.low, expected.high), nan_ok=True)
    for hits in range(count + 1):
        exact = stats.binomtest(hits, count).proportion_ci(0.95, "exact")
        assert share_interval(hits, count) == pytest.approx((exact.low, exact.high))
        bound = stats.binomtest(hits, count, alternative="less").proportion_ci(0.95, "exact")
        assert float(upper_share(hits, count)) == pytest.approx(bound.high)


def test_exploratory_comparisons_are_corrected_by_their_rate_of_false_discoveries() -> None:
    rng = np.random.default_rng(5)
    rows = [rng.normal(mean, 1, 14) for mean in (0, 0, 1.2, 1.3, 1.4, 0)]

    found = judge_family(compared(rows), "exploratory")

    expected = stats.false_discovery_control([one.p for one in found])
    assert [one.adjusted_p for one in found] == pytest.approx(expected.tolist())
    assert {one.family for one in found} == {"exploratory"}
    assert [one.verdict for one in found].count("better") == 3


def test_at_most_5_percent_of_families_without_effect_have_a_false_verdict() -> None:
    """Six values against one baseline, nine prompts, 1,000 families: two binomial errors are 1.4 points."""
    scores = np.random.default_rng(1).normal(size=(1000, 7, 9))
    false = sum(
        any(step.adjusted_p <= 0.05 for step in step_down(family[1:] - family[0], 0.05, SignFlips(9)))
        for family in scores
    )

    assert 0.03 < false / 1000 <= 0.064


def test_at_most_5_percent_of_reports_without_effect_claim_a_primary_difference() -> None:
    found = false_reports(prompts=9, replications=400, seed=2)

    assert found.primary <= 0.075
    assert found.exploratory <= 0.075
    assert found.as_before > 0.4


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "tenth" not in kind])
def test_false_equivalence_is_at_most_5_percent_where_a_fifth_or_more_lose(kind: str) -> None:
    values = draw_losses(kind, np.random.default_rng(4), (4000, 14))
    found = statistics_of(values, margin=0.5)

    assert found.equivalent.mean() <= 0.055


def test_looks_are_paid_for_where_the_most_prompts_are_fixed() -> None:
    counts = (9, 12, 15, 18, 21, 24, 27, 30)

    spent = levels(counts, 30)
    false = judged_often(counts, max_prompts=30, replications=4000, seed=3)

    assert spent[0] == pytest.approx(0.05 * np.log1p((np.e - 1) * 0.3))
    assert levels((30,), 30) == [pytest.approx(0.05)]
    assert levels((30, 33), 30)[1] == 0
    assert false.naive > 0.10
    assert false.spending <= 0.06
    assert false.e_value <= 0.05


def test_looks_without_a_fixed_number_rest_on_an_e_value() -> None:
    first = Looks().at(9)
    second = first.at(12)
    again = second.at(9)
    fixed = Looks(max_prompts=30).at(9)

    assert [one.rule for one in (first, second, again, fixed)] == ["one look", "e-value", "e-value", "spending"]
    assert (second.prompts, again.prompts, again.place, second.at(12).prompts) == ((9, 12), (9, 12), -2, (9, 12))
    assert fixed.at(12).alpha == pytest.approx(levels((9, 12), 30)[1])
    assert strictest([first, second, fixed]) is second
    assert looks_sentence(first) == ""
    assert "at 9, 12 prompts, and the sweep file has no max_prompts: differences rest on an e-value" in looks_sentence(
        second
    )
    assert looks_sentence(fixed).startswith(
        "Look 1 at the primary metric, at 9 of at most 30 prompts: this look's level is 2.08%"
    )
    values = np.array([1.0, 1.5, 0.5, 1.2, 0.8, 0.9, 1.4, 0.7, 1.1])
    (found,) = judge_family(compared([values]), "primary", second)
    (weak,) = judge_family(compared([values - 0.8]), "primary", second)
    assert (found.verdict, found.rule, weak.verdict) == ("better", "e-value", "inconclusive")
    low, high = e_interval(values, 0.05)
    assert e_values(np.stack([values - low, values - high])) == pytest.approx([20, 20])


def test_the_best_value_is_left_out_of_at_most_5_percent_of_sets() -> None:
    rng = np.random.default_rng(7)
    kept, sizes = [], []
    for scores in rng.normal([0.5, 0.5, 0.4, 0.0, -2.0], 1, (300, 9, 5)):
        p = p_of_best(scores)
        kept.append(p[0] > 0.05)
        sizes.append((p > 0.05).sum())

    assert np.mean(kept) >= 0.95
    assert 2 < np.mean(sizes) < 4.7


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "margin", "wanted"), [(0.75, None, "higher"), (0.1, 1.6, "equivalent")])
def test_the_stated_number_of_new_prompts_alone_settles_it_in_80_percent(
    mean: float, margin: float | None, wanted: str
) -> None:
    """150 replications: two binomial errors are 6.5 points; the next whole prompt may add a few."""
    pilot = np.array([-1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    pilot = pilot / pilot.std(ddof=1) + mean if margin is not None else np.array([-1.0, 0, 1, 0, 0]) * 2**0.5 + mean
    (judged,) = judge([pilot], [margin])
    assert judged.verdict == "inconclusive"

    more = more_prompts(judged, pilot)

    assert more is not None
    rng = np.random.default_rng(3)
    found = [judge([values], [margin])[0].verdict for values in rng.normal(mean, 1, (150, more))]
    assert 0.72 <= found.count(wanted) / 150 <= 0.96  # type: ignore[arg-type]


def test_a_hopeless_comparison_names_no_number() -> None:
    (effect,) = clip_effects(study([1.0, -1.0, 1.001, -1.0, 1.0, -1.0]), margins={"clip_score": None})

    assert (effect.verdict, effect.more_prompts) == ("inconclusive", None)
    assert "Even 1000 prompts would hardly settle it" in sentence(effect)


def test_a_family_too_large_for_its_prompts_finds_nothing_and_has_no_interval_of_its_verdicts() -> None:
    rng = np.random.default_rng(0)
    rows = [np.array(SCORES[:6]) + 1, *rng.normal(size=(9, 6))]

    first = judge_family(compared(rows))[0]

    assert (first.p, first.verdict, first.alpha, first.verdict_low) == (2 / 2**6, "inconclusive", 0.0, None)
    assert first.low is not None
