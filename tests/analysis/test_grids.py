"""Grids: their rows, values and baselines, and what is said of an axis."""

import json
import re
from dataclasses import replace
from html import unescape
from typing import Any

from cogx_runs.analysis.grids import Grid, grids_of
from cogx_runs.definitions.spec import UNSIGNED_DEFAULTS
from cogx_runs.report.cells import cells_of
from cogx_runs.report.comparisons import Comparisons, gather, judge_gathered
from cogx_runs.report.content import content_of
from cogx_runs.report.sentences import about_grid, warnings_about
from tests.support.frames import frame_of, run
from tests.support.reports import cell, experiment_of, grid_of, page_of
from tests.support.tracked_runs import tracked_in


def compared(rows: list[dict[str, Any]], axis: str = "guidance_scale") -> tuple[Grid, Comparisons]:
    """The grid along an axis of runs as the store gives them, and what they are compared by."""
    runs = frame_of(rows)
    (grid,) = grids_of("exp", cells_of(tracked_in(runs))[0], [axis], {})
    (found,) = judge_gathered([gather(runs, [grid], runs)], {})
    return grid, found


def said_of(rows: list[dict[str, Any]], axis: str = "guidance_scale") -> list[str]:
    grid, found = compared(rows, axis)
    said = about_grid(grid, found, dict(found.refused).get(axis))
    return [*said.answers, *said.details]


def test_a_grid_has_a_row_a_prompt_and_the_values_by_size_and_compares_with_the_default() -> None:
    grid = grid_of(
        *(cell(guidance_scale=value, prompt_name=name, prompt=name) for name in "ba" for value in (12.0, 1.0, 6.0))
    )

    assert grid.values == (1.0, 6.0, 12.0)
    assert grid.baseline_value == 6.0
    assert [row.prompt_name for row in grid.rows] == ["b", "a"]
    assert [[found.config["guidance_scale"] for found in row.cells if found] for row in grid.rows] == [
        [1.0, 6.0, 12.0]
    ] * 2


def test_the_baseline_is_the_first_value_where_the_default_is_not_among_them_and_can_be_given() -> None:
    cells = [cell(guidance_scale=value) for value in (9.0, 3.0)]

    assert grid_of(*cells).baseline_value == 3.0
    assert grid_of(*cells, baselines={"guidance_scale": "9.0"}).baseline_value == 9.0


def test_rows_of_one_prompt_are_told_apart_by_what_differs_and_by_no_more() -> None:
    grid = grid_of(
        *(cell(guidance_scale=value, seed=seed) for seed in (42, 7) for value in (1.0, 6.0)),
        cell(model="5b", model_revision="other", dtype="bfloat16"),
    )

    assert [row.label for row in grid.rows] == ["model toy, seed 42", "model toy, seed 7", "model 5b, seed 42"]


def test_a_run_older_than_a_parameter_stands_beside_those_that_have_its_default() -> None:
    old = cell(guidance_scale=1.0)
    old = replace(old, params={key: text for key, text in old.params.items() if key not in UNSIGNED_DEFAULTS})
    new = cell(guidance_scale=12.0, attention="sdpa", decoder="exact")

    (row,) = grid_of(old, new).rows
    attention = grid_of(old, replace(new, params={**old.params, "attention": "fa4"}), axis="attention")

    assert row.cells == (old, new)
    assert attention.values == ("sdpa", "fa4")


def test_cells_varied_one_at_a_time_make_a_grid_an_axis_and_a_full_grid_shows_each_video_once() -> None:
    axes = ["guidance_scale", "num_inference_steps"]
    star = [cell(), cell(guidance_scale=1.0), cell(num_inference_steps=10), cell(num_inference_steps=25)]
    full = [cell(guidance_scale=g, num_inference_steps=s) for g in (1.0, 6.0) for s in (10, 25, 50)]

    by_axis = grids_of("exp", star, axes, {})
    both = grids_of("exp", full, axes, {})

    assert [(found.axis, len(found.cells), found.shows_videos) for found in by_axis] == [
        ("guidance_scale", 2, True),
        ("num_inference_steps", 3, True),
    ]
    assert [(found.axis, len(found.rows), found.shows_videos) for found in both] == [
        ("num_inference_steps", 2, True),
        ("guidance_scale", 3, False),
    ]


def test_effects_are_between_cells_that_differ_in_the_axis_alone_and_of_models_apart() -> None:
    rows = [
        run(clip_score=30.0, seed=1), run(clip_score=27.0, guidance_scale=1.0, seed=1),
        run(clip_score=20.0, seed=2), run(clip_score=21.0, guidance_scale=1.0, seed=2),
        run(clip_score=99.0, guidance_scale=1.0, seed=2, model="5b", model_revision="other"),
        run(clip_score=50.0, seed=3, model="5b", model_revision="other"),
        run(clip_score=54.0, guidance_scale=1.0, seed=3, model="5b", model_revision="other"),
    ]  # fmt: skip

    _, found = compared(rows)

    assert [(one.value, one.baseline, one.kind, one.mean, one.prompts, one.seeds) for one in found.effects] == [
        (1.0, 6.0, "model 2b", -1.0, 1, 2),
        (1.0, 6.0, "model 5b", 4.0, 1, 1),
    ]
    assert said_of(rows)[-2:] == [
        "At guidance_scale 1 (model 2b) the CLIP score is on average 1.00 lower than at 6 (1 prompt, 2 seeds).",
        "At guidance_scale 1 (model 5b) the CLIP score is 4.00 higher than at 6 (1 prompt, 1 seed).",
    ]


