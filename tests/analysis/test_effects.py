"""Effects: pairs, means and intervals, by properties and closed forms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cogx_runs.analysis.effects import Margin, contrasts, effects, effects_frame
from cogx_runs.analysis.frame import load_runs
from cogx_runs.analysis.wording import sentence, uncompared_sentence
from cogx_runs.errors import CogxError
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import COST_AXES, SIGNATURE
from tests.support.frames import frame_of, run
from tests.support.runs import SMALL, make_run
from tests.support.studies import PROMPTS, SCORES, clip_effects, study


def test_an_effect_is_the_exact_sign_flip_test_over_prompts_with_t_beside_it() -> None:
    (effect,) = clip_effects(study(), margins={"clip_score": None})

    student = stats.ttest_1samp(SCORES, 0)
    low, high = student.confidence_interval(0.95)
    flipped = stats.permutation_test((SCORES,), np.mean, permutation_type="samples")
    assert (effect.mean, effect.t_low, effect.t_high) == pytest.approx((np.mean(SCORES), low, high))
    assert effect.t_p == pytest.approx(student.pvalue)
    assert effect.adjusted_p == effect.p == pytest.approx(flipped.pvalue)
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
    (effect,) = clip_effects(study([0.0] * 14))

    assert (effect.mean, effect.low, effect.high, effect.effect_size) == (0, 0, 0, None)
    assert effect.verdict == "equivalent"
    (few,) = clip_effects(study([0.0] * 9))
    assert (few.verdict, few.missing_prompts) == ("inconclusive", 5)
    (inconclusive,) = clip_effects(study([0.0] * 9), margins={"clip_score": None})
    assert (inconclusive.verdict, inconclusive.more_prompts) == ("inconclusive", None)
    assert "is on average the same as at 6 (the same difference in each" in sentence(inconclusive)


def test_the_same_difference_in_every_prompt_has_no_effect_size() -> None:
    (effect,) = clip_effects(study([-2.0] * 9))

    assert (effect.mean, effect.low, effect.high, effect.effect_size, effect.p) == (-2, -2, -2, None, 2 / 2**9)
    assert effect.verdict == "worse"


def test_one_prompt_has_no_interval_and_the_sentence_notes_it() -> None:
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
    with pytest.raises(CogxError, match="model_revision: runs that differ in it are not compared"):
        effects(frame_of(rows), ["model_revision"])
    with pytest.raises(CogxError, match="did you mean 'guidance_scale'"):
        effects(frame_of(rows), ["guidance"])
    with pytest.raises(CogxError, match="no finished run at its baseline, 7; name one of 6.0, 12.0"):
        clip_effects(rows, baselines={"guidance_scale": 7})


def test_models_are_paired_along_the_model_whatever_follows_from_it() -> None:
    of_5b: dict[str, Any] = {"model": "5b", "model_revision": "8fdc5281", "dtype": "bfloat16", "scheduler": "dpm"}
    rows = [
        run(prompt_name=f"p{n}", guidance_scale=guidance, clip_score=30.0 + n + better, **given)
        for n in range(6)
        for guidance in (6.0, 12.0)
        for given, better in (({}, 0.0), (of_5b, 2.0 + n / 10))
    ]
    other_clip = [row | {"params.clip_model": "ViT-L-14:openai"} for row in rows if row["params.model"] == "5b"]

    (found,) = effects(frame_of(rows), ["model"], ["clip_score"])
    (guidance, _) = effects(frame_of(rows), ["guidance_scale"], ["clip_score"], apart=True)

    assert (found.value, found.prompts, found.settings, found.verdict) == ("5b", 6, 2, "better")
    assert found.mean == pytest.approx(2.25)
    assert guidance.kind == "model 2b"
    of_2b = [row for row in rows if row["params.model"] == "2b"]
    assert effects(frame_of(of_2b + other_clip), ["model"], ["clip_score"]) == []


def test_times_are_paired_on_one_machine_and_alone() -> None:
    def timed(prompt: str, guidance: float, seconds: float, device: str = "A chip", **tags: str) -> dict[str, Any]:
        named = {"cogx.env.device_name": device, **{f"cogx.{name}": value for name, value in tags.items()}}
        return run(named, prompt_name=prompt, guidance_scale=guidance, wall_time_s=seconds, clip_score=seconds)

    rows = [timed(prompt, guidance, 10 * guidance) for prompt in "abcfgh" for guidance in (6.0, 12.0)]
    rows += [timed("d", 6.0, 1.0), timed("d", 12.0, 2.0, device="Another chip")]
    rows += [timed("e", 6.0, 1.0), timed("e", 12.0, 2.0, beside="another sweep")]

    clip, time = effects(frame_of(rows), ["guidance_scale"], ["clip_score", "wall_time_s"])

    assert (clip.prompts, clip.left_out, clip.across_devices) == (8, 0, 1)
    assert (time.prompts, time.left_out, time.mean, time.verdict) == (6, 2, 60.0, "worse")
    assert "1 pair of two devices each" in sentence(clip)
    assert time.margin == pytest.approx(3.0)
    assert sentence(time).endswith("2 of 8 pairs lost: 1 another device or placement, 1 timed beside other work.")
    (refused,) = effects(frame_of([*rows[:4], *rows[12:]]), ["guidance_scale"], ["wall_time_s"])
    assert (refused.prompts, refused.verdict) == (2, "refused")


def test_frames_a_second_are_an_axis_of_the_file_alone() -> None:
    rows = [
        run(prompt_name=prompt, fps=fps, file_size_bytes=100.0 * fps, clip_score=30.0)
        for prompt in "abcdefghijklmno"
        for fps in (8, 16)
    ]

    clip, size = effects(frame_of(rows), ["fps"], ["clip_score", "file_size_bytes"])

    assert (clip.verdict, clip.mean, clip.pairs) == ("equivalent", 0.0, 15)
    assert (size.verdict, size.mean) == ("higher", 800.0)


def test_runs_of_the_store_give_their_effects(project: Path) -> None:
    store = RunStore()
    for n, prompt in enumerate(("panda", "boat")):
        spec = SMALL.replace(prompt_name=prompt, prompt=f"A {prompt}.", axes=("guidance_scale",))
        make_run(store, spec, metrics={"clip_score": 30.0})
        make_run(store, spec.replace(guidance_scale=12.0), metrics={"clip_score": 33.0 + n, "wall_time_s": 20.0})
        make_run(store, spec.replace(sweep="again"), metrics={"clip_score": 1.0}, tags={"cogx.reused_from": "a run"})

    found = effects(load_runs(), ["guidance_scale"])

    assert [(one.metric, one.mean, one.prompts, one.pairs, one.verdict) for one in found] == [
        ("clip_score", 3.5, 2, 2, "inconclusive"),
        ("wall_time_s", 10.0, 2, 2, "inconclusive"),
        ("file_size_bytes", 0.0, 2, 2, "inconclusive"),
    ]


def test_effects_as_a_frame_have_a_row_each() -> None:
    found = clip_effects(study())

    frame = effects_frame(found)

    assert frame[["axis", "value", "verdict", "prompts"]].values.tolist() == [["guidance_scale", 12.0, "better", 9]]
    assert effects_frame([]).columns.tolist() == frame.columns.tolist()


def test_values_of_several_definitions_are_not_averaged_and_their_pairs_are_told() -> None:
    meant = [{"tags.cogx.metrics": f'{{"clip_score": "{version}"}}'} for version in (1, 2)]
    rows = study(SCORES)
    halves = [row | meant[place >= 8] for place, row in enumerate(rows)]
    mixed = [row | meant[place in {1, 3, 5}] for place, row in enumerate(rows)]
    apart = [row | meant[place % 2] for place, row in enumerate(rows)]

    with pytest.raises(CogxError, match=r"clip_score over guidance_scale: values of 2 definitions \(1; 2\) are not"):
        clip_effects(halves)
    first, second = clip_effects(halves, apart=True)
    assert (first.prompts, second.prompts) == (4, 5)
    assert (first.kind, second.kind) == ("definition 1", "definition 2")
    (left,) = clip_effects(mixed, apart=True)
    assert (left.prompts, left.lost, left.verdict) == (6, (("another definition", 3),), "refused")
    assert clip_effects(apart, apart=True) == []
    one, other = contrasts(frame_of(apart), ["guidance_scale"], ["clip_score"], apart=True)
    assert other.pairs.lost == one.pairs.lost == (("another definition", 9),)
    assert uncompared_sentence(one) == (
        "At guidance_scale 12 (definition 1) no CLIP score is compared with that at 6: 9 of 9 pairs lost: 9 another "
        "definition."
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "FAILED"}, "failed"),
        ({"status": "RUNNING"}, "not finished"),
        ({"metrics.clip_score": None}, "not measured"),
        ({"params.clip_model": "ViT-L-14:openai"}, "another CLIP"),
    ],
)
def test_lost_pairs_are_counted_by_reason_and_refuse_the_verdict_where_a_third_is_gone(
    change: dict[str, Any], reason: str
) -> None:
    rows = study([-2.0, *[-2.0 - n / 10 for n in range(8)]])

    (some,) = clip_effects([row | change if place in {1, 3} else row for place, row in enumerate(rows)])
    (third,) = clip_effects([row | change if place in {1, 3, 5} else row for place, row in enumerate(rows)])

    assert (some.prompts, some.lost, some.verdict) == (7, ((reason, 2),), "worse")
    assert (third.prompts, third.lost, third.verdict) == (6, ((reason, 3),), "refused")
    assert f"3 of 9 pairs lost: 3 {reason}." in sentence(third)


def test_the_time_of_encoding_a_text_is_in_no_comparison() -> None:
    rows = [
        run(prompt_name=prompt, guidance_scale=guidance, wall_time_s=20.0 + paid, encode_text_s=paid)
        for prompt in PROMPTS[:9]
        for guidance, paid in ((6.0, 5.0), (12.0, 0.0))
    ]

    (time,) = effects(frame_of(rows), ["guidance_scale"], ["wall_time_s"])

    assert (time.mean, time.baseline_mean, time.verdict) == (0.0, 20.0, "inconclusive")


def test_what_each_prompt_does_has_an_interval_over_its_seeds() -> None:
    rows = [
        row for seed, lift in enumerate((0.0, 0.1, 0.5)) for row in study([n - 4 + lift for n in range(9)], seed=seed)
    ]

    (effect,) = clip_effects(rows)

    low, high = stats.ttest_1samp([-4.0, -3.9, -3.5], 0).confidence_interval(0.95)
    first = effect.by_prompt[0]
    assert (first.prompt, first.mean, first.low, first.high, first.seeds) == (
        "prompt_0", pytest.approx(-3.8), pytest.approx(low), pytest.approx(high), 3,
    )  # fmt: skip
    assert [one.mean for one in effect.by_prompt] == pytest.approx([n - 3.8 for n in range(9)])
    assert (effect.losing, effect.median) == (3, pytest.approx(0.2))
    share = stats.binomtest(3, 9).proportion_ci(method="exact")
    assert (effect.losing_low, effect.losing_high) == pytest.approx((share.low, share.high))
    assert "3 of 9 prompts lose more than 1.00 (95% interval of all such prompts 7% to 70%)" in sentence(effect)


def test_margins_are_absolute_or_of_the_baseline() -> None:
    (loose,) = clip_effects(study([*SCORES, *SCORES]), margins={"clip_score": Margin(0.1, relative=True)})

    assert loose.margin == pytest.approx(0.1 * np.mean([25 + 2 * n for n in range(18)]))
    assert loose.verdict == "equivalent"


def test_a_margin_is_written_as_a_number_or_a_share() -> None:
    assert (Margin.parse("0.5"), Margin.parse(" 5% ")) == (Margin(0.5), Margin(0.05, relative=True))
    for wrong in ("", "%", "0", "-1", "nan", "inf", "5 %5"):
        with pytest.raises(CogxError, match="write a number above 0 in the metric's unit, or a share such as 5%"):
            Margin.parse(wrong)


def test_a_placement_that_is_swept_is_compared_in_time_and_apart_from_other_runs() -> None:
    rows = [
        run(tags, prompt_name=prompt, placement=placement, denoise_s=seconds + number, clip_score=25.0 + number)
        for number, prompt in enumerate(PROMPTS)
        for placement, seconds, tags in (
            ("resident", 10.0, {COST_AXES: "placement", SIGNATURE: f"{prompt} resident"}),
            ("group", 13.0, {COST_AXES: "placement", SIGNATURE: f"{prompt} group"}),
            ("group", 60.0, {}),
        )
    ]

    found = effects(frame_of(rows), ["placement"], ["denoise_s", "clip_score"], baselines={"placement": "resident"})

    assert [(one.metric, one.value, one.mean, one.pairs) for one in found] == [
        ("denoise_s", "group", 3.0, len(PROMPTS)),
        ("clip_score", "group", 0.0, len(PROMPTS)),
    ]
