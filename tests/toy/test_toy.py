"""`--model toy`: the shipped models under their name, from the plan to the score."""

from pathlib import Path

import pytest

from cogx_runs import load_runs, plan_sweeps, run_sweeps, toy
from cogx_runs.execution.outcomes import OutcomeStatus
from cogx_runs.models.cards import resolve_model
from tests.support.paths import ROOT

SHORT = {"model": "toy", "num_inference_steps": 2, "num_frames": 9}


def test_the_name_brings_its_size_its_text_length_its_clip_and_a_revision_that_is_the_same_everywhere() -> None:
    card = resolve_model("toy")

    assert (card.height, card.width, card.max_frames, card.max_sequence_length) == (64, 64, 49, 96)
    assert (card.clip_model, card.revision) == ("toy", toy.revision())


def test_a_folder_of_that_name_is_not_meant(project: Path) -> None:
    (project / "toy").mkdir()

    (run,) = plan_sweeps([ROOT / "sweeps/seed.yaml"], overrides={"model": "toy"}).runs[:1]

    assert (run.spec.clip_model, run.spec.model_revision) == ("toy", toy.revision())


def test_words_that_the_toy_does_not_know_are_named_and_the_shipped_prompts_have_none(project: Path) -> None:
    (project / "prompts").mkdir()
    (project / "prompts" / "zebra.txt").write_text("A zebra rides a bicycle in a park.\n", encoding="utf-8")
    (project / "zebra.yaml").write_text("{name: z, prompts: [zebra], base: {model: toy}}\n", encoding="utf-8")

    (found,) = plan_sweeps(["zebra.yaml"]).advice

    assert (found.level, found.where) == ("warning", "zebra.yaml:prompts.zebra")
    assert found.message.startswith("toy has no token for bicycle, rides, zebra")
    shipped = plan_sweeps([ROOT / "sweeps/study.yaml"], overrides={"model": "toy"}, prompts=ROOT / "prompts")
    assert shipped.advice == ()


def test_a_sweep_is_scored_by_the_toys_clip_and_the_record_says_so(project: Path) -> None:
    outcomes = run_sweeps([ROOT / "sweeps/guidance.yaml"], overrides=SHORT, device="cpu")

    assert [outcome.status for outcome in outcomes] == ["finished"] * 3
    run = load_runs("exp1_guidance_scale").iloc[0]
    assert (run["params.model"], run["params.clip_model"]) == ("toy", "toy")
    assert run["tags.cogx.clip_score.model"] == "toy"
    assert "--model toy" in run["tags.cogx.command"]


@pytest.mark.slow
def test_the_whole_study_ends_and_its_scores_are_those_of_a_trained_model(project: Path) -> None:
    outcomes = run_sweeps([ROOT / "sweeps/study.yaml"], overrides={"model": "toy"}, device="cpu")

    assert [outcome.status for outcome in outcomes].count(OutcomeStatus.FINISHED) == 16
    assert [outcome.status for outcome in outcomes].count(OutcomeStatus.REUSED) == 4
    assert load_runs("baseline")["metrics.clip_score"].min() > 20
