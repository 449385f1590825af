"""Verdicts: with their intervals, corrected for all comparisons, and held to their error rates in simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cogx_runs.analysis.intervals import Sample, mean_intervals
from cogx_runs.analysis.verdict import judge, more_prompts
from cogx_runs.analysis.wording import sentence
from tests.support.studies import SCORES, clip_effects, study


@pytest.mark.parametrize("seed", range(40))
def test_verdicts_never_contradict_their_intervals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    means, counts = rng.normal(0, 0.8, 6), rng.integers(1, 12, 6)
    differences = [rng.normal(mean, 0.7, count) for mean, count in zip(means, counts, strict=True)]

    for found in judge(differences, [0.6, None, 0.6, 0.6, None, 2.0], "higher"):
        if found.verdict_low is None or found.verdict_high is None:
            assert (found.verdict, found.prompts) == ("one prompt", 1)
            continue
        without_zero = found.verdict_low > 0 or found.verdict_high < 0
        if found.verdict == "equivalent":
            assert found.margin is not None
            assert -found.margin < found.verdict_low < found.verdict_high < found.margin
        else:
            assert without_zero == (found.verdict in {"better", "worse"})
            assert found.verdict != "better" or found.verdict_low > 0
            assert found.verdict != "worse" or found.verdict_high < 0


def test_holm_corrects_all_comparisons_of_a_metric() -> None:
    strong, weak = np.array(SCORES), np.array(SCORES) - 0.5
    alone = judge([weak], [None], "higher")[0]
    together = judge([strong, weak, np.array([1.0])], [None] * 3, "higher")
    crowded = judge([weak, *[np.array([-1.0, 1.0, 0.1])] * 5], [None] * 6, "higher")[0]

    assert [found.verdict for found in together] == ["better", "better", "one prompt"]
    assert together[0].adjusted_p == pytest.approx(2 * together[0].p)  # type: ignore[operator]
    assert (together[0].verdict_confidence, together[1].verdict_confidence) == pytest.approx((0.975, 0.95))
    assert alone.verdict == "better"
    assert (crowded.verdict, crowded.low) == ("inconclusive", alone.low)
    assert crowded.adjusted_p == pytest.approx(6 * crowded.p)  # type: ignore[operator]


def test_after_the_first_step_that_fails_the_intervals_are_at_its_level() -> None:
    unit = (np.array(SCORES) - np.mean(SCORES)) / np.std(SCORES, ddof=1)
    means = stats.t.isf(np.array([0.03, 0.04]) / 2, 8) / 3

    found = judge([unit + mean for mean in means], [None, None])

    assert [one.p for one in found] == pytest.approx([0.03, 0.04])
    assert [(one.verdict, one.alpha) for one in found] == [("inconclusive", 0.025)] * 2
    assert all(one.verdict_low < 0 < one.low for one in found if one.verdict_low is not None and one.low is not None)


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)

    found = judge([rng.normal(mean, 1, 9) for mean in np.linspace(0, 1.5, 7)], [1.0] * 7)

    expected = multipletests([one.p for one in found], method="holm")[1]
    assert [one.adjusted_p for one in found] == pytest.approx(expected.tolist())


def test_an_interval_at_nine_prompts_covers_95_percent() -> None:
    """40,000 replications: two binomial errors are 0.22 points. What it covers elsewhere is in docs/statistics.md."""
    rng = np.random.default_rng(9)
    kinds = {
        "normal": rng.normal(size=(40_000, 9)),
        "heavy tails": rng.standard_t(3, size=(40_000, 9)),
        "two kinds of prompts": rng.normal(0, 0.5, (40_000, 9)) + 2 * (rng.random((40_000, 9)) < 0.5) - 1,
    }
    covered = {}
    for name, values in kinds.items():
        low, high = mean_intervals(values, 0.95)
        covered[name] = float(((low <= 0) & (high >= 0)).mean())

    assert covered["normal"] == pytest.approx(0.95, abs=0.0025)
    assert {name: share for name, share in covered.items() if not 0.94 <= share <= 0.9625} == {}
    row = kinds["normal"][0]
    assert Sample.of(row).interval(0.95) == pytest.approx([end[0] for end in mean_intervals(row[None], 0.95)])


def test_at_most_5_percent_of_families_without_effect_have_a_false_verdict() -> None:
    """Six values against one baseline, nine prompts, 2,000 families: two binomial errors are 1 point."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(2000, 7, 9))
    false, uncorrected = 0, 0
    for family in scores:
        found = judge(list(family[1:] - family[0]), [None] * 6, "higher")
        false += any(one.verdict != "inconclusive" for one in found)
        uncorrected += any(one.p is not None and one.p <= 0.05 for one in found)

    assert false / 2000 <= 0.05
    assert uncorrected / 2000 > 0.10


def test_at_most_5_percent_of_changes_as_large_as_the_margin_are_called_equivalent() -> None:
    rng = np.random.default_rng(2)
    found = [judge([values], [1.0])[0].verdict for values in rng.normal(1.0, 0.4, (3000, 9))]

    assert 0.03 < found.count("equivalent") / 3000 <= 0.055


@pytest.mark.parametrize(("mean", "margin", "wanted"), [(0.75, None, "higher"), (0.1, 0.9, "equivalent")])
def test_the_stated_number_of_new_prompts_alone_settles_it_in_80_percent(
    mean: float, margin: float | None, wanted: str
) -> None:
    """4,000 replications: two binomial errors are 1.3 points; the next whole prompt may add a few."""
    pilot = np.array([-1.0, 0.0, 1.0, 0.0, 0.0])
    pilot = pilot / pilot.std(ddof=1) + mean
    (judged,) = judge([pilot], [margin])
    assert judged.verdict == "inconclusive"

    more = more_prompts(judged, pilot)

    assert more is not None
    rng = np.random.default_rng(3)
    settled = [judge([values], [margin])[0].verdict for values in rng.normal(mean, 1, (4000, more))]
    share = settled.count(wanted) / 4000  # type: ignore[arg-type]
    assert 0.785 <= share <= 0.84
    fewer = [judge([values], [margin])[0].verdict for values in rng.normal(mean, 1, (4000, more - 2))]
    assert fewer.count(wanted) / 4000 < 0.8  # type: ignore[arg-type]


def test_a_hopeless_comparison_names_no_number() -> None:
    (effect,) = clip_effects(study([1.0, -1.0, 1.001, -1.0]), margins={"clip_score": None})

    assert (effect.verdict, effect.more_prompts) == ("inconclusive", None)
    assert "not even 1000 prompts are likely to settle it" in sentence(effect)
