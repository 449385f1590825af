"""Advice: what the model's own rules say of a plan."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.planning.actions import Action, Decision, choose_actions
from cogx_runs.planning.advice import advise, advise_extras, advise_rescoring
from cogx_runs.planning.cells import ResolvedCells, resolve_cells
from cogx_runs.planning.plan import Advice, Estimate, PlannedRun
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import DEFINITIONS, OUTPUT_HASH
from tests.support.advice import advice_on, make_sweep
from tests.support.planning import library_of
from tests.support.specs import SPEC
from tests.support.tracked_runs import tagged, tracked

NO_CELLS = ResolvedCells([], {})


@pytest.mark.parametrize("model", ["2b", "5b"])
@pytest.mark.parametrize("steps", [10, 25, 50])
def test_nothing_is_said_of_a_plain_plan(model: str, steps: int) -> None:
    assert advice_on(model=model, num_inference_steps=steps) == []


def test_a_frame_count_that_comes_back_as_another_is_an_error() -> None:
    assert advice_on(num_frames=29) == [
        Advice("error", "exp.yaml:base.num_frames", "29 frames would come back as 32; use 25 or 33")
    ]


@pytest.mark.parametrize("frames", [1, 24])
def test_a_frame_count_of_another_form_than_the_training_had_is_an_error_even_where_it_comes_back(frames: int) -> None:
    (error,) = advice_on(num_frames=frames)

    assert (error.level, error.where) == ("error", "exp.yaml:base.num_frames")
    assert error.message.startswith(f"{frames} frames are not 2b's 8N+1; use ")


def test_more_frames_than_the_model_makes_are_an_error() -> None:
    assert advice_on(num_frames=57) == [
        Advice("error", "exp.yaml:base.num_frames", "57 frames are beyond the 49 of 2b; use 41 or 49")
    ]


def test_the_frame_counts_of_1_5_are_16n_plus_1() -> None:
    assert advice_on(model="1.5-5b") == []
    assert advice_on(model="1.5-5b", num_frames=57) == [
        Advice("error", "exp.yaml:base.num_frames", "57 frames are not 1.5-5b's 16N+1; use 49 or 65")
    ]
    assert advice_on(model="1.5-5b", num_frames=177) == [
        Advice("error", "exp.yaml:base.num_frames", "177 frames are beyond the 161 of 1.5-5b; use 145 or 161")
    ]


def test_a_size_beyond_the_positions_of_1_5_is_an_error() -> None:
    assert advice_on(model="1.5-5b", height=784) == [
        Advice("error", "exp.yaml:base.height", "height 784 is beyond the 768 of 1.5-5b; use 768")
    ]


def test_a_size_that_does_not_fit_the_patches_is_an_error() -> None:
    assert advice_on(height=472, width=720) == [
        Advice("error", "exp.yaml:base.height", "height 472 is no multiple of 16; use 480")
    ]


def test_another_size_than_that_of_the_training_is_a_warning() -> None:
    assert advice_on(height=480, width=640) == [
        Advice("warning", "exp.yaml:base.width", "2b was trained at width 720; 640 may look worse")
    ]


def test_dynamic_guidance_in_a_sweep_over_steps_or_guidance_is_a_warning() -> None:
    axes = {"guidance_scale": (3.0, 6.0), "num_inference_steps": (25, 50)}

    assert advice_on(use_dynamic_cfg=True, axes=axes) == [
        Advice(
            "warning",
            "exp.yaml:base.use_dynamic_cfg",
            f"dynamic guidance depends on the step count and would blur the comparison of {axis}; switch it off",
        )
        for axis in ("guidance_scale", "num_inference_steps")
    ]
    assert advice_on(use_dynamic_cfg=True, axes={"seed": (42, 43)}) == []


def test_an_axis_without_the_base_value_is_noted_when_one_axis_is_varied_at_a_time() -> None:
    axes = {"guidance_scale": (1.0, 12.0), "seed": (42, 43)}
    sweep = make_sweep(axes).model_copy(update={"vary": "one_at_a_time"})

    assert advise(NO_CELLS, [sweep]) == [
        Advice(
            "note",
            "exp.yaml:axes.guidance_scale",
            "has no baseline: add 6.0, the value of base",
        )
    ]
    assert advise(NO_CELLS, [make_sweep(axes)]) == []


def test_an_override_of_what_is_swept_is_noted() -> None:
    sweep = make_sweep({"seed": (42, 43)}).model_copy(update={"overridden": frozenset({"seed", "fps"})})

    assert advise(NO_CELLS, [sweep]) == [
        Advice("note", "exp.yaml:axes.seed", "is swept; seed on the command line has no effect")
    ]


def test_what_the_command_line_set_is_named_as_the_place() -> None:
    sweep = make_sweep(num_frames=29).model_copy(update={"overridden": frozenset({"num_frames"})})
    library = library_of("A cat.")
    cells = resolve_cells([sweep], library, "cpu", {})

    assert [found.where for found in advise(cells, [sweep])] == ["(command line):base.num_frames"]


def test_errors_come_first_and_notes_last() -> None:
    axes = {"num_inference_steps": (12, 17), "num_frames": (49, 29)}
    sweep = make_sweep(axes).model_copy(update={"vary": "one_at_a_time"})
    library = library_of("A cat.")
    cells = resolve_cells([sweep], library, "cpu", {})

    assert [found.level for found in advise(cells, [sweep])] == ["error", "error", "warning", "note"]


def test_advice_is_said_once_in_a_grid_of_10_000_cells() -> None:
    axes = {
        "seed": tuple(range(100)),
        "guidance_scale": tuple(2.0 + i / 10 for i in range(50)),
        "num_inference_steps": (17, 12),
    }

    found = advice_on("cat " * 76, axes=axes)

    assert [(advice.level, advice.where) for advice in found] == [
        ("error", "exp.yaml:axes.num_inference_steps"),
        ("warning", "exp.yaml:prompts.p"),
        ("warning", "exp.yaml:axes.num_inference_steps"),
    ]


def test_two_sweeps_with_one_fault_are_each_told(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("A cat.", encoding="utf-8")
    sweeps = [
        make_sweep(num_frames=29),
        make_sweep(num_frames=29).model_copy(update={"name": "other", "file": "other.yaml"}),
    ]
    cells = resolve_cells(sweeps, PromptLibrary(tmp_path), "cpu", {})

    assert [found.where for found in advise(cells, sweeps)] == [
        "exp.yaml:base.num_frames",
        "other.yaml:base.num_frames",
    ]


def test_a_clip_that_open_clip_does_not_know_is_an_error_with_the_nearest_name() -> None:
    messages = [found.message for name in ("ViT-B-31:openai", "ViT-B-32") for found in advice_on(clip_model=name)]

    assert messages == [
        "no such folder or architecture: 'ViT-B-31'; did you mean 'ViT-B-32'?",
        "names no weights; write it as ViT-B-32:openai",
    ]


def test_a_revision_that_can_move_is_a_warning() -> None:
    (found,) = advice_on(revision="main")

    assert (found.level, found.where) == ("warning", "exp.yaml:base.revision")
    assert found.message.startswith("'main' may later point to other weights; name a commit")


def test_finished_cells_that_lack_metrics_alone_are_to_be_rescored_first() -> None:
    sweep = make_sweep({"seed": (1, 2, 3, 4, 5)})
    library = library_of("A panda.")
    specs = resolve_cells([sweep], library, "cpu", {"clip_score": "2", "motion": "1", "sharpness": "1"}).specs

    def past(spec: RunSpec, definitions: Mapping[str, str], **changed: Any) -> TrackedRun:
        run = tracked(spec, tags={OUTPUT_HASH: "old", DEFINITIONS: json.dumps(definitions)})
        return replace(run, params={**run.params, **changed})

    def advised(history: list[TrackedRun]) -> list[Advice]:
        decisions = choose_actions(specs, history)
        runs = [PlannedRun(*both, Estimate(None, None, "")) for both in zip(specs, decisions, strict=True)]
        return advise_rescoring(runs, [sweep, sweep], history)  # as `promote` does, a sweep a cell

    one, two, three, four, five = specs
    old, current = {"clip_score": "1 toy", "sharpness": "1"}, {"clip_score": "2 toy", "motion": "1", "sharpness": "1"}
    history = [
        past(one, old),
        past(two, old, fps="16"),
        past(two, {**current, "sharpness": "0"}),
        replace(past(three, old), experiment="other"),
        tagged(past(four, current), {OUTPUT_HASH: four.output_hash}),
        past(five, old, clip_model="other"),
    ]

    assert advised(history) == [
        Advice(
            "note",
            "exp.yaml:name",
            "2 finished cells lack clip_score (version 2, measured by 1), motion, sharpness (version 1, measured by 0)"
            "; run `cogx-runs rescore exp` first, or each gets a second run",
        )
    ]
    assert advised(history[3:]) == []
    (single,) = advised(history[:1])
    assert single.message.startswith("1 finished cell lacks clip_score (version 2, measured by 1), motion; run ")


def test_a_size_that_h264_has_no_videos_of_is_an_error() -> None:
    found = [advice.message for advice in advice_on(height=16400, width=16) if "H.264" in advice.message]

    assert found == ["height 16400 is above 16384, which H.264 has no videos of; use 480"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"num_train_timesteps": 40}, "50 steps are more than the 40 timesteps of toy; use fewer"),
        ({"has_fixed_size": True}, "toy makes videos of height 64 alone; use 64"),
    ],
)
def test_what_a_model_cannot_make_is_an_error(changes: dict[str, Any], expected: str) -> None:
    sweep = make_sweep(height=48, model="toy")
    library = library_of("a panda")
    cells = resolve_cells([sweep], library, "cpu", {})
    cards = {key: replace(card, **changes) for key, card in cells.cards.items()}

    found = advise(replace(cells, cards=cards), [sweep])

    assert [advice.message for advice in found if advice.level == "error"] == [expected]


def test_an_odd_size_is_an_error_for_a_model_that_could_make_it() -> None:
    sweep = make_sweep(height=47, model="toy")
    library = library_of("a panda")
    cells = resolve_cells([sweep], library, "cpu", {})
    cards = {key: replace(card, size_multiple=1) for key, card in cells.cards.items()}

    assert [advice.message for advice in advise(replace(cells, cards=cards), [sweep]) if advice.level == "error"] == [
        "height 47 is odd, which H.264 has no videos of; use 64"
    ]


def test_a_primary_metric_that_no_cell_would_have_is_an_error() -> None:
    sweep = make_sweep().model_copy(update={"primary": "clipscore"})

    (error,) = advise(NO_CELLS, [sweep])

    assert (error.level, error.where) == ("error", "exp.yaml:primary")
    assert error.message.startswith("no metric 'clipscore' of every cell; did you mean 'clip_score'")
    assert advise(NO_CELLS, [make_sweep().model_copy(update={"primary": "clip_score"})]) == []


def test_an_extra_metric_that_can_have_no_value_is_not_asked_for_again() -> None:
    sweep = make_sweep()
    spec = SPEC.replace(extra_metrics=("dynamic_degree",), sweep=sweep.name)
    never = tagged(tracked(spec), {DEFINITIONS: "{}"})
    measured = tagged(tracked(spec), {DEFINITIONS: json.dumps({"dynamic_degree": "1"})})

    def advice(finished: TrackedRun) -> list[Advice]:
        return advise_extras([PlannedRun(spec, Decision(Action.DONE, finished), Estimate(0.0, None, ""))], [sweep])

    assert [one.where for one in advice(never)] == ["exp.yaml:extra_metrics"]
    assert advice(measured) == []


def test_an_unknown_extra_metric_is_an_error_and_one_without_its_weights_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    sweep = make_sweep().model_copy(
        update={"extra_metrics": ("dynamic_degre", "dynamic_degree"), "primary": "dynamic_degree"}
    )

    error, warning = advise(NO_CELLS, [sweep])

    assert (error.level, error.where) == ("error", "exp.yaml:extra_metrics.0")
    assert error.message.startswith("no extra metric 'dynamic_degre'; did you mean 'dynamic_degree'")
    assert (warning.level, warning.where) == ("warning", "exp.yaml:extra_metrics.1")
    assert warning.message.startswith("no dynamic degree: RAFT's weights are not at ")
    assert warning.message.endswith(" there (HF_HUB_OFFLINE is set); runs finish without")


def test_a_scale_without_an_adapter_is_an_error() -> None:
    assert [one.level for one in advice_on(model="toy", lora_scale=0.5)] == ["error"]
    assert advice_on(model="toy", lora="toy", lora_scale=0.5) == []


def test_a_comparison_of_models_whose_videos_differ_says_what_it_compares() -> None:
    assert advice_on(axes={"model": ("2b", "5b")}) == []
    where = "exp.yaml:axes.model"

    assert advice_on(axes={"model": ("2b", "1.5-5b")}) == [
        Advice(
            "warning",
            where,
            "the models differ in frames a second (2b 8, 1.5-5b 16), and so, for that alone, in background "
            "consistency, adjacent-frame consistency, temporal flickering, motion; no setting makes them alike",
        ),
        Advice(
            "warning",
            where,
            "the models differ in frames (2b 49, 1.5-5b 81), and so, for that alone, in background consistency; "
            "num_frames: 49 suits all",
        ),
        Advice(
            "warning",
            where,
            "the models differ in size (2b 480x720, 1.5-5b 768x1360), and so, for that alone, in CLIP score, CLIP "
            "score of the mp4, background consistency, adjacent-frame consistency, CLIP-IQA quality, CLIP-IQA "
            "noisiness, CLIP-IQA sharpness, sharpness; name height and width for all",
        ),
    ]


def test_models_that_are_scored_by_different_clips_are_not_compared_by_them() -> None:
    (found,) = [one for one in advice_on(axes={"model": ("2b", "toy")}) if "CLIPs" in one.message]

    assert found == Advice(
        "warning",
        "exp.yaml:base.clip_model",
        "the models are scored by different CLIPs (2b by ViT-B-32:openai, toy by toy), whose scores are not compared; "
        "name one for all",
    )
