"""The sentence at a sweep's end."""

from cogx_runs.analysis.headline import headlines
from tests.support.specs import SPEC


def test_the_best_and_the_worst_value_and_the_prompt_that_loses_most_are_named() -> None:
    scores = {("dog", 2): 10.0, ("dog", 25): 30.0, ("cat", 2): 29.0, ("cat", 25): 31.0, ("owl", 2): 99.0}
    cells = [
        (SPEC.replace(prompt_name=name, prompt=name, num_inference_steps=steps), {"clip_score": score})
        for (name, steps), score in scores.items()
    ]

    (found,) = headlines(cells)

    assert str(found) == (
        "num_inference_steps: CLIP score is best at 25 (30.5) and worst at 2, 11.0 lower (20.0 in dog). "
        "A verdict takes 6 prompts; here are 2."
    )


def test_nothing_is_said_of_seeds_of_what_is_not_scored_and_of_metrics_without_a_better_direction() -> None:
    seeds = [(SPEC.replace(seed=seed), {"clip_score": float(seed)}) for seed in (1, 2)]
    steps = [(SPEC.replace(num_inference_steps=count), {"motion_magnitude": float(count)}) for count in (2, 3)]

    assert headlines(seeds) == []
    assert headlines(steps) == []
    assert headlines(steps, "motion_magnitude") == []