def test_wall_times_of_another_device_and_of_a_shared_one_are_not_compared() -> None:
    beside, busy = {"cogx.beside": "another sweep"}, {"cogx.beside": "busy machine: others took 1.0 of 2 CPU cores"}
    low: Any = {"guidance_scale": 1.0}
    rows = [
        run(wall_time_s=10.0, seed=1), run(wall_time_s=4.0, seed=1, **low),
        run(wall_time_s=10.0, seed=2), run({"cogx.env.device_name": "Another chip"}, wall_time_s=1.0, seed=2, **low),
        run(beside, wall_time_s=10.0, seed=3), run(beside, wall_time_s=9.0, seed=3, **low),
        run(busy, wall_time_s=10.0, seed=4), run(wall_time_s=9.0, seed=4, **low),
    ]  # fmt: skip

    (found,) = compared(rows)[1].effects

    assert (found.mean, found.left_out) == (-6.0, 3)
    assert (
        "Lost, and in no comparison: 3 pairs of wall time (1 another device or placement, 1 timed beside other work, "
        "1 timed on a busy machine)." in said_of(rows)
    )
    assert "1 video was timed on a busy machine: no wall time of theirs is compared." in warnings_about(
        cells_of(tracked_in(frame_of(rows)))[0]
    )
    scored = [{**row, "metrics.clip_score": 1.0} for row in rows[2:4]]
    assert "No wall time is compared: no two were measured alike." in said_of(scored)


def test_wall_times_that_hold_the_encoding_of_a_text_are_counted() -> None:
    rows = [
        run({"cogx.text": "encoder"}, wall_time_s=20.0),
        run({"cogx.text": "cache"}, wall_time_s=10.0, guidance_scale=1.0),
    ]

    said = said_of(rows)

    assert "1 of 2 wall times include encoding a text; comparisons leave it out." in said
    assert not any("encoding" in line for line in said_of([rows[0], run(wall_time_s=1.0, guidance_scale=1.0)]))


def test_one_prompt_is_said_to_give_no_interval_and_no_verdict() -> None:
    said = said_of([run(clip_score=30.0), run(clip_score=27.5, guidance_scale=12.0)])

    assert said == [
        "1 prompt is too few for a verdict, which takes 6: the changes are those of these videos.",
        "At guidance_scale 12 the CLIP score is 2.50 lower than at 6 (1 prompt, 1 seed).",
    ]


def test_of_many_values_the_largest_change_is_told_and_all_verdicts_in_a_line() -> None:
    values = {1.0: (-3.0, 0.1), 3.0: (-0.2, 0.1), 6.0: (0.0, 0.0), 9.0: (0.1, 0.1), 12.0: (1.2, 2.0)}
    rows = [
        run(prompt_name=f"p{n}", guidance_scale=value, clip_score=30 + n + mean + sign * spread)
        for value, (mean, spread) in values.items()
        for n, sign in enumerate((-1, 1, 1, -1) * 4)
    ]

    said = said_of(rows)

    assert said[0] == ("The best guidance_scale in CLIP score is 12 of 5 values (95%; 16 prompts).")
    assert said[1].startswith("guidance_scale 1: 16 of 16 prompts lose more than 1.00 (95% interval")
    assert said[-2].startswith(
        "At guidance_scale 1 the CLIP score is on average 3.00 lower than at 6 (95% interval −3."
    )
    assert "; 16 prompts, 1 seed): worse, corrected for 4 comparisons." in said[-2]
    assert said[-1] == "All 4 values for the CLIP score: worse at 1; equivalent at 3, 9; better at 12."


def test_how_many_of_each_value_are_degenerate_is_said_with_the_verdict() -> None:
    noise, steps = {"cogx.degenerate": "noise", "cogx.degenerate.rule": "why"}, "num_inference_steps"
    rows = [
        run(noise if count == 2 or (count, n) == (5, 0) else None, prompt_name=f"p{n}", num_inference_steps=count,
            clip_score=30 + n - 20 * (count == 2), wall_time_s=float(count))
        for n in range(3)
        for count in (2, 5, 10, 25, 50)
    ]  # fmt: skip
    ended = run(noise, "FAILED", prompt_name="p3", num_inference_steps=2)

    said = said_of([*rows, ended], steps)
    (section,) = content_of("id", [experiment_of([*rows, ended], steps)], {}, {}, []).sections
    page = page_of(rows, steps)

    assert said[1] == (
        "Degenerate videos, which count like any other: 3 of 3 videos at 2, 0 of 3 at 50; 1 of 3 videos at 5, 0 of 3 "
        "at 50."
    )
    assert "Stopped early as degenerate, and in no comparison: 1 at 2." in said
    assert said[1] in page
    assert section.summary == "15 videos finished; 4 of them degenerate; 1 failed."


