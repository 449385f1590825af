"""Variables of prompts as columns and as axes."""

from typing import Any

import pytest

from cogx_runs.analysis.best import best_values
from cogx_runs.analysis.effects import effects
from cogx_runs.analysis.frame import find_columns
from cogx_runs.analysis.grids import grids_of
from cogx_runs.analysis.headline import headlines
from cogx_runs.analysis.interactions import interactions
from cogx_runs.errors import CogxError
from cogx_runs.report.cells import cells_of
from tests.support.frames import frame_of, run
from tests.support.specs import SPEC
from tests.support.tracked_runs import tracked_in

COLOUR, PLACE = "prompt.colour", "prompt.place"
SCORES = {("red", "Rome"): 20.0, ("blue", "Rome"): 23.0, ("red", "Oslo"): 30.0, ("blue", "Oslo"): 31.0}


def of_template(template: str | None, colour: str, place: str, score: float, **given: Any) -> dict[str, Any]:
    """A run of one expansion of a template, or of a row of a table."""
    named = () if template is None else (("template", template),)
    return run(
        prompt_name=f"{template}_{colour}_{place}",
        prompt=f"A {colour} {template} in {place}.",
        prompt_variables=(*named, ("colour", colour), ("place", place)),
        clip_score=score,
        **given,
    )


ROWS = [
    of_template(template, *named, score + more + seed, seed=seed)
    for template, more in (("car", 0.0), ("ship", 5.0))
    for seed in (1, 2)
    for named, score in SCORES.items()
]
OTHERS = [of_template(None, "red", "Rome", 1.0), of_template(None, "blue", "Rome", 99.0), run(clip_score=50.0)]


def test_cells_pair_along_a_variable_where_template_and_other_variables_are_alike() -> None:
    (effect,) = effects(frame_of([*ROWS, *OTHERS]), COLOUR, "clip_score", {COLOUR: "red"})

    assert (effect.value, effect.mean, effect.prompts, effect.seeds) == ("blue", 2.0, 4, 2)
    assert {one.prompt: one.mean for one in effect.by_prompt} == {
        "car, place Rome": 3.0, "car, place Oslo": 1.0, "ship, place Rome": 3.0, "ship, place Oslo": 1.0,
    }  # fmt: skip


def test_a_variable_has_best_values_interactions_and_its_first_value_as_baseline() -> None:
    frame = frame_of(ROWS)

    (best,) = best_values(frame, PLACE)
    (together,) = interactions(frame, COLOUR, PLACE, "clip_score")

    assert (best.values, best.prompts) == (("Oslo", "Rome"), 4)
    assert (together.baseline_a, together.baseline_b, together.mean, together.squares) == ("blue", "Oslo", -2.0, 4)


def test_a_grid_of_a_variable_has_a_row_for_all_that_is_alike_and_leaves_the_videos_to_another() -> None:
    cells, _ = cells_of(tracked_in(frame_of([*ROWS, *OTHERS])))

    shown, colours = grids_of("exp", cells, ["seed", COLOUR], {})

    assert (shown.axis, shown.shows_videos, colours.axis, colours.shows_videos) == ("seed", True, COLOUR, False)
    assert sorted(colours.values) == ["blue", "red"]
    assert sorted((row.prompt_name, row.label) for row in colours.rows) == [
        (f"{template}, place {place}", f"seed {seed}")
        for template in ("car", "ship") for place in ("Oslo", "Rome") for seed in (1, 2)
    ]  # fmt: skip
    assert all(None not in row.cells for row in colours.rows)


def test_a_sweep_ends_with_a_sentence_on_each_variable_of_its_templates() -> None:
    cells = [
        (SPEC.replace(prompt_name=f"{colour}{place}", prompt=f"{colour}{place}", prompt_variables=variables), scored)
        for (colour, place), score in SCORES.items()
        for variables in [(("template", "car"), ("colour", colour), ("place", place))]
        for scored in [{"clip_score": score}]
    ]

    assert [str(found).partition(". ")[0] for found in headlines(cells)[:2]] == [
        "prompt.colour: CLIP score is best at blue (27.00) and worst at red, 2.00 lower (car, place Rome: 3.00 lower)",
        "prompt.place: CLIP score is best at Oslo (30.50) and worst at Rome, 9.00 lower (car, colour red: 10.00 lower)",
    ]


def test_a_pair_of_a_variable_of_which_a_cell_failed_is_lost() -> None:
    rows = [*ROWS[:-1], {**ROWS[-1], "status": "FAILED"}]

    (effect,) = effects(frame_of(rows), COLOUR, "clip_score", {COLOUR: "red"})

    assert effect.lost == (("failed", 1),)


def test_a_variable_is_a_column_by_its_name() -> None:
    assert find_columns(frame_of(ROWS), ["colour", COLOUR]) == [f"params.{COLOUR}"] * 2


@pytest.mark.parametrize(
    ("rows", "axis", "message"),
    [
        (ROWS, "colour", "no axis 'colour'; did you mean 'prompt.colour'"),
        (ROWS, "prompt.template", "prompt.template: runs that differ in it are not compared"),
        (OTHERS, COLOUR, "prompt.colour: prompts are compared within a template, and these have none"),
    ],
)
def test_what_is_no_axis_of_these_prompts_is_one_line(rows: list[dict[str, Any]], axis: str, message: str) -> None:
    with pytest.raises(CogxError, match=message):
        effects(frame_of(rows), axis, "clip_score")
