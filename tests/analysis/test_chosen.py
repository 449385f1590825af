"""Finals of the best candidates alone are in no comparison; those of all candidates are."""

from collections.abc import Sequence
from typing import Any

from cogx_runs.analysis.promotion.chosen import without_chosen
from tests.support.frames import frame_of, run


def candidates_and_finals(final_seeds: Sequence[int], prompt: str = "panda") -> list[dict[str, Any]]:
    """Two seeds at 25 steps, and finals of some of them at 50."""
    before = [run(num_inference_steps=25, seed=seed, prompt_name=prompt, clip_score=30.0 + seed) for seed in (1, 2)]
    made_of = {row["params.seed"]: row["run_id"] for row in before}
    after = [
        run({"cogx.promoted_from": made_of[str(seed)]}, num_inference_steps=50, seed=seed, prompt_name=prompt)
        for seed in final_seeds
    ]
    return [*before, *after]


def steps_of(rows: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    left = without_chosen(frame_of(rows))
    names = ["tags.cogx.prompt", "params.seed", "params.num_inference_steps"]
    return [
        (text.removeprefix("A text of "), str(seed), steps) for text, seed, steps in left[names].itertuples(index=False)
    ]


def test_finals_of_some_candidates_are_left_out_and_those_of_all_stay() -> None:
    rows = [*candidates_and_finals([2]), *candidates_and_finals([1, 2], "cat")]

    cats = [("cat.", str(seed), steps) for steps in (25, 50) for seed in (1, 2)]
    assert steps_of(rows) == [("panda.", "1", 25), ("panda.", "2", 25), *cats]


def test_runs_of_the_sweep_itself_stay_and_so_do_all_runs_of_an_experiment_without_promotion() -> None:
    rows = candidates_and_finals([2])
    own = [{**rows[-1], "tags.cogx.promoted_from": None, "run_id": "own"}]

    assert steps_of([*rows[:-1], *own]) == [("panda.", "1", 25), ("panda.", "2", 25), ("panda.", "2", 50)]
    assert len(without_chosen(frame_of(rows[:2]))) == 2


def test_a_final_whose_candidate_is_gone_is_left_out() -> None:
    assert steps_of(candidates_and_finals([2])[2:]) == []