def test_a_cell_that_lacks_a_parameter_has_a_place_where_videos_are_arranged_by_it() -> None:
    rows = [run(guidance_scale=6.0), run(guidance_scale=6.0, scheduler="dpm"), run(guidance_scale=12.0)]
    del rows[2]["params.scheduler"]

    page = page_of(rows, "guidance_scale")

    by = json.loads(unescape(re.findall(r"data-matrix='([^']*)'", page)[0]))["by"]
    places = [json.loads(unescape(found)) for found in re.findall(r"data-at='([^']*)'", page)]
    assert {place["scheduler"] for place in places} == set(by["scheduler"])


def test_file_sizes_across_frame_counts_are_said_to_mean_nothing() -> None:
    rows = [run(num_frames=frames, file_size_bytes=size) for frames, size in [(25, 100.0), (49, 200.0)]]

    (found,) = compared(rows, "num_frames")[1].effects

    assert (found.baseline, found.mean) == (49, -100.0)
    assert any(line.startswith("More frames make a larger file") for line in said_of(rows, "num_frames"))


def test_what_cannot_be_compared_is_said_in_a_line_and_the_page_is_there() -> None:
    clips = [run(clip_score=1.0), run(clip_score=2.0, clip_model="other")]
    unfinished = [run(status="FAILED"), run(clip_score=2.0, guidance_scale=1.0)]
    apart = [run(clip_score=1.0), run(clip_score=2.0, guidance_scale=1.0, seed=1)]

    assert [said_of(clips, "clip_model")[0], said_of(unfinished)[0], said_of(apart)[0]] == [
        "Videos that differ in clip_model stand side by side; their numbers are not compared.",
        "No video is finished at guidance_scale 6, the baseline: there is nothing to compare with.",
        "No two finished videos differ in guidance_scale alone: there is nothing to compare.",
    ]
    for rows, axis in [(clips, "clip_model"), (unfinished, "guidance_scale"), (apart, "guidance_scale")]:
        page = page_of(rows, axis)
        assert ("data-effects" in page, 'id="together"' in page) == (False, False)


def test_what_must_not_be_compared_is_warned_of() -> None:
    mixed = [
        cell(tags={"cogx.clip_score.model": "toy"}),
        cell(model="5b", model_revision="other", tags={"cogx.clip_score.model": "ViT", "cogx.env.device_name": "H100"}),
        cell(seed=1, tags={"cogx.clip_score.prompt_truncated": "True"}),
    ]

    said = warnings_about(mixed)

    assert [line.split(" (")[0] for line in said[:3]] == [
        "This report holds 2 models", "This report holds 2 devices", "This report holds 2 CLIP models",
    ]  # fmt: skip
    assert said[3].startswith("CLIP reads only the beginning of panda:")
    assert warnings_about([cell(), cell(seed=1)]) == []


def test_axes_that_change_together_have_a_column_a_setting_and_a_part_of_a_grid_has_not() -> None:
    axes = ["guidance_scale", "num_inference_steps"]
    tied = [
        cell(guidance_scale=guidance, num_inference_steps=steps, prompt_name=name, prompt=name)
        for name in "ab"
        for guidance, steps in ((1.0, 10), (3.0, 25), (6.0, 50))
    ]
    begun = [cell(guidance_scale=1.0, num_inference_steps=steps) for steps in (10, 25, 50, 60)]
    begun.append(cell(guidance_scale=3.0, num_inference_steps=10))
    begun.append(cell(guidance_scale=3.0, num_inference_steps=25))

    together, *alone = grids_of("exp", tied, axes, {})

    assert together.values[0] == "guidance_scale 1, num_inference_steps 10"
    assert [len(row.cells) for row in together.rows if None not in row.cells] == [3, 3]
    assert (together.axis, alone) == ("guidance_scale and num_inference_steps", [])
    crossed = [replace(cell, params={**cell.params, "seed": str(seed)}) for cell in tied for seed in (1, 2)]
    assert [found.axes for found in grids_of("exp", crossed, [*axes, "seed"], {})] == [tuple(axes), ("seed",)]
    assert [found.axes for found in grids_of("exp", begun, axes, {})] == [("num_inference_steps",), ("guidance_scale",)]


def test_videos_of_two_models_are_a_row_and_what_differs_with_the_model_is_said() -> None:
    rows = [
        run(clip_score=1.0, scheduler="ddim"),
        run(clip_score=2.0, model="5b", model_revision="other", scheduler="dpm"),
    ]

    grid, found = compared(rows, "model")

    assert [len(row.cells) for row in grid.rows] == [2]
    said = about_grid(grid, found).answers[-1]
    assert said in {f"With the model differ: scheduler ({both})." for both in ("ddim, dpm", "dpm, ddim")}
