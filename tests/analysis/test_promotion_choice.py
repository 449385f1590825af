"""Which candidates at few steps are chosen, and what cannot be chosen among."""

from typing import Any

import pytest

from cogx_runs.analysis.promotion.agreement import agreement
from cogx_runs.analysis.promotion.choice import Choice, choose
from cogx_runs.analysis.promotion.finals import metric_to_check_by, promoted
from cogx_runs.analysis.promotion.previews import previews, ranked
from cogx_runs.errors import CogxError
from tests.support.frames import frame_of
from tests.support.promotions import OTHER, TWO, both, row


def chosen(choice: Choice) -> list[tuple[str, str, int, int]]:
    return [(one.prompt, one.run_name, one.rank, one.of) for one in choice.promoted]


def test_the_best_of_each_prompt_is_chosen_at_the_fewer_steps() -> None:
    frame = frame_of([*TWO, row("fox", 9, 50, 99.0), row("fox", 7, 100, 99.0)])

    choice = choose(frame, "clip_score", 50)

    assert (choice.from_steps, choice.steps, choice.direction) == (25, 50, "higher")
    assert chosen(choice) == [("fox", "seed=1 fox", 1, 3), ("owl", "seed=0 owl", 1, 2)]
    assert chosen(choose(frame, "clip_score", 50, top=2))[1] == ("fox", "seed=2 fox", 2, 3)
    assert chosen(choose(frame, "clip_score", 50, top=None)) == [
        ("fox", "seed=1 fox", 1, 3),
        ("fox", "seed=2 fox", 2, 3),
        ("fox", "seed=0 fox", 3, 3),
        ("owl", "seed=0 owl", 1, 2),
        ("owl", "seed=1 owl", 2, 2),
    ]


def test_equal_candidates_are_taken_by_seed_whatever_the_order_of_rows() -> None:
    rows = both({"fox": ([4.0, 5.0, 5.0], [])})

    assert chosen(choose(frame_of(rows), "clip_score", 50)) == chosen(choose(frame_of(rows[::-1]), "clip_score", 50))
    assert chosen(choose(frame_of(rows), "clip_score", 50))[0][1] == "seed=1 fox"


def test_where_lower_is_better_the_lowest_comes_first() -> None:
    rows = ranked(previews(frame_of(TWO), "clip_score", 25, 50), "lower")

    assert list(rows["run_name"]) == ["seed=0 fox", "seed=2 fox", "seed=1 fox", "seed=1 owl", "seed=0 owl"]


def test_candidates_may_differ_in_more_than_the_seed() -> None:
    rows = [
        row("fox", seed, 25, seed + guidance, guidance_scale=guidance) for seed in (1, 2) for guidance in (3.0, 6.0)
    ]

    (best,) = choose(frame_of(rows), "clip_score", 50).promoted

    assert (best.run_id, best.of, best.value) == (rows[3]["run_id"], 4, 8.0)


def test_candidates_that_have_not_finished_are_named_and_a_choice_of_one_is_noted_as_none() -> None:
    rows = [
        *TWO,
        row("owl", 5, 25, None, status="FAILED"),
        row("owl", 0, 25, None, status="KILLED"),
        row("yak", 1, 25, 1.0),
    ]

    choice = choose(frame_of(rows), "clip_score", 50)

    assert choice.notes == (
        "owl: 1 candidate not finished, and so not chosen among",
        "yak: one candidate, so that there is no choice",
    )
    assert ("owl", "seed=0 owl", 1, 2) in chosen(choice)


def test_a_degenerate_candidate_is_never_chosen_and_a_prompt_of_nothing_else_is_not_promoted() -> None:
    noise, still = {"cogx.degenerate": "noise"}, {"cogx.degenerate": "frozen"}
    mixed = [
        row("fox", 1, 25, 99.0, tags=still),
        row("fox", 2, 25, 3.0),
        row("fox", 3, 25, 4.0),
        row("fox", 4, 25, None, status="FAILED", tags=noise),
        row("fox", 3, 25, None, status="FAILED", tags=noise),
    ]
    hopeless = [row("owl", seed, 25, 9.0 + seed, tags=noise) for seed in (1, 2)]
    finals = [row("fox", seed, 50, float(seed), tags=noise if seed == 3 else None) for seed in (1, 2, 3)]

    for top in (1, 2, None):
        choice = choose(frame_of([*mixed, *hopeless]), "clip_score", 50, top=top)
        assert chosen(choice) == [("fox", "seed=3 fox", 1, 2), ("fox", "seed=2 fox", 2, 2)][:top]
        assert choice.notes == (
            "fox: 2 of 4 candidates degenerate (frozen, noise), and so not chosen among",
            "owl: 2 of 2 candidates degenerate (noise), so that none is promoted",
        )
    with pytest.raises(CogxError) as raised:
        choose(frame_of(hopeless), "clip_score", 50)
    assert str(raised.value) == (
        "--from-steps 25: all 2 candidates are degenerate (noise), so that there is nothing to choose"
    )
    renewed = [row("fox", 1, 25, 3.0), row("fox", 1, 25, None, status="FAILED", text="A new text.", start_time=9)]
    with pytest.raises(CogxError, match="no video of the prompts' present texts is finished at that count"):
        choose(frame_of(renewed), "clip_score", 50)
    whole = frame_of([*mixed, *hopeless, *finals])
    found = agreement(whole, "clip_score", 25, 50)
    assert found is not None
    assert (found.prompts, found.by_prompt[0].candidates, found.hits, found.left_out) == (1, 2, 1, 0)
    best = promoted(whole, choose(whole, "clip_score", 50, from_steps=25, top=None), None)
    assert [(one.run_name, one.final_rank, one.final_is_degenerate) for one in best] == [
        ("seed=3 fox", 1, True), ("seed=2 fox", 2, False),
    ]  # fmt: skip


