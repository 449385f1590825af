"""The spread between seeds: against closed forms and simulation, and in a report, where no seed is a treatment."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from cogx_runs.analysis.effects import effects
from cogx_runs.analysis.interactions import interactions
from cogx_runs.analysis.intervals import Sample
from cogx_runs.analysis.seeds import SeedSpread, seed_spreads
from cogx_runs.analysis.wording import seed_sentences, yardstick
from cogx_runs.errors import CogxError
from cogx_runs.report.cells import cells_of
from cogx_runs.report.content import Content, Experiment, content_of
from cogx_runs.report.page import Media, render_page
from tests.support.frames import frame_of, run
from tests.support.tracked_runs import tracked_in

SCORES = {"fox": (20.0, 21.0, 25.0), "owl": (30.0, 30.5, 31.0), "yak": (26.0, 26.0, 26.0)}


def of_seeds(scores: Mapping[str, Sequence[float]], **given: Any) -> list[dict[str, Any]]:
    return [
        run(prompt_name=prompt, seed=seed, clip_score=score, **given)
        for prompt, values in scores.items()
        for seed, score in enumerate(values)
    ]


def spread_of(rows: Sequence[Mapping[str, Any]]) -> SeedSpread:
    (found,) = seed_spreads(frame_of(rows), ["clip_score"])
    return found


def report_on(rows: Sequence[Mapping[str, Any]], *axes: str) -> Content:
    runs = frame_of(rows)
    return content_of("id", [Experiment("exp", "", tuple(cells_of(tracked_in(runs))[0]), 0, axes, runs)], {}, {}, [])


def test_the_spread_is_that_of_the_seeds_of_a_prompt_with_an_interval_over_prompts() -> None:
    found = spread_of(of_seeds(SCORES))

    plain = [float(np.std(values, ddof=1)) for values in SCORES.values()]
    deviations = [value * 2 / np.sqrt(np.pi) for value in plain]  # by c4 of three
    low, high = Sample.of(deviations).interval(0.95)
    assert low < 0
    assert (found.prompts, found.seeds, found.settings, found.cells, found.degenerate) == (3, 3, 1, 9, 0)
    assert (found.deviation, found.low, found.high) == pytest.approx((np.mean(deviations), 0, high))
    assert [one.difference for one in found.by_prompt] == pytest.approx([10 / 3, 2 / 3, 0])
    assert found.difference == pytest.approx(4 / 3)
    assert [(one.prompt, one.lowest, one.highest) for one in found.by_prompt] == [
        ("fox", 20, 25), ("owl", 30, 31), ("yak", 26, 26),
    ]  # fmt: skip
    within = np.mean(np.square(plain))
    between = np.var([np.mean(values) for values in SCORES.values()], ddof=1) - within / 3
    assert found.between_prompts == pytest.approx(np.sqrt(between))
    assert found.share_of_prompts == pytest.approx(between / (between + within))
    assert found.share_low is not None
    assert found.share_high is not None
    assert found.share_of_prompts is not None
    assert found.share_low < found.share_of_prompts < found.share_high


def test_the_parts_of_the_variance_are_right_on_average() -> None:
    rng = np.random.default_rng(1)
    rows = []
    for setting in range(40):
        levels = rng.normal(30, 2, 9)
        scores = {f"p{place}": rng.normal(level, 1, 2).tolist() for place, level in enumerate(levels)}
        rows += of_seeds(scores, guidance_scale=float(setting))

    found = spread_of(rows)

    assert found.between_prompts == pytest.approx(2, rel=0.1)  # twice the estimate's own standard error
    assert found.share_of_prompts == pytest.approx(4 / 5, rel=0.05)


def test_prompts_and_settings_with_one_seed_are_left_out_and_settings_are_averaged() -> None:
    rows = [
        *of_seeds({"fox": (20.0, 22.0), "owl": (30.0,)}),
        *of_seeds({"fox": (10.0, 16.0)}, guidance_scale=12.0),
        *of_seeds({"fox": (99.0,)}, guidance_scale=3.0),
    ]

    found = spread_of(rows)

    assert (found.prompts, found.settings, found.cells) == (1, 2, 4)
    c4 = np.sqrt(2 / np.pi)
    assert (found.difference, found.deviation) == (4.0, pytest.approx(np.mean([2, 6]) / np.sqrt(2) / c4))
    assert (found.low, found.between_prompts, found.share_of_prompts) == (None, None, None)
    assert seed_spreads(frame_of(of_seeds({"fox": (1.0,), "owl": (2.0,)})), ["clip_score"]) == []
    assert seed_sentences(found) == [
        "Between the seeds of a prompt the CLIP score has a standard deviation of 3.54 (1 prompt, 2 seeds, "
        "averaged over 2 settings); two of them differ by 4.00.",
    ]


def test_models_have_spreads_of_their_own_and_degenerate_videos_count() -> None:
    rows = [*of_seeds(SCORES), *of_seeds({"fox": (1.0, 9.0)}, model="5b", model_revision="other")]
    rows[0]["tags.cogx.degenerate"] = "noise"

    small, large = sorted(seed_spreads(frame_of(rows), ["clip_score"]), key=lambda one: one.kind)

    assert [(one.kind, one.prompts, one.degenerate) for one in (small, large)] == [
        ("model 2b", 3, 1),
        ("model 5b", 1, 0),
    ]
    assert seed_sentences(small)[-1] == "Degenerate: 1 of 9 videos. They count like any other."
    assert yardstick(large) == (
        "Two seeds of one prompt differ by 8.00 in CLIP score (model 5b) on average at the baseline (1 prompt, "
        "2 seeds)."
    )


def test_no_seed_has_an_effect() -> None:
    frame = frame_of(of_seeds(SCORES))

    for refused in (
        lambda: effects(frame, ["seed"], ["clip_score"], {"seed": 0}),
        lambda: interactions(frame, "guidance_scale", "seed", "clip_score", {"seed": 0}),
    ):
        with pytest.raises(
            CogxError, match="seed: is a random draw, so that none is better than another; `seed_spreads`"
        ):
            refused()


def test_a_report_shows_the_spread_of_seeds_and_corrects_the_other_axes_for_theirs_alone() -> None:
    rows = [
        row
        for guidance, lift in ((6.0, 0.0), (12.0, 1.0))
        for row in of_seeds({p: [v + lift + n for v in values] for n, (p, values) in enumerate(SCORES.items())},
                            guidance_scale=guidance)
    ]  # fmt: skip

    content = report_on(rows, "seed", "guidance_scale")
    alone = report_on([row for row in rows if row["params.seed"] == "0"], "guidance_scale")
    page = render_page(content, Media({}, 1.0, True))

    (section,) = content.sections
    by_axis = {found.grid.axis: found for found in section.grids}
    seeds = by_axis["seed"]
    assert (seeds.effects, [one.metric for one in seeds.spreads]) == ((), ["clip_score"])
    assert {effect.axis for effect in section.comparisons.effects} == {"guidance_scale"}
    assert [one.comparisons for one in section.comparisons.effects] == [1]
    assert section.comparisons.interactions == ()
    assert seeds.said.answers[0].startswith(
        "Between the seeds of a prompt the CLIP score has a standard deviation of 1.18 "
    )
    assert "data-spreads" in page
    assert content.overview.yardsticks == ()
    assert alone.overview.yardsticks == ()
    steps = [row | {"params.num_inference_steps": "10", "tags.cogx.signature": f"s{n}"} for n, row in enumerate(rows)]
    both = report_on([*rows, *steps], "seed", "guidance_scale", "num_inference_steps")
    assert {place.ranked.axis for place in both.overview.ranking} == {"guidance_scale", "num_inference_steps"}
    (two,) = both.overview.yardsticks
    assert yardstick(two) in render_page(both, Media({}, 1.0, True))
    assert (two.difference, two.settings, two.cells) == (pytest.approx(4 / 3), 1, 9)
