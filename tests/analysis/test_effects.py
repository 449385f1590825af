"""Effects, their intervals and verdicts: by properties, closed forms, and simulation at nine prompts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cogx_runs.analysis.correlations import rank_correlations
from cogx_runs.analysis.effects import Effect, Margin, effects, effects_frame, rank_parameters
from cogx_runs.analysis.frame import load_runs
from cogx_runs.analysis.interactions import interactions
from cogx_runs.analysis.intervals import Sample, mean_intervals
from cogx_runs.analysis.kinds import kinds_of
from cogx_runs.analysis.timing import fit_time, tokens_of
from cogx_runs.analysis.verdict import judge, more_prompts
from cogx_runs.analysis.wording import interaction_sentence, sentence
from cogx_runs.errors import CogxError
from cogx_runs.tracking.store import RunStore
from tests.support.frames import frame_of, run
from tests.support.runs import SMALL, make_run

PROMPTS = tuple(f"prompt_{number}" for number in range(9))
SCORES = (0.5, 1.5, 1.0, 2.0, 0.0, 1.2, 0.8, 1.1, 0.9)


def study(differences: Sequence[float] = SCORES, **given: Any) -> list[dict[str, Any]]:
    """Guidance 6 and 12, with those differences of the CLIP score."""
    rows = []
    for prompt, difference in zip(PROMPTS, differences, strict=False):
        base = 25 + len(rows)
        rows.append(run(prompt_name=prompt, guidance_scale=6.0, clip_score=base, **given))
        rows.append(run(prompt_name=prompt, guidance_scale=12.0, clip_score=base + difference, **given))
    return rows


def clip_effects(rows: Sequence[Mapping[str, Any]], **given: Any) -> list[Effect]:
    return effects(frame_of(rows), ["guidance_scale"], ["clip_score"], **given)


def test_an_effect_is_the_paired_t_test_over_prompts() -> None:
    (effect,) = clip_effects(study(), margins={"clip_score": None})

    expected = stats.ttest_1samp(SCORES, 0)
    low, high = expected.confidence_interval(0.95)
    assert (effect.mean, effect.low, effect.high) == pytest.approx((np.mean(SCORES), low, high))
    assert effect.adjusted_p == effect.p == pytest.approx(expected.pvalue)
    assert (effect.verdict_low, effect.verdict_high) == (effect.low, effect.high)
    correction = 1 - 3 / (4 * 8 - 1)
    assert effect.effect_size == pytest.approx(np.mean(SCORES) / np.std(SCORES, ddof=1) * correction, rel=2e-3)
    assert (effect.value, effect.baseline, effect.prompts, effect.pairs, effect.seeds) == (12.0, 6.0, 9, 9, 1)
    assert (effect.verdict, effect.more_prompts) == ("better", None)


def test_swapping_value_and_baseline_flips_the_sign() -> None:
    (there,) = clip_effects(study())
    (back,) = clip_effects(study(), baselines={"guidance_scale": 12.0})

    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))  # type: ignore[operator]
    assert back.effect_size == pytest.approx(-there.effect_size)  # type: ignore[operator]
    assert (back.value, back.baseline, back.p) == (6.0, 12.0, pytest.approx(there.p))


def test_schedulers_are_compared_like_any_axis() -> None:
    rows = [
        run(prompt_name=prompt, scheduler=scheduler, clip_score=25 + number + extra)
        for number, prompt in enumerate(PROMPTS)
        for scheduler, extra in (("ddim", 0.0), ("ddim_matched", -1.5), ("dpm", 2.0))
    ]

    found = effects(frame_of(rows), ["scheduler"], ["clip_score"], baselines={"scheduler": "ddim"})

    assert [(one.value, one.mean, one.verdict) for one in found] == [
        ("ddim_matched", -1.5, "worse"), ("dpm", 2.0, "better"),
    ]  # fmt: skip
    with pytest.raises(CogxError, match="name one of ddim, ddim_matched, dpm as its baseline"):
        effects(frame_of(rows), ["scheduler"], ["clip_score"])


def test_the_order_of_rows_does_not_matter() -> None:
    rows = study() + study(seed=1)
    shuffled = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]

    assert clip_effects(rows) == clip_effects(shuffled)


def test_the_same_scores_are_no_difference() -> None:
    (effect,) = clip_effects(study([0.0] * 9))

    assert (effect.mean, effect.low, effect.high, effect.effect_size) == (0, 0, 0, None)
    assert effect.verdict == "equivalent"
    (undecided,) = clip_effects(study([0.0] * 9), margins={"clip_score": None})
    assert (undecided.verdict, undecided.more_prompts) == ("undecided", None)
    assert "is on average the same as at 6 (the same difference in each" in sentence(undecided)


def test_the_same_difference_in_every_prompt_has_no_effect_size() -> None:
    (effect,) = clip_effects(study([-2.0] * 9))

    assert (effect.mean, effect.low, effect.high, effect.effect_size, effect.p) == (-2, -2, -2, None, 0)
    assert effect.verdict == "worse"


def test_one_prompt_has_no_interval_and_says_so() -> None:
    (effect,) = clip_effects(study([1.5]) + study([2.5], seed=1))

    assert (effect.mean, effect.prompts, effect.pairs, effect.seeds) == (2.0, 1, 2, 2)
    assert (effect.low, effect.high, effect.p, effect.adjusted_p, effect.effect_size) == (None,) * 5
    assert (effect.verdict, effect.more_prompts) == ("one prompt", None)
    assert sentence(effect) == (
        "At guidance_scale 12 the CLIP score is on average 2.00 higher than at 6 (1 prompt, 2 seeds). "
        "One prompt: no interval can be given, and no verdict."
    )


def test_seeds_are_averaged_within_a_prompt_and_are_no_prompts() -> None:
    rows = study([1.0, 3.0]) + study([2.0, 6.0], seed=1) + study([3.0], seed=2)

    (effect,) = clip_effects(rows)

    assert (effect.prompts, effect.pairs, effect.seeds) == (2, 5, 3)
    assert effect.mean == pytest.approx((2.0 + 4.5) / 2)


def test_cells_without_their_pair_are_left_out() -> None:
    rows = study()
    missing = [row for place, row in enumerate(rows) if place not in {0, 3}]
    failed = [{**row, "status": "FAILED"} if place == 4 else row for place, row in enumerate(missing)]

    (effect,) = clip_effects(failed)

    assert effect.prompts == 6
    assert effect.mean == pytest.approx(np.mean(np.delete(SCORES, [0, 1, 3])))
    assert clip_effects(rows[:1] + rows[3:4]) == []
    assert effects(frame_of(study(num_inference_steps=10)), ["num_inference_steps"], ["clip_score"]) == []


def test_a_reused_cell_counts_once_and_as_it_was_generated() -> None:
    rows = study()
    reused = [{**row, "metrics.clip_score": 0.0, "tags.cogx.reused_from": "another", "run_id": "0"} for row in rows]

    assert clip_effects(reused + rows) == clip_effects(rows)
    assert clip_effects([*rows[1:], {**rows[0], "tags.cogx.reused_from": "another"}]) == clip_effects(rows)


def test_models_and_clips_and_sizes_are_neither_paired_nor_averaged() -> None:
    rows = study()
    others: dict[str, Any] = {"model": "5b", "model_revision": "8fdc5281"}
    half = [row for row in study(**others) if row["params.guidance_scale"] == "12.0"]

    assert clip_effects(rows + half) == clip_effects(rows)
    for other in (others, {"clip_model": "ViT-L-14:openai"}, {"height": 240}, {"dtype": "bfloat16"}):
        with pytest.raises(CogxError, match="are not averaged; load those of one"):
            clip_effects(rows + study(**other))
    with pytest.raises(CogxError, match="model: runs that differ in it are not compared"):
        effects(frame_of(rows), ["model"])
    with pytest.raises(CogxError, match="did you mean 'guidance_scale'"):
        effects(frame_of(rows), ["guidance"])
    with pytest.raises(CogxError, match="no finished run at its baseline, 7; name one of 6.0, 12.0"):
        clip_effects(rows, baselines={"guidance_scale": 7})


def test_times_are_paired_on_one_machine_and_alone() -> None:
    def timed(prompt: str, guidance: float, seconds: float, device: str = "A chip", **tags: str) -> dict[str, Any]:
        named = {"cogx.env.device_name": device, **{f"cogx.{name}": value for name, value in tags.items()}}
        return run(named, prompt_name=prompt, guidance_scale=guidance, wall_time_s=seconds, clip_score=seconds)

    rows = [timed(prompt, guidance, 10 * guidance) for prompt in "abc" for guidance in (6.0, 12.0)]
    rows += [timed("d", 6.0, 1.0), timed("d", 12.0, 2.0, device="Another chip")]
    rows += [timed("e", 6.0, 1.0), timed("e", 12.0, 2.0, beside="another sweep")]

    clip, time = effects(frame_of(rows), ["guidance_scale"], ["clip_score", "wall_time_s"])

    assert (clip.prompts, clip.left_out) == (5, 0)
    assert (time.prompts, time.left_out, time.mean, time.verdict) == (3, 2, 60.0, "worse")
    assert time.margin == pytest.approx(3.0)
    assert sentence(time).endswith("2 pairs left out: not measured alike.")


def test_frames_a_second_are_an_axis_of_the_file_alone() -> None:
    rows = [
        run(prompt_name=prompt, fps=fps, file_size_bytes=100.0 * fps, clip_score=30.0)
        for prompt in "abc"
        for fps in (8, 16)
    ]

    clip, size = effects(frame_of(rows), ["fps"], ["clip_score", "file_size_bytes"])

    assert (clip.verdict, clip.mean, clip.pairs) == ("equivalent", 0.0, 3)
    assert (size.verdict, size.mean) == ("higher", 800.0)


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
    assert (crowded.verdict, crowded.low) == ("undecided", alone.low)
    assert crowded.adjusted_p == pytest.approx(6 * crowded.p)  # type: ignore[operator]


def test_after_the_first_step_that_fails_the_intervals_are_at_its_level() -> None:
    unit = (np.array(SCORES) - np.mean(SCORES)) / np.std(SCORES, ddof=1)
    means = stats.t.isf(np.array([0.03, 0.04]) / 2, 8) / 3

    found = judge([unit + mean for mean in means], [None, None])

    assert [one.p for one in found] == pytest.approx([0.03, 0.04])
    assert [(one.verdict, one.alpha) for one in found] == [("undecided", 0.025)] * 2
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
        false += any(one.verdict != "undecided" for one in found)
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
    assert judged.verdict == "undecided"

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

    assert (effect.verdict, effect.more_prompts) == ("undecided", None)
    assert "not even 1000 prompts are likely to settle it" in sentence(effect)


def test_sentences_say_what_was_found_and_no_more() -> None:
    (better,) = clip_effects(study())
    (undecided,) = clip_effects(study([4.0, -1.0, 2.0]))
    (small,) = clip_effects(study([0.2, 0.21, 0.2, 0.19]))

    assert sentence(better) == (
        "At guidance_scale 12 the CLIP score is on average 1.00 higher than at 6 (95% interval +0.56 to +1.44; "
        "9 prompts, 1 seed): better."
    )
    assert sentence(undecided).endswith(
        f"cannot be told apart; about {undecided.more_prompts} more prompts, judged alone, would settle it with 80% "
        "power, if the mean and spread seen are the true ones."
    )
    assert "is on average 0.20 higher than at 6 (90% interval +0.19 to +0.21; 4 prompts, 1 seed)" in sentence(small)
    assert sentence(small).endswith(": equivalent within 1.00; it does differ, by less than that.")


def test_degenerate_videos_count_and_are_said_to() -> None:
    noise = {"cogx.degenerate": "noise"}
    rows = [row | {"tags.cogx.degenerate": None} for row in study([-9.0, -8.0, 1.0])]
    rows[1] |= {f"tags.{name}": value for name, value in noise.items()}
    rows[3] |= {f"tags.{name}": value for name, value in noise.items()}
    timed = [row | {"metrics.wall_time_s": 1.0 + place % 2} for place, row in enumerate(rows)]

    (effect,) = clip_effects(rows)
    (time,) = effects(frame_of(timed), ["guidance_scale"], ["wall_time_s"])
    (none,) = clip_effects(study([-9.0, -8.0, 1.0]))

    assert (effect.mean, effect.degenerate, effect.degenerate_baseline) == (pytest.approx(-16 / 3), 2, 0)
    assert effect == replace(none, degenerate=2)
    assert (
        sentence(effect) == f"{sentence(none)} Degenerate: 2 of 3 videos at 12, 0 of 3 at 6. They count like any other."
    )
    assert (time.degenerate, "egenerate" in sentence(time)) == (2, False)


def test_a_sentence_writes_a_metric_as_its_card_does_and_never_a_change_as_zeros() -> None:
    def said(metric: str, changes: Sequence[float], base: float = 1.0) -> str:
        rows = [
            run(prompt_name=prompt, guidance_scale=guidance, **{metric: base + guidance / 12 * change})
            for prompt, change in zip(PROMPTS, changes, strict=False)
            for guidance in (0.0, 12.0)
        ]
        (one,) = effects(frame_of(rows), ["guidance_scale"], [metric], {"guidance_scale": 0.0})
        return sentence(one)

    assert said("file_size_bytes", [1500.0] * 3, 1e5) == (
        "At guidance_scale 12 the file size is on average 1.5 kB higher than at 0 (the same difference in each; "
        "3 prompts, 1 seed): equivalent within 5.0 kB; it does differ, by less than that."
    )
    assert "95% interval +0.28 dB to +2.12 dB" in said("psnr", [0.83, 1.2, 1.57], 4.0)
    assert "the motion is 0.10 % higher than at 0 (1 prompt" in said("motion_magnitude", [0.1])
    assert ", 1 seed): equivalent within 0.0500 s; it does" in said("wall_time_s", [0.01, 0.011, 0.012])
    assert "the PSNR is 0.00125 dB lower than" in said("psnr", [-0.00125])
    assert "the PSNR is the same to the digits shown as at 0" in said("psnr", [1e-9])
    assert "the unheard_of is 0.50 higher than" in said("unheard_of", [0.5])


def test_runs_of_the_store_give_their_effects(project: Path) -> None:
    store = RunStore()
    for n, prompt in enumerate(("panda", "boat")):
        spec = replace(SMALL, prompt_name=prompt, prompt=f"A {prompt}.", axes=("guidance_scale",))
        make_run(store, spec, metrics={"clip_score": 30.0})
        make_run(store, replace(spec, guidance_scale=12.0), metrics={"clip_score": 33.0 + n, "wall_time_s": 20.0})
        make_run(store, replace(spec, sweep="again"), metrics={"clip_score": 1.0}, tags={"cogx.reused_from": "a run"})

    found = effects(load_runs(), ["guidance_scale"])

    assert [(one.metric, one.mean, one.prompts, one.pairs, one.verdict) for one in found] == [
        ("clip_score", 3.5, 2, 2, "undecided"),
        ("wall_time_s", 10.0, 2, 2, "worse"),
        ("file_size_bytes", 0.0, 2, 2, "equivalent"),
    ]


def test_effects_as_a_frame_have_a_row_each() -> None:
    found = clip_effects(study())

    frame = effects_frame(found)

    assert frame.loc[0, ["axis", "value", "verdict", "prompts"]].tolist() == ["guidance_scale", 12.0, "better", 9]
    assert effects_frame([]).columns.tolist() == frame.columns.tolist()


def test_values_of_several_definitions_are_not_averaged() -> None:
    half = len(PROMPTS) // 2
    meant = [{"cogx.metrics": f'{{"clip_score": "{version}"}}'} for version in (1, 2)]
    rows = [*study()[: 2 * half], *study()[2 * half :]]
    rows = [{**row, "tags.cogx.metrics": meant[place >= 2 * half]["cogx.metrics"]} for place, row in enumerate(rows)]

    with pytest.raises(CogxError, match=r"clip_score over guidance_scale: values of 2 definitions \(1; 2\) are not"):
        clip_effects(rows)

    first, second = effects(frame_of(rows), ["guidance_scale"], ["clip_score"], apart=True)
    assert (first.prompts, second.prompts) == (half, len(PROMPTS) - half)
    assert (first.kind, second.kind) == ("definition 1", "definition 2")


def grid(metric: str, of: Any, prompts: Sequence[str] = PROMPTS[:4], **given: Any) -> list[dict[str, Any]]:
    return [
        run(prompt_name=prompt, num_inference_steps=steps, guidance_scale=guidance, **{metric: of(n, steps, guidance)},
            **given)
        for n, prompt in enumerate(prompts) for steps in (10, 50) for guidance in (1.0, 6.0)
    ]  # fmt: skip


def test_parameters_are_ranked_by_their_largest_change() -> None:
    rows = grid("clip_score", lambda n, steps, guidance: 20 + n + 0.01 * steps + guidance)

    found = effects(frame_of(rows), ["num_inference_steps", "guidance_scale"], ["clip_score"])

    assert [(one.aspect, one.rank, one.axis) for one in rank_parameters(found)] == [
        ("quality", 1, "guidance_scale"),
        ("quality", 2, "num_inference_steps"),
    ]
    assert [effect.settings for effect in found] == [2, 2]
    assert [effect.mean for effect in found] == pytest.approx([-0.4, -5.0])


def test_an_interaction_is_a_difference_of_differences() -> None:
    none = frame_of(grid("clip_score", lambda n, steps, guidance: 20 + n + steps + guidance))
    some = frame_of(grid("clip_score", lambda n, steps, guidance: 20 + (1 + n) * steps * guidance))

    (without,) = interactions(none, "num_inference_steps", "guidance_scale", "clip_score")
    (found,) = interactions(some, "num_inference_steps", "guidance_scale", "clip_score")

    assert (without.mean, without.verdict) == (0.0, "equivalent")
    expected = [(1 + n) * (10 - 50) * (1 - 6) for n in range(4)]
    low, high = stats.ttest_1samp(expected, 0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(expected), low, high))
    assert (found.prompts, found.squares, found.verdict) == (4, 4, "higher")
    assert interaction_sentence(found).startswith(
        "The change of the CLIP score from num_inference_steps 50 to 10 is 500.00 higher at guidance_scale 1 "
        "than at 6 ("
    )
    assert interaction_sentence(found).endswith("; 4 prompts): higher.")
    assert "is the same at guidance_scale 1 as at 6" in interaction_sentence(without)
    turned = interactions(some, "guidance_scale", "num_inference_steps", "clip_score")[0]
    assert (turned.mean, turned.p) == pytest.approx((found.mean, found.p))


def test_rank_correlation_is_within_prompts_where_they_have_the_cells() -> None:
    rows = grid("clip_score", lambda n, steps, guidance: 100 * n + steps + guidance)
    sized = [{**row, "metrics.file_size_bytes": 1e4 - row["metrics.clip_score"] % 100} for row in rows]

    (found,) = rank_correlations(frame_of(sized), ["clip_score", "file_size_bytes"])

    assert (found.kind, found.rho, found.prompts, found.cells) == ("within prompts", pytest.approx(-1), 4, 16)
    assert (found.low, found.high) == pytest.approx((-1, -1))
    one_each = [
        run(prompt_name=prompt, clip_score=score, file_size_bytes=size)
        for prompt, score, size in zip(PROMPTS, SCORES, range(9), strict=True)
    ]
    (across,) = rank_correlations(frame_of(one_each), ["clip_score"])
    assert across.kind == "across prompts"
    assert across.rho == pytest.approx(stats.spearmanr(SCORES, range(9)).statistic)
    assert across.low is not None
    assert across.low < across.rho < across.high  # type: ignore[operator]
    (one_prompt,) = rank_correlations(frame_of(sized[:4]), ["clip_score"])
    assert (one_prompt.low, one_prompt.prompts) == (None, 1)


def test_time_is_fitted_to_the_tokens_that_go_through() -> None:
    assert (tokens_of(49, 480, 720, 226), tokens_of(25, 480, 720, 226)) == (17_776, 9_676)

    def seconds(n: int, steps: int, guidance: float) -> float:
        return 2.0 + 0.5 * steps * (1 if guidance <= 1 else 2) * 17_776 / 1e6

    rows = grid("denoise_s", seconds)
    beside = [{**row, "tags.cogx.beside": "another sweep", "metrics.denoise_s": 1e3} for row in rows]

    fit = fit_time(frame_of(rows + beside))

    assert (fit.fixed_s, fit.s_per_million_tokens, fit.r_squared) == pytest.approx((2.0, 0.5, 1.0))
    assert (fit.cells, fit.prompts, fit.token_counts, fit.device, fit.left_out) == (16, 4, 1, "A chip", 0)
    with pytest.raises(CogxError, match="1 different amounts of work; a line needs"):
        fit_time(frame_of([row for row in rows if row["params.num_inference_steps"] == "10"][::2]))


def test_margins_are_absolute_or_of_the_baseline() -> None:
    (loose,) = clip_effects(study(), margins={"clip_score": Margin(0.1, relative=True)})

    assert loose.margin == pytest.approx(0.1 * np.mean([25 + 2 * n for n in range(9)]))
    assert loose.verdict == "equivalent"


def test_runs_of_several_models_have_effects_of_their_own_in_one_family() -> None:
    small = study([1.0, 1.2, 0.9])
    large = study([-2.0, -1.5, -1.0], model="5b", model_revision="other", dtype="bfloat16")
    frame = frame_of(small + large)

    with pytest.raises(CogxError, match="runs of 2 kinds of model_revision"):
        effects(frame, ["guidance_scale"], ["clip_score"])
    found = effects(frame, ["guidance_scale"], ["clip_score"], apart=True)

    assert [(one.kind, one.mean, one.comparisons) for one in found] == [
        ("model 2b", pytest.approx(3.1 / 3), 2),
        ("model 5b", pytest.approx(-1.5), 2),
    ]
    assert [(one.rank, one.effect.kind) for one in rank_parameters(found)] == [(1, "model 2b"), (1, "model 5b")]
    assert sentence(found[1]).startswith("At guidance_scale 12 (model 5b) the CLIP score is on average 1.50 lower than")


def test_kinds_are_named_by_what_tells_them_apart_and_clips_only_where_they_gave_a_score() -> None:
    rows = [run(), run(height=240, width=360), run(clip_model="ViT-L-14:openai"), run(model_revision="later")]
    frame = frame_of([{**row, "metrics.clip_score": 1.0, "metrics.wall_time_s": 1.0} for row in rows])

    assert [kind for kind, _ in kinds_of(frame, ["wall_time_s"])] == [
        "model 2b@1137dacf, height 240", "model 2b@1137dacf, height 480", "model 2b@later, height 480",
    ]  # fmt: skip
    assert len(kinds_of(frame, ["clip_score"])) == 4
    assert [(kind, len(runs)) for kind, runs in kinds_of(frame[:1], ["clip_score"])] == [("", 1)]
    assert [kind for kind, _ in kinds_of(frame[:2], ["wall_time_s"], ["height", "width"])] == [""]


def test_runs_without_a_metric_are_no_kind_of_their_own_and_a_comparison_says_against_what() -> None:
    def of(identity: str, **given: Any) -> dict[str, Any]:
        return run({"cogx.metrics": json.dumps({"psnr": identity})}, psnr=30.0, clip_score=25.0, **given)

    rows = [of("1 against num_inference_steps=50"), run(seed=1, clip_score=25.0)]
    more = [*rows, of("1 against num_inference_steps=30", seed=2), of("2", seed=3)]
    both = frame_of(rows)

    assert [(kind, len(runs)) for kind, runs in kinds_of(both, ["psnr"])] == [("", 1)]
    assert [(kind, len(runs)) for kind, runs in kinds_of(both[:1], ["psnr"], among=both)] == [("", 1)]
    assert kinds_of(both[1:], ["psnr"], among=both) == []
    assert [(kind, len(runs)) for kind, runs in kinds_of(both, ["clip_score"])] == [("", 2)]
    assert [kind for kind, _ in kinds_of(both, ["clip_score", "psnr"])] == [""]
    assert [kind for kind, _ in kinds_of(frame_of(more), ["psnr"])] == [
        "psnr 1 against num_inference_steps=30", "psnr 1 against num_inference_steps=50", "definition 2",
    ]  # fmt: skip


def test_runs_whose_definition_is_unknown_are_a_kind() -> None:
    rows = [run({"cogx.metrics": '{"clip_score": "1"}'}, clip_score=25.0), run(seed=1, clip_score=25.0)]

    assert [kind for kind, _ in kinds_of(frame_of(rows), ["clip_score"])] == ["definition 1", "definition unknown"]


def test_a_margin_is_written_as_a_number_or_a_share() -> None:
    assert (Margin.parse("0.5"), Margin.parse(" 5% ")) == (Margin(0.5), Margin(0.05, relative=True))
    for wrong in ("", "%", "0", "-1", "nan", "inf", "5 %5"):
        with pytest.raises(CogxError, match="write a number above 0 in the metric's unit, or a share such as 5%"):
            Margin.parse(wrong)
