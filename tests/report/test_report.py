"""Reports: what they say, what they hold, what they refuse."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from cogx_runs.analysis.effects import Margin
from cogx_runs.analysis.frame import load_runs
from cogx_runs.cli import cli
from cogx_runs.errors import CogxError
from cogx_runs.report.cells import Cell, cells_of
from cogx_runs.report.comparisons import Comparisons, compare
from cogx_runs.report.content import Experiment, content_of
from cogx_runs.report.folder import write_report
from cogx_runs.report.grids import Grid, grids_of
from cogx_runs.report.page import Media, render_page
from cogx_runs.report.sentences import about_grid, warnings_about
from cogx_runs.report.votes import report_id, tally, votes_in
from cogx_runs.space import OptunaSearch
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import tracking_uri
from tests.support.frames import frame_of, run
from tests.support.runs import SMALL, make_axis, make_run, sweep_of

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


def cell(clip_score: float = 30.0, wall_time_s: float = 10.0, tags: dict[str, str] | None = None, **given: Any) -> Cell:
    """A finished cell with these parameters."""
    spec = replace(SMALL, **given)
    return Cell(
        run_id=spec.output_hash,
        experiment="exp",
        name=spec.run_name,
        is_finished=True,
        prompt_name=spec.prompt_name,
        prompt=spec.prompt,
        signature=spec.signature,
        output_hash=spec.output_hash,
        config=spec.config,
        metrics={"clip_score": clip_score, "wall_time_s": wall_time_s},
        tags={"env.device_name": "A chip", **(tags or {})},
    )


def grid_of(*cells: Cell, axis: str = "guidance_scale", baselines: dict[str, str] | None = None) -> Grid:
    (grid,) = grids_of("exp", cells, [axis], baselines or {})
    return grid


def compared(rows: list[dict[str, Any]], axis: str = "guidance_scale") -> tuple[Grid, Comparisons]:
    """The grid along an axis of runs as the store gives them, and what they are compared by."""
    runs = frame_of(rows)
    (grid,) = grids_of("exp", cells_of(runs)[0], [axis], {})
    return grid, compare(runs, [grid], {}, runs)


def said_of(rows: list[dict[str, Any]], axis: str = "guidance_scale") -> list[str]:
    grid, found = compared(rows, axis)
    return about_grid(grid, found.along(axis), dict(found.refused).get(axis))


def page_of(rows: list[dict[str, Any]], *axes: str, margins: dict[str, Margin] | None = None, **given: str) -> str:
    """A report on one experiment without videos; `given` are baselines."""
    content = content_of("id", [experiment_of(rows, *axes)], given, margins or {}, [])
    return render_page(content, Media({}, 1.0, True))


def experiment_of(rows: list[dict[str, Any]], *axes: str) -> Experiment:
    runs = frame_of(rows)
    return Experiment("exp", "", tuple(cells_of(runs)[0]), 0, axes, runs)


def rows_of(page: str, table: str) -> list[list[str]]:
    """What the rows of a table with this data attribute say."""
    found = re.search(rf"<table[^>]* data-{table}[^>]*>.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert found, f"no table {table}"
    rows = found.group(1).split("</tr>")[:-1]
    return [
        [unescape(re.sub(r"<[^>]+>", "", part)).strip() for part in re.split(r"</t[hd]>", row)[:-1]] for row in rows
    ]


def ballot(votes: list[dict[str, Any]], report: str) -> str:
    content = json.dumps({"report": report, "votes": votes})
    return f'<html><script type="application/json" id="votes">{content}</script></html>'


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
    assert said_of(rows)[:3] == [
        "At guidance_scale 1 (model 2b) the CLIP score is on average 1.00 lower than at 6 (1 prompt, 2 seeds).",
        "At guidance_scale 1 (model 5b) the CLIP score is 4.00 higher than at 6 (1 prompt, 1 seed).",
        "One prompt: no interval can be given, and no verdict.",
    ]


def test_wall_times_of_another_device_and_of_a_shared_one_are_not_compared() -> None:
    beside = {"cogx.beside": "another sweep"}
    low = {"guidance_scale": 1.0}
    rows = [
        run(wall_time_s=10.0, seed=1), run(wall_time_s=4.0, seed=1, **low),
        run(wall_time_s=10.0, seed=2), run({"cogx.env.device_name": "Another chip"}, wall_time_s=1.0, seed=2, **low),
        run(beside, wall_time_s=10.0, seed=3), run(beside, wall_time_s=9.0, seed=3, **low),
    ]  # fmt: skip

    (found,) = compared(rows)[1].effects

    assert (found.mean, found.left_out) == (-6.0, 2)
    assert "Left out, since they were not measured alike: 2 pairs of wall time." in said_of(rows)
    scored = [{**row, "metrics.clip_score": 1.0} for row in rows[2:4]]
    assert "No wall time is compared: no two were measured alike." in said_of(scored)


def test_wall_times_that_hold_the_encoding_of_a_text_are_counted() -> None:
    rows = [
        run({"cogx.text": "encoder"}, wall_time_s=20.0),
        run({"cogx.text": "cache"}, wall_time_s=10.0, guidance_scale=1.0),
    ]

    said = said_of(rows)

    assert "The encoding of a text is in 1 of 2 wall times; the others took it from the cache." in said
    assert not any("encoding" in line for line in said_of([rows[0], run(wall_time_s=1.0, guidance_scale=1.0)]))


def test_one_prompt_is_said_to_give_no_interval_and_no_verdict() -> None:
    said = said_of([run(clip_score=30.0), run(clip_score=27.5, guidance_scale=12.0)])

    assert said == [
        "At guidance_scale 12 the CLIP score is 2.50 lower than at 6 (1 prompt, 1 seed).",
        "One prompt: no interval can be given, and no verdict. Another seed may turn every change around.",
    ]


def test_of_many_values_the_largest_change_is_told_and_all_verdicts_in_a_line() -> None:
    values = {1.0: (-3.0, 0.1), 3.0: (-0.2, 0.1), 6.0: (0.0, 0.0), 9.0: (0.1, 0.1), 12.0: (1.2, 2.0)}
    rows = [
        run(prompt_name=f"p{n}", guidance_scale=value, clip_score=30 + n + mean + sign * spread)
        for value, (mean, spread) in values.items()
        for n, sign in enumerate((-1, 1, 1, -1))
    ]

    said = said_of(rows)

    assert said[0].startswith("At guidance_scale 1 the CLIP score is on average 3.00 lower than at 6 (95% interval −3.")
    assert said[0].endswith("; 4 prompts, 1 seed): worse, corrected for 4 comparisons.")
    assert said[1] == "All 4 values for the CLIP score: worse at 1; equivalent at 3, 9; cannot be told apart at 12."


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

    assert said[0].endswith(" Degenerate: 3 of 3 videos at 2, 0 of 3 at 50. They count like any other.")
    assert said[2] == "Degenerate videos, which count like any other: 1 of 3 videos at 5, 0 of 3 at 50."
    assert said[-1] == ("Ended as degenerate before they were finished: 1 at 2. What is compared leaves them out.")
    assert section.summary == "15 videos finished; 4 of them degenerate; 1 failed."
    verdicts = [row[-1] for row in rows_of(page, "effects") if row[0] == "CLIP score"]
    assert ["degenerate" in verdict for verdict in verdicts] == [True, True, False, False]
    assert verdicts[0].endswith("degenerate: 3 of 3 videos at 2, 0 of 3 at 50")


def test_file_sizes_across_frame_counts_are_said_to_mean_nothing() -> None:
    rows = [run(num_frames=frames, file_size_bytes=size) for frames, size in [(25, 100.0), (49, 200.0)]]

    (found,) = compared(rows, "num_frames")[1].effects

    assert (found.baseline, found.mean) == (49, -100.0)
    assert any(line.startswith("More frames make a larger file") for line in said_of(rows, "num_frames"))


def test_what_cannot_be_compared_is_said_in_a_line_and_the_page_is_there() -> None:
    models = [run(clip_score=1.0), run(clip_score=2.0, model="5b", model_revision="other")]
    unfinished = [run(status="FAILED"), run(clip_score=2.0, guidance_scale=1.0)]
    apart = [run(clip_score=1.0), run(clip_score=2.0, guidance_scale=1.0, seed=1)]

    assert [said_of(models, "model")[0], said_of(unfinished)[0], said_of(apart)[0]] == [
        "Videos that differ in model stand side by side; their numbers are not compared.",
        "No video is finished at guidance_scale 6, the baseline: there is nothing to compare with.",
        "No two finished videos differ in guidance_scale alone: there is nothing to compare.",
    ]
    for rows, axis in [(models, "model"), (unfinished, "guidance_scale"), (apart, "guidance_scale")]:
        page = page_of(rows, axis)
        assert ("data-effects" in page, 'id="together"' in page) == (False, False)


@pytest.fixture(scope="module")
def grid_page() -> str:
    """Of a grid of guidance and steps over four prompts; guidance 1 costs more of the score at 10 steps."""
    rows = [
        run(
            prompt_name=f"p{n}", guidance_scale=guidance, num_inference_steps=steps,
            clip_score=20 + n / 10 - (guidance == 1) * (2 + n / 10 + (steps == 10)) - 0.1 * (steps == 10),
            wall_time_s=steps * guidance, denoise_s=1 + steps * 17_776 / 1e6 * (2 if guidance > 1 else 1),
            file_size_bytes=1000 * guidance - steps + n,
        )
        for n in range(4) for guidance in (1.0, 6.0) for steps in (10, 50)
    ]  # fmt: skip
    return page_of(rows, "guidance_scale", "num_inference_steps")


def test_the_page_has_a_row_an_effect_with_its_interval_and_verdict(grid_page: str) -> None:
    rows = rows_of(grid_page, 'effects="s0g0"')
    assert rows[0] == [
        "CLIP score", "1", "20.10", "−2.65", "−2.86 to −2.44", "±1.00", "−14.85", "< 0.001", "4 × 1", "worse"
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["CLIP score", "wall time", "file size"]
    assert [row[-1] for row in rows_of(grid_page, 'effects="s0g1"')] == ["equivalent", "better", "equivalent"]
    assert (
        grid_page.count("Change of CLIP score against guidance_scale 6: 1 −2.65, worse; intervals are in the table.")
        == 2
    )
    assert "<li>At guidance_scale 1 the CLIP score is on average 2.65 lower than at 6 (95% interval" in grid_page


def test_the_page_ranks_parameters_and_tells_interactions_file_size_and_time(grid_page: str) -> None:
    assert rows_of(grid_page, "ranking") == [
        ["quality (CLIP score)", "1", "guidance_scale", "−2.65", "1, against 6", "worse"],
        ["quality (CLIP score)", "2", "num_inference_steps", "−0.60", "10, against 50", "equivalent"],
        ["time (wall time)", "1", "guidance_scale", "−150.0 s", "1, against 6", "better"],
        ["time (wall time)", "2", "num_inference_steps", "−140.0 s", "10, against 50", "better"],
    ]
    assert rows_of(grid_page, 'interactions="s0"')[0] == [
        "CLIP score", "guidance_scale 6 → 1", "num_inference_steps 10, not 50", "−1.00", "−1.00 to −1.00", "< 0.001",
        "4", "lower",
    ]  # fmt: skip
    assert (
        "from guidance_scale 6 to 1 is 1.00 lower at num_inference_steps 10 than at 50 (the same in each;" in grid_page
    )
    assert rows_of(grid_page, "correlations") == [
        ["CLIP score", "+0.60", "+0.60 to +0.60", "within prompts", "4", "16"],
        ["wall time", "+0.60", "+0.60 to +0.60", "within prompts", "4", "16"],
    ]
    assert "denoise_s = 1.0 s + 1 s for every million tokens" in grid_page
    assert "R² 1.000, residuals " in grid_page
    assert "over 16 videos of 4 prompts on A chip, group." in grid_page


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
    assert "standard deviation of 0.71 on average" in page


def test_a_metric_that_is_the_same_in_every_video_is_said_to_tell_nothing() -> None:
    rows = [
        run(guidance_scale=value, prompt_name=name, clip_score=value, clip_iqa_quality=0.5)
        for name in ("panda", "cat")
        for value in (1.0, 6.0)
    ]

    page = page_of(rows, "guidance_scale")

    assert "The same in every video, so that it tells nothing here, whatever its verdict: CLIP-IQA quality." in page


def test_a_time_that_does_not_grow_with_the_work_has_no_equation() -> None:
    rows = [run(num_inference_steps=steps, denoise_s=1000.0 - steps, clip_score=30.0) for steps in (10, 25, 50)]

    page = page_of(rows, "num_inference_steps")

    assert "denoise_s: over 3 videos it does not grow with the work" in page
    assert "for every million tokens" not in page


def test_parameters_of_two_models_in_two_sweeps_are_ranked_apart() -> None:
    small = [run(clip_score=30.0), run(clip_score=27.0, guidance_scale=1.0)]
    large = {"model": "5b", "model_revision": "other"}
    rows = [run(clip_score=30.0, **large), run(clip_score=31.0, num_inference_steps=10, **large)]
    experiments = []
    for name, axis, found in (("small", "guidance_scale", small), ("large", "num_inference_steps", rows)):
        runs = frame_of(found)
        experiments.append(Experiment(name, "", tuple(cells_of(runs)[0]), 0, (axis,), runs))

    ranking = content_of("id", experiments, {}, {}, []).together.ranking

    assert [(one.ranked.axis, one.ranked.rank, one.ranked.effect.kind, one.experiment) for one in ranking] == [
        ("guidance_scale", 1, "model 2b", "small"),
        ("num_inference_steps", 1, "model 5b", "large"),
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
        experiments.append(Experiment(name, "", tuple(cells_of(runs)[0]), 0, (axis,), runs))

    content = content_of("id", experiments, {}, {}, [])

    found = [one for one in content.sections[1].comparisons.effects if one.metric == "sharpness"]
    assert [(one.value, one.mean, one.kind) for one in found] == [(10, -40.0, ""), (30, -20.0, "")]
    assert "file size" in render_page(content, Media({}, 40.0, True))


def test_baselines_and_margins_that_are_asked_for_hold_for_the_effects() -> None:
    words = [
        run(prompt_name=f"p{n}", scheduler=name, clip_score=20 + n + (name == "dpm") * (0.5 + n / 100))
        for n in range(3) for name in ("ddim", "dpm")
    ]  # fmt: skip

    plain = page_of(words, "scheduler")
    strict = page_of(words, "scheduler", margins={"clip_score": Margin(0.01, relative=True)}, scheduler="dpm")

    assert rows_of(plain, "effects")[0][1:6] == ["dpm", "21.00", "+0.51", "+0.49 to +0.53", "±1.00"]
    assert rows_of(strict, "effects")[0][1:6] == ["ddim", "21.51", "−0.51", "−0.53 to −0.49", "±0.22"]
    assert (rows_of(plain, "effects")[0][-1], rows_of(strict, "effects")[0][-1]) == ("equivalent", "worse")
    assert "data-ranking" not in plain


def test_what_must_not_be_compared_is_warned_of() -> None:
    mixed = [
        cell(tags={"clip_score.model": "toy"}),
        cell(model="5b", model_revision="other", tags={"clip_score.model": "ViT", "env.device_name": "H100"}),
        cell(seed=1, tags={"clip_score.prompt_truncated": "True"}),
    ]

    said = warnings_about(mixed)

    assert [line.split(" (")[0] for line in said[:3]] == [
        "This report holds 2 models", "This report holds 2 devices", "This report holds 2 CLIP models",
    ]  # fmt: skip
    assert said[3].startswith("CLIP reads only the beginning of panda:")
    assert warnings_about([cell(), cell(seed=1)]) == []


def test_a_cell_that_failed_and_was_made_again_is_shown_once_and_finished(store: RunStore) -> None:
    make_run(store, SMALL, error="boom")
    make_run(store, SMALL)
    make_run(store, replace(SMALL, seed=1), error="boom")
    store.claim(store.experiment_id("exp"), replace(SMALL, seed=2), {})

    runs = load_runs("exp")
    cells, unfinished = cells_of(runs)
    turned, _ = cells_of(runs[::-1])

    assert [(found.config["seed"], found.is_finished) for found in cells] == [(42, True), (1, False)]
    assert sorted(found.run_id for found in turned) == sorted(found.run_id for found in cells)
    assert unfinished == 1


def test_a_failed_cell_shows_its_error_and_a_reused_one_says_so(store: RunStore, tmp_path: Path) -> None:
    trace = 'Traceback:\n  File "x.py", line 1, in f\n    f()\nValueError: 3 < 4 & so\nsecond line\n'
    make_axis(store, "guidance_scale", [1.0, 6.0], tags={"cogx.reused_from": "abc"})
    make_run(store, replace(SMALL, guidance_scale=12.0), error=trace)

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert "<code>ValueError: 3 &lt; 4 &amp; so</code>" in page
    assert "second line" not in page
    assert len(re.findall(r'class="badge"[^>]*>reused<', page)) == 2


def test_a_search_shows_its_trials_the_best_first_and_each_video_once(store: RunStore, tmp_path: Path) -> None:
    spec = replace(SMALL, axes=("guidance_scale",))
    for number, guidance in enumerate((1.0, 2.0, 3.0, 4.0), 1):
        tags = {"cogx.trial": str(number), "cogx.trial.search": "a"}
        tags["cogx.trial.parameters"] = json.dumps({"guidance_scale": guidance})
        for prompt in ("cat", "dog"):
            made = replace(spec, guidance_scale=guidance, prompt_name=prompt, prompt=f"A {prompt}.")
            failed = number == 4 and prompt == "dog"
            figures = {"clip_score": guidance + len(prompt), "denoise_s": 2.0 if guidance == 2 else 1.0}
            make_run(store, made, metrics=figures, tags=tags, error="ValueError: no" if failed else None)
    searched = sweep_of(spec).model_copy(
        update={"vary": "optuna", "optuna": OptunaSearch(trials=4, objectives=["clip_score", "denoise_s"])}
    )
    store.open_experiment(searched)

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert rows_of(page, "trials") == [
        ["3", "3", "6.00", "1.00", "2", "yes"],
        ["2", "2", "5.00", "2.00", "2", ""],
        ["1", "1", "4.00", "1.00", "2", ""],
        ["4", "4", "–", "–", "1", ""],
    ]
    assert page.count("<video muted") == 7 + 2  # and the two of the vote
    assert "1 trial that no other beats in both (the Pareto front)." in page
    assert "1 trial without a value: not every cell of it is finished." in page
    assert page.count('aria-label="CLIP score against denoising, 3 trials') == 1

    winner = next(run for run in store.runs(["exp"]) if run.data.tags["cogx.trial"] == "3")
    store.amend(winner.info.run_id, {}, {"cogx.degenerate": "frozen", "cogx.degenerate.rule": "it stands still"})
    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert [(row[0], row[-1]) for row in rows_of(page, "trials")] == [("2", "yes"), ("1", "yes"), ("3", ""), ("4", "")]
    assert "Passed over, since more of their videos are degenerate: trial 3 (1)." in page


def test_a_promoted_video_and_the_one_it_was_made_from_say_so(store: RunStore, tmp_path: Path) -> None:
    few = make_run(store, replace(SMALL, num_inference_steps=10, axes=("num_inference_steps",)))
    tags = {"cogx.promoted_from": few, "cogx.promoted_by": "clip_score", "cogx.promoted_rank": "1 of 4"}
    make_run(store, replace(SMALL, axes=("num_inference_steps",)), tags=tags)

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert re.findall(r'class="badge chosen"[^>]*>([^<]*)<', page) == ["chosen", "promoted: 1 of 4 by clip_score"]


def test_text_from_prompts_and_errors_is_escaped_everywhere(store: RunStore, tmp_path: Path) -> None:
    evil = replace(SMALL, prompt=EVIL, prompt_name=EVIL, negative_prompt=EVIL)
    make_axis(store, "guidance_scale", [1.0, 6.0], evil)
    make_axis(store, "guidance_scale", [1.0, 6.0], replace(evil, negative_prompt=""))
    make_run(store, replace(evil, guidance_scale=12.0), error=f"ValueError: {EVIL}")

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert EVIL not in page
    assert "<script>alert" not in page


def test_videos_are_in_the_page_below_the_limit_and_beside_it_above(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])

    inside = write_report(["exp"], tmp_path / "in", log=False)
    beside = write_report(["exp"], tmp_path / "beside", log=False, embed_limit_mb=0.001)

    assert (inside.embedded, inside.videos, list((tmp_path / "in").iterdir())) == (True, 2, [inside.page])
    assert inside.page.read_text(encoding="utf-8").count('json" data-embedded=') == 2
    assert not beside.embedded
    text = beside.page.read_text(encoding="utf-8")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', text)[0])
    assert sorted(data["files"].values()) == sorted(
        str(path.relative_to(tmp_path / "beside")) for path in (tmp_path / "beside/videos").iterdir()
    )
    assert 'json" data-embedded=' not in text
    assert "above 0.001 MB" in text


def test_mlflow_keeps_one_page_an_experiment_with_stills_where_the_videos_are_files(
    store: RunStore, tmp_path: Path
) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    before = len(load_runs())

    (first,) = write_report(["exp"], tmp_path / "out").logged
    (again,) = write_report(["exp"], tmp_path / "out", embed_limit_mb=0.001).logged

    assert first == again
    assert len(load_runs()) == before
    run = MlflowClient(tracking_uri()).get_run(again)
    assert (run.data.tags["cogx.kind"], run.info.status) == ("report", "FINISHED")
    kept = store.download(again, "report.html", tmp_path / "kept").read_text(encoding="utf-8")
    assert kept.count('src="data:image/jpeg;base64,') == 2
    assert "<video" not in kept


def test_a_video_that_is_gone_from_the_store_is_said_and_stops_nothing(store: RunStore, tmp_path: Path) -> None:
    runs = make_axis(store, "guidance_scale", [1.0, 6.0])
    folder = Path(MlflowClient(tracking_uri()).get_run(runs[0]).info.artifact_uri)
    (folder / "video.mp4").unlink()

    written = write_report(["exp"], tmp_path / "out", log=False)

    assert written.videos == 1
    assert "its video is not in the store any more" in written.page.read_text(encoding="utf-8")


def test_an_axis_of_words_and_what_the_sweep_is_for_are_shown(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "scheduler", ["dpm", "ddim"])

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert re.findall(r'<th scope="col">scheduler (\w+)', page) == ["ddim", "dpm"]
    assert "Why &lt;b&gt;so&lt;/b&gt;?" in page


def test_votes_are_counted_by_value_on_pairs_that_differ_in_the_axis_alone() -> None:
    low, base = cell(guidance_scale=1.0), cell()
    other = cell(seed=7)
    grid = grid_of(low, base, other)

    counted = tally(grid, [vote(low, base, low), vote(low, base, None), vote(base, other, other)])

    assert [(found.value, found.wins, found.losses, found.ties) for found in counted] == [
        ("1", 1, 0, 1),
        ("6", 0, 1, 1),
    ]


def vote(one: Cell, other: Cell, winner: Cell | None, voter: str = "v") -> Any:
    from cogx_runs.report.votes import Vote

    a, b = sorted((one.signature, other.signature))
    return Vote(a=a, b=b, winner=winner and winner.signature, voter=voter, at="2026-01-01T00:00:00.000Z")


def test_votes_of_all_pages_of_this_report_are_gathered_and_a_voter_counts_once_a_pair(tmp_path: Path) -> None:
    own = {"a": "1a", "b": "2b", "winner": "1a", "voter": "ann", "at": "2026-01-01T00:00:00.000Z"}
    later = own | {"winner": None, "at": "2026-01-02T00:00:00.000Z"}
    bobs = own | {"voter": "bob"}
    (tmp_path / "report.html").write_text(ballot([own], "of an earlier name"))
    (tmp_path / "saved.html").write_text(ballot([later, bobs], "same"))
    (tmp_path / "foreign.html").write_text(ballot([own | {"voter": "eve"}], "other"))
    (tmp_path / "no_report.html").write_text("<p>Hello</p>")

    found = votes_in(tmp_path, "same")

    assert sorted((one.voter, one.winner) for one in found) == [("ann", None), ("bob", "1a")]


def test_votes_that_cannot_be_read_stop_the_report_so_that_none_are_lost(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    (tmp_path / "report.html").write_text(ballot([{"a": "2b", "b": "1a"}], "x"))

    with pytest.raises(CogxError, match=r"report.html: its votes cannot be read \(.*\); move it away"):
        write_report(["exp"], tmp_path, log=False)
    assert (tmp_path / "report.html").read_text().startswith("<html><script")


def test_a_new_report_in_the_same_folder_keeps_the_votes_and_prints_them(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    low, base = cells_of(load_runs("exp"))[0]
    mine = vote(low, base, base).model_dump()
    (tmp_path / "saved.html").write_text(ballot([mine], report_id(["exp"])))

    first = write_report(["exp"], tmp_path, log=False)
    (tmp_path / "saved.html").unlink()
    second = write_report(["exp"], tmp_path, log=False)

    assert (first.votes, second.votes) == (1, 1)
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th><td>(\d)</td><td>(\d)</td><td>(\d)</td></tr>', second.page.read_text()
    )
    assert rows == [("1", "0", "1", "0"), ("6", "1", "0", "0")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["expp", "-o", "out"], r"no such sweep file|did you mean 'exp'\?"),
        (["failed", "-o", "out"], r"^Error: failed: has no finished run to report on$"),
        (["exp", "-o", "file"], r"^Error: file: is a file; name a folder$"),
        (["exp", "-o", "out", "--baseline", "guidance_scal=1"], r"have no axis .*; did you mean 'guidance_scale'\?$"),
        (["exp", "-o", "out", "--baseline", "guidance_scale=2"], r"not among the axis's values; valid: 1, 6$"),
        (["exp", "-o", "out", "--baseline", "guidance_scale"], r"write it as KEY=VALUE$"),
        (["exp", "-o", "out", "--margin", "clip_scor=1"], r"reports do not compare it; did you mean 'clip_score'\?$"),
        (["exp", "-o", "out", "--margin", "clip_score=5 %%"], r"a margin of '5 %%': write a number above 0 .* as 5%$"),
    ],
)
def test_what_cannot_be_reported_is_one_clear_line(store: RunStore, arguments: list[str], message: str) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    make_run(store, replace(SMALL, sweep="failed"), error="boom")
    Path("file").touch()

    done = CliRunner().invoke(cli, ["report", *arguments])

    assert done.exit_code == 2
    assert re.search(message, done.stderr.strip())
    assert len(done.stderr.strip().splitlines()) == 1
    assert not Path("out/report.html").exists()


def test_the_command_writes_one_page_on_several_sweeps_and_prints_its_place(store: RunStore) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    make_axis(store, "guidance_scale", [1.0, 6.0], replace(SMALL, prompt_name="boat", prompt="A boat."))
    make_run(store, replace(SMALL, sweep="plain", axes=()))

    options = ["--baseline", "guidance_scale=1", "--margin", "clip_score=0.5", "--no-log"]
    done = CliRunner().invoke(cli, ["report", "exp", "plain", "-o", "out", *options])

    assert (done.exit_code, done.stdout) == (0, "out/report.html\n")
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert (
        "At guidance_scale 6 the CLIP score is on average the same as at 1 (the same difference in each; 2 prompts, "
        "1 seed): equivalent within 0.50."
    ) in page
    assert '<section class="experiment" id="s1"' in page
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
