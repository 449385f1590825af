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
        "num_inference_steps: CLIP score is best at 25 (30.50) and worst at 2, 11.00 lower (dog: 20.00 lower). "
        "2 prompts: too few for a verdict, which takes 6."
    )


def test_a_prompt_that_gains_at_the_worst_value_is_not_said_to_lose() -> None:
    scores = {
        ("dog", 2): 30.0,
        ("dog", 25): 22.0,
        ("cat", 2): 20.0,
        ("cat", 25): 27.0,
        ("owl", 2): 20.0,
        ("owl", 25): 26.0,
    }
    cells = [
        (SPEC.replace(prompt_name=name, prompt=name, num_inference_steps=steps), {"clip_score": score})
        for (name, steps), score in scores.items()
    ]

    (found,) = headlines(cells)

    assert "worst at 2, 1.67 lower (cat: 7.00 lower)" in str(found)


def test_means_are_not_taken_for_a_verdict_where_prompts_suffice_for_one() -> None:
    cells = [
        (SPEC.replace(prompt_name=name, prompt=name, num_inference_steps=steps), {"clip_score": 20.0 + steps})
        for name in "abcdef"
        for steps in (2, 25)
    ]

    (found,) = headlines(cells)

    assert str(found).endswith("23.00 lower). These are means; the report's verdicts say what is shown.")


def test_a_switch_is_on_or_off() -> None:
    cells = [(SPEC.replace(vae_tiling=on), {"clip_score": 20.0 + 5 * on}) for on in (True, False)]

    assert [str(found).partition(" (")[0] for found in headlines(cells)] == ["vae_tiling: CLIP score is best at on"]


def test_a_change_within_the_margin_has_no_best_value() -> None:
    scores = {("dog", 10): 30.0, ("dog", 25): 30.4, ("cat", 10): 31.0, ("cat", 25): 30.1}
    cells = [
        (SPEC.replace(prompt_name=name, prompt=name, num_inference_steps=steps), {"clip_score": score})
        for (name, steps), score in scores.items()
    ]

    assert [str(found) for found in headlines(cells)] == [
        "num_inference_steps: CLIP score of a prompt changes by at most 0.90, within the margin of 1.00. "
        "2 prompts: too few for a verdict, which takes 6."
    ]


def test_models_are_never_averaged() -> None:
    cells = [
        (
            SPEC.replace(model=model, model_revision=f"of {model}", num_inference_steps=steps),
            {"clip_score": 20.0 + 10 * (steps == (25 if model == "2b" else 2))},
        )
        for model in ("2b", "5b")
        for steps in (2, 25)
    ]

    assert [str(found).partition(". ")[0] for found in headlines(cells)] == [
        "num_inference_steps (model 2b): CLIP score is best at 25 (30.00) and worst at 2, 10.00 lower",
        "num_inference_steps (model 5b): CLIP score is best at 2 (30.00) and worst at 25, 10.00 lower",
    ]


def test_seeds_of_two_texts_of_one_name_are_not_taken_together() -> None:
    scores = {("a dog", 1): 20.0, ("a dog", 2): 23.0, ("two dogs", 1): 31.0, ("two dogs", 2): 30.0}
    cells = [
        (SPEC.replace(prompt_name="dog", prompt=text, seed=seed), {"clip_score": score})
        for (text, seed), score in scores.items()
    ]

    assert list(map(str, headlines(cells))) == [
        "seed: CLIP score goes from 20.00 to 23.00 over 2 seeds of dog: by luck alone."
    ]


def test_seeds_and_prompts_have_a_range_and_no_best() -> None:
    scores = {("dog", 1): 20.0, ("dog", 2): 23.0, ("cat", 1): 31.0, ("cat", 2): 30.0}
    cells = [
        (SPEC.replace(prompt_name=name, prompt=name, seed=seed), {"clip_score": score})
        for (name, seed), score in scores.items()
    ]

    assert list(map(str, headlines(cells))) == [
        "seed: CLIP score goes from 20.00 to 23.00 over 2 seeds of dog: by luck alone."
    ]
    assert list(map(str, headlines([one for one in cells if one[0].seed == 1]))) == [
        "prompt: CLIP score goes from 20.00 (dog) to 31.00 (cat) over 2 prompts."
    ]


def test_nothing_is_said_of_what_is_not_scored_and_of_metrics_without_a_better_direction() -> None:
    steps = [(SPEC.replace(num_inference_steps=count), {"motion_magnitude": float(count)}) for count in (2, 3)]

    assert headlines(steps) == []
    assert headlines(steps, "motion_magnitude") == []
