"""What the page compares: effects, rankings, interactions and models apart."""

import re
from html import unescape
from typing import Any

import pytest

from cogx_runs.analysis.effects import Margin
from cogx_runs.report.cells import cells_of
from cogx_runs.report.content import Experiment, content_of
from cogx_runs.report.page import Media, render_page
from tests.support.frames import frame_of, run
from tests.support.reports import page_of, rows_of
from tests.support.tracked_runs import tracked_in


@pytest.fixture(scope="module")
def grid_page() -> str:
    """Of a grid of guidance and steps over eight prompts; guidance 1 costs more of the score at 10 steps."""
    rows = [
        run(
            prompt_name=f"p{n}", guidance_scale=guidance, num_inference_steps=steps,
            clip_score=20 + n / 10 - (guidance == 1) * (2 + n / 10 + (steps == 10)) - 0.1 * (steps == 10),
            wall_time_s=steps * guidance, denoise_s=1 + steps * 17_776 / 1e6 * (2 if guidance > 1 else 1),
            file_size_bytes=1000 * guidance - steps + n,
        )
        for n in range(8) for guidance in (1.0, 6.0) for steps in (10, 50)
    ]  # fmt: skip
    return page_of(rows, "guidance_scale", "num_inference_steps")


def test_the_page_has_a_row_an_effect_with_its_interval_and_verdict(grid_page: str) -> None:
    rows = rows_of(grid_page, 'effects="s0g0"')
    assert rows[0] == [
        "CLIP score", "1", "worse", "20.30", "−2.85", "−3.07 to −2.63", "±1.00", "−10.33", "0.008", "8 × 1"
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["CLIP score", "wall time", "file size"]
    assert [row[2] for row in rows_of(grid_page, 'effects="s0g1"')] == [
        "worse",
        "betterexploratory",
        "higherexploratory",
    ]
    assert (
        grid_page.count("Change of CLIP score against guidance_scale 6: 1 −2.85, worse; intervals are in the table.")
        == 2
    )
    assert "<li>At guidance_scale 1 the CLIP score is on average 2.85 lower than at 6 (95% interval" in grid_page


def test_the_page_ranks_parameters_and_tells_interactions_file_size_and_time(grid_page: str) -> None:
    assert rows_of(grid_page, "ranking") == [
        ["quality (CLIP score)", "1", "guidance_scale", "−2.85", "1, against 6", "worse"],
        ["quality (CLIP score)", "2", "num_inference_steps", "−0.60", "10, against 50", "worse"],
        ["time (wall time)", "1", "guidance_scale", "−150.0 s", "1, against 6", "better"],
        ["time (wall time)", "2", "num_inference_steps", "−140.0 s", "10, against 50", "better"],
    ]
    assert rows_of(grid_page, 'interactions="s0"')[0] == [
        "CLIP score", "lowerexploratory", "guidance_scale 6 → 1", "num_inference_steps 10, not 50", "−1.00",
        "−1.00 to −1.00", "0.008", "8",
    ]  # fmt: skip
    assert (
        "from guidance_scale 6 to 1 is 1.00 lower at num_inference_steps 10 than at 50 (the same in each;" in grid_page
    )
    assert rows_of(grid_page, "correlations") == [
        ["CLIP score", "+0.60", "+0.60 to +0.60", "within prompts", "8", "32"],
        ["wall time", "+0.60", "+0.60 to +0.60", "within prompts", "8", "32"],
    ]
    assert "denoise_s = 1.0 s + 1 s for every million tokens" in grid_page
    assert "R² 1.000, residuals " in grid_page
    assert "over 32 videos of 8 prompts on A chip, group." in grid_page


def test_what_h264_costs_is_said_and_the_mp4s_score_is_compared_and_repeated_in_no_other_table() -> None:
    page = page_of(
        [
            run(
                prompt_name=f"p{n}", guidance_scale=guidance, seed=seed, clip_score=20.0 + n + seed,
                clip_score_file=19.0 + n + seed - 3 * (guidance == 1), file_size_bytes=1000 + n * guidance + seed,
            )
            for n in range(8) for guidance in (1.0, 6.0) for seed in (1, 2)
        ],
        "guidance_scale", "seed",
    )  # fmt: skip

    assert (
        "In the mp4, which you see, the CLIP score is 2.50 lower than in the frames (mean of 32 videos; furthest 4.00 "
        "lower)." in page
    )
    assert page.count("<dd>21.00 (mp4 −1.00)</dd>") == page.count("<dd>21.00 (mp4 −4.00)</dd>") == 1
    changes = {row[0]: (row[4], row[2]) for row in rows_of(page, "effects")}
    assert changes["CLIP score"][0] == "0.00"
    assert changes["CLIP score of the mp4"] == ("−3.00", "worseexploratory")
    assert [row[0] for table in ("spreads", "correlations") for row in rows_of(page, table)] == [
        "CLIP score", "file size", "CLIP score",
    ]  # fmt: skip


def test_finals_of_chosen_candidates_are_shown_and_in_no_comparison() -> None:
    rows = [
        run(num_inference_steps=25, seed=seed, prompt_name=name, clip_score=30.0 + seed)
        for name in ("panda", "cat")
        for seed in (1, 2)
    ]
    finals = [
        run(
            {"cogx.promoted_from": row["run_id"], "cogx.promoted_rank": "1 of 2", "cogx.promoted_by": "clip_score"},
            num_inference_steps=50, seed=2, prompt_name=name, clip_score=40.0,
        )
        for row, name in zip(rows[1::2], ("panda", "cat"), strict=True)
    ]  # fmt: skip

    page = unescape(page_of([*rows, *finals], "seed", "num_inference_steps"))

    assert "2 videos were promoted and are in no comparison" in page
    assert "on average 8.00 higher" not in page
    assert "standard deviation of 0.89 on average" in page


def test_a_metric_that_is_the_same_in_every_video_is_named_as_without_information() -> None:
    rows = [
        run(guidance_scale=value, prompt_name=name, clip_score=value, clip_iqa_quality=0.5)
        for name in ("panda", "cat")
        for value in (1.0, 6.0)
    ]

    page = page_of(rows, "guidance_scale")

    assert "CLIP-IQA quality never varies here; ignore it." in page


def test_a_time_that_does_not_grow_with_the_work_has_no_equation() -> None:
    rows = [run(num_inference_steps=steps, denoise_s=1000.0 - steps, clip_score=30.0) for steps in (10, 25, 50)]

    page = page_of(rows, "num_inference_steps")

    assert "denoise_s: over 3 videos it does not grow with the work" in page
    assert "for every million tokens" not in page


def test_parameters_of_two_models_in_two_sweeps_are_ranked_apart() -> None:
    small = [run(clip_score=30.0), run(clip_score=27.0, guidance_scale=1.0)]
    large: Any = {"model": "5b", "model_revision": "other"}
    rows = [run(clip_score=30.0, **large), run(clip_score=31.0, num_inference_steps=10, **large)]
    experiments = []
    for name, axis, found in (("small", "guidance_scale", small), ("large", "num_inference_steps", rows)):
        runs = frame_of(found)
        experiments.append(Experiment(name, "", tuple(cells_of(tracked_in(runs))[0]), 0, (axis,), runs))

    ranking = content_of("id", experiments, {}, {}, []).overview.ranking

    assert [(one.ranked.axis, one.ranked.rank, one.ranked.effect.kind, one.experiment) for one in ranking] == [
        ("guidance_scale", None, "model 2b", "small"),
        ("num_inference_steps", None, "model 5b", "large"),
    ]


def test_a_metric_that_only_one_of_two_sweeps_has_is_compared_there_and_needs_no_kind() -> None:
    meant = {"cogx.metrics": '{"sharpness": "1"}'}
    seeds = [run(clip_score=30.0, file_size_bytes=100.0, seed=seed) for seed in (1, 2)]
    steps = [
        run(meant, clip_score=29.0, file_size_bytes=90.0 + count, num_inference_steps=count, sharpness=20.0 + count)
        for count in (10, 30, 50)
    ]
    experiments = []
    for name, axis, found in (("seeds", "seed", seeds), ("steps", "num_inference_steps", steps)):
        runs = frame_of(found)
        experiments.append(Experiment(name, "", tuple(cells_of(tracked_in(runs))[0]), 0, (axis,), runs))

    content = content_of("id", experiments, {}, {}, [])

    sharpness = [one for one in content.sections[1].comparisons.effects if one.metric == "sharpness"]
    assert [(one.value, one.mean, one.kind) for one in sharpness] == [(10, -40.0, ""), (30, -20.0, "")]
    assert "file size" in render_page(content, Media({}, 40.0, True))


def test_baselines_and_margins_that_are_asked_for_hold_for_the_effects() -> None:
    words = [
        run(prompt_name=f"p{n}", scheduler=name, clip_score=20 + n + (name == "dpm") * (0.5 + n / 100))
        for n in range(15) for name in ("ddim", "dpm")
    ]  # fmt: skip

    plain = page_of(words, "scheduler", scheduler="ddim")
    strict = page_of(words, "scheduler", margins={"clip_score": Margin(0.01, relative=True)}, scheduler="dpm")

    assert rows_of(plain, "effects")[0][1:7] == ["dpm", "equivalent", "27.00", "+0.57", "+0.54 to +0.60", "±1.00"]
    assert rows_of(strict, "effects")[0][1:7] == ["ddim", "worse", "27.57", "−0.57", "−0.60 to −0.54", "±0.28"]
    assert "data-ranking" not in plain


def test_what_inconclusive_means_is_said_once_where_a_verdict_is_and_nowhere_else() -> None:
    prompts = [(name, (30.0 + place % 3 - 1, 30.0)) for place, name in enumerate("abcdef")]
    rows = [
        run(clip_score=score, guidance_scale=guidance, prompt_name=name)
        for name, scores in prompts
        for guidance, score in zip((1.0, 6.0), scores, strict=True)
    ]
    said = "Inconclusive: neither a change nor its absence is shown"

    assert page_of(rows, "guidance_scale").count(said) == 1
    assert said not in page_of(rows[:2], "guidance_scale")


def test_a_section_says_first_which_value_is_best_and_which_prompt_loses_most() -> None:
    scores = {("dog", 5): 10.0, ("dog", 50): 30.0, ("cat", 5): 29.0, ("cat", 50): 31.0}
    rows = [
        run(prompt_name=name, num_inference_steps=steps, clip_score=score) for (name, steps), score in scores.items()
    ]

    page = page_of(rows, "num_inference_steps")

    (headline,) = re.findall(r'<ul class="answers">\s*<li>(.*?)</li>', page)
    assert headline == (
        "num_inference_steps: CLIP score is best at 50 (30.50) and worst at 5, 11.00 lower (dog: 20.00 lower). "
        "2 prompts: too few for a verdict, which takes 6."
    )


def test_a_report_says_what_the_previews_of_a_promotion_are_worth() -> None:
    rows: list[dict[str, Any]] = []
    for place, prompt in enumerate("abcd"):
        for seed, lead in enumerate((1.0, 0.0, -1.0)):
            for steps, score, seconds in ((25, 20 + place + lead, 1.0), (50, 22 + place + lead / 2, 2.0)):
                made = run(
                    prompt_name=prompt, seed=seed, num_inference_steps=steps, clip_score=score, wall_time_s=seconds
                )
                if steps == 50:
                    lineage = {"from": rows[-1]["run_id"], "by": "clip_score", "rank": f"{seed + 1} of 3"}
                    made |= {f"tags.cogx.promoted_{name}": text for name, text in lineage.items()}
                rows.append(made)

    page = page_of(rows, "seed")

    assert "From 25 to 50 steps, chosen by clip_score" in page
    assert "Of a lead of 1 clip_score at 25 steps 0.50 is left at 50" in page
    assert [row[:2] + row[-1:] for row in rows_of(page, "gains") if row[-1]] == [["25", "4", "most a second"]]
    assert len(rows_of(page, "gains")) == 9
    assert "data-gains" not in page_of([one for one in rows if "tags.cogx.promoted_by" not in one], "seed")