def test_a_prompt_whose_text_was_changed_is_its_newest_text() -> None:
    old = [row("fox", seed, 25, 100.0 + seed, text="An old text.", start_time=1) for seed in (1, 2)]
    new = [row("fox", seed, 25, float(seed), start_time=2) for seed in (1, 2, 3)]

    assert chosen(choose(frame_of([*old, *new]), "clip_score", 50)) == [("fox", "seed=3 fox", 1, 3)]


@pytest.mark.parametrize(
    ("rows", "asked", "message"),
    [
        (TWO, {"by": "wall_time_s"}, "--by wall_time_s: is of the machine and not of the video; use clip_score"),
        (
            TWO,
            {"by": "file_size_bytes"},
            "--by file_size_bytes: nobody knows which direction is better; use clip_score",
        ),
        (TWO, {"by": "clipscore"}, "--by clipscore: no run here has it; did you mean 'clip_score'?"),
        (TWO, {"steps": 25}, "--steps 25: no finished run has fewer steps, so that there is nothing to choose from"),
        (TWO, {"from_steps": 50}, "--from-steps 50: must be fewer than the 50 of --steps"),
        (TWO, {"from_steps": 10}, "--from-steps 10: no finished run has that many; there are 25"),
        ([*TWO, row("fox", 1, 10, 1.0)], {}, "--from-steps: there are finished runs at 10, 25 steps; name one count"),
        (
            [*TWO, row("owl", 8, 25, None)],
            {},
            "--by clip_score: 1 of 6 finished candidates have no value (seed=8 owl); "
            "`cogx-runs rescore SWEEP` may add it",
        ),
        (
            [*TWO, row("owl", 8, 25, None)],
            {"by": OTHER},
            "--by clip_score.other: 6 of 6 finished candidates have no value "
            "(seed=0 fox, seed=0 owl, seed=1 fox, ...); `cogx-runs rescore SWEEP --clip-model other` may add it",
        ),
        (
            [*TWO, row("owl", 8, 25, 1.0, clip_model="toy")],
            {},
            "--by clip_score: the candidates have values of 2 definitions: ViT-B-32:openai, toy",
        ),
        (
            [row("owl", seed, 25, 1.0, tags={"cogx.metrics": f'{{"clip_score": "{seed}"}}'}) for seed in (1, 2)],
            {},
            "--by clip_score: the candidates have values of 2 definitions: 1, 2",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_among_is_one_line(
    rows: list[dict[str, Any]], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(CogxError) as raised:
        choose(frame_of(rows), **{"by": "clip_score", "steps": 50, **asked})

    assert str(raised.value) == message


def test_a_metric_against_a_reference_neither_chooses_nor_checks() -> None:
    frame = frame_of([row("fox", seed, 25, float(seed)) | {"metrics.psnr": 30.0} for seed in (1, 2)])

    assert metric_to_check_by(frame, choose(frame, "clip_score", 50)) is None
    with pytest.raises(CogxError, match="compares a video with another and says nothing of it alone; use clip_score"):
        choose(frame, "psnr", 50)


def test_the_check_is_another_clips_score_then_the_first_that_is_registered() -> None:
    others = {"metrics.sharpness": 1.0, "metrics.temporal_flickering": 1.0, "metrics.clip_consistency": 1.0}
    others["metrics.clip_score_file"] = 1.0  # which measures what clip_score does
    there = [row("fox", seed, 25, float(seed)) | others for seed in (1, 2)]
    scored = frame_of([one | {f"metrics.{OTHER}": 1.0} for one in there])

    by_other = choose(scored, OTHER, 50)

    assert metric_to_check_by(frame_of(there), choose(frame_of(there), "clip_score", 50)) == "clip_consistency"
    assert metric_to_check_by(scored, choose(scored, "clip_score", 50)) == OTHER
    assert (by_other.direction, metric_to_check_by(scored, by_other)) == ("higher", "clip_score")
    without = frame_of(there).drop(columns="metrics.clip_consistency")
    assert metric_to_check_by(without, choose(without, "clip_score", 50)) == "temporal_flickering"


def test_an_extra_metric_that_the_runs_have_chooses_and_where_one_lacks_it_the_command_names_it() -> None:
    name = "metrics.aesthetic_quality"
    there = [row("fox", seed, 25, 1.0) | {name: seed / 10} for seed in (1, 2)]

    assert chosen(choose(frame_of(there), "aesthetic_quality", 50)) == [("fox", "seed=2 fox", 1, 2)]
    with pytest.raises(CogxError, match="`cogx-runs rescore SWEEP --metric aesthetic_quality` may add it$"):
        choose(frame_of([*there, row("fox", 3, 25, 1.0) | {name: None}]), "aesthetic_quality", 50)
