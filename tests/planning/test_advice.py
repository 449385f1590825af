"""Advice: what the model's own rules say of a plan, held against diffusers' schedulers."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from cogx_runs import advice
from cogx_runs.actions import PastRun, choose_actions
from cogx_runs.advice import advise, advise_rescoring, schedule_faults, timesteps
from cogx_runs.cells import resolve_cells
from cogx_runs.hardware import Device, Gpu
from cogx_runs.memory import Budget
from cogx_runs.models import HUB_MODELS
from cogx_runs.plan import Advice, Estimate, PlannedRun
from cogx_runs.prompts import Prompt, PromptLibrary
from cogx_runs.spec import RunSpec
from cogx_runs.sweep import Parameters, Sweep

SPACINGS = ["trailing", "leading", "linspace"]


def advice_on(
    text: str = "A panda plays the guitar.",
    axes: Mapping[str, tuple[Any, ...]] | None = None,
    device: Device = "cpu",
    source: str | None = None,
    budget: Budget | None = None,
    **base: Any,
) -> list[Advice]:
    """Advice on a grid of one prompt, `source` put in the place of the model's own."""
    sweep = make_sweep(axes, **base)
    library = PromptLibrary(Path("nowhere"), Prompt("p", text, "(test)"))
    specs, cards = resolve_cells([sweep], library, device, {}, budget)
    cards = {name: replace(card, source=source or card.source) for name, card in cards.items()}
    return advise(specs, [sweep], cards, budget)


def make_sweep(axes: Mapping[str, tuple[Any, ...]] | None = None, **base: Any) -> Sweep:
    return Sweep(
        name="exp",
        file="exp.yaml",
        description="",
        prompts=("p",),
        base=Parameters(**base),
        axes=dict(axes or {}),
        vary="grid",
    )


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("scheduler_class", [CogVideoXDDIMScheduler, CogVideoXDPMScheduler])
def test_timesteps_are_those_of_the_scheduler_for_every_count(scheduler_class: Any, spacing: str) -> None:
    scheduler = scheduler_class(timestep_spacing=spacing)
    theirs = {}
    for steps in range(1, 201):
        scheduler.set_timesteps(steps)
        theirs[steps] = scheduler.timesteps.tolist()

    ours = {steps: timesteps(steps, 1000, spacing) for steps in range(1, 201)}

    assert [steps for steps in ours if ours[steps] != theirs[steps]] == []


def test_the_counts_that_end_at_timestep_0_are_those_that_leave_noise_in_the_schedulers_last_step() -> None:
    scheduler = CogVideoXDDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction",
        rescale_betas_zero_snr=True, snr_shift_scale=3.0, timestep_spacing="trailing",
    )  # fmt: skip
    sample, prediction = torch.ones(1), torch.full((1,), 0.5)
    noisy = []
    for steps in range(1, 101):
        scheduler.set_timesteps(steps)
        last = scheduler.step(prediction, scheduler.timesteps[-1], sample)
        if not torch.equal(last.prev_sample, last.pred_original_sample):
            noisy.append(steps)

    assert [steps for steps in range(1, 101) if schedule_faults(steps, 1000, "trailing")[1] >= 0] == noisy
    assert [steps for steps in noisy if steps <= 36] == [6, 7, 11, 13, 15, 17, 18, 19, 21, 24, 28, 35, 36]
    assert float((1 - scheduler.alphas_cumprod[0]).sqrt()) == pytest.approx(0.05, abs=0.005)


def test_no_step_count_is_faultless_but_the_divisors_of_1000() -> None:
    faultless = [steps for steps in range(1, 1001) if schedule_faults(steps, 1000, "trailing") == (0, -1)]

    assert faultless == [steps for steps in range(1, 1001) if 1000 % steps == 0]


def test_faults_are_counted_from_the_timesteps_that_are_visited() -> None:
    # 999, 832, 666, 499, 332, 166 by strides of 166: 999 - 166 = 833, 666 - 166 = 500, 499 - 166 = 333 are missed.
    assert schedule_faults(6, 1000, "trailing") == (3, 0)
    # 999, 666, 332 by strides of 333: 666 - 333 = 333 is missed.
    assert schedule_faults(3, 1000, "trailing") == (1, -1)


@pytest.mark.parametrize("model", ["2b", "5b"])
@pytest.mark.parametrize("steps", [10, 25, 50])
def test_nothing_is_said_of_a_plain_plan(model: str, steps: int) -> None:
    assert advice_on(model=model, num_inference_steps=steps) == []


def test_a_step_count_that_leaves_noise_is_an_error_naming_the_nearest_right_ones() -> None:
    assert advice_on(num_inference_steps=17) == [
        Advice(
            "error",
            "exp.yaml:base.num_inference_steps",
            "17 steps end at timestep 0 instead of past 0 with the ddim scheduler, which leaves noise in the video "
            "(about 5% at timestep 0); ddim_matched is right at any count, and so is ddim at 10 or 20",
        )
    ]


def test_a_step_count_that_misses_timesteps_is_a_warning_naming_the_nearest_right_ones() -> None:
    assert advice_on(model="5b", axes={"num_inference_steps": (10, 12)}) == [
        Advice(
            "warning",
            "exp.yaml:axes.num_inference_steps",
            "the dpm scheduler takes 4 of 12 steps to another timestep than the next one starts from, which is right "
            "only where the count divides 1000; dpm_matched is right at any count, and so is dpm at 10 or 20",
        )
    ]


@pytest.mark.parametrize("scheduler", ["ddim_matched", "dpm_matched"])
def test_nothing_is_said_of_a_step_count_under_a_matched_scheduler(scheduler: str) -> None:
    assert advice_on(scheduler=scheduler, axes={"num_inference_steps": tuple(range(1, 101))}) == []


def test_a_frame_count_that_comes_back_as_another_is_an_error() -> None:
    assert advice_on(num_frames=29) == [
        Advice("error", "exp.yaml:base.num_frames", "29 frames would come back as 32; use 25 or 33")
    ]


@pytest.mark.parametrize("frames", [1, 24])
def test_a_frame_count_of_another_form_than_the_training_had_is_an_error_even_where_it_comes_back(frames: int) -> None:
    (error,) = advice_on(num_frames=frames)

    assert (error.level, error.where) == ("error", "exp.yaml:base.num_frames")
    assert error.message.startswith(f"{frames} frames are not 8N+1; use ")


def test_more_frames_than_the_model_makes_are_an_error() -> None:
    assert advice_on(num_frames=57) == [
        Advice("error", "exp.yaml:base.num_frames", "57 frames are beyond the 49 that 2b makes; use 41 or 49")
    ]


def test_a_size_that_does_not_fit_the_patches_is_an_error() -> None:
    assert advice_on(height=472, width=720) == [
        Advice("error", "exp.yaml:base.height", "height 472 is no multiple of 16; use 480")
    ]


def test_another_size_than_that_of_the_training_is_a_warning() -> None:
    assert advice_on(height=480, width=640) == [
        Advice("warning", "exp.yaml:base.width", "2b was trained at width 720; 640 may look worse")
    ]


def test_a_bfloat16_model_in_float16_is_an_error() -> None:
    assert advice_on(device="cuda", model="5b", dtype="float16") == [
        Advice("error", "exp.yaml:base.dtype", "5b in float16 gives NaN or black frames; use bfloat16")
    ]


def test_half_precision_on_a_cpu_is_a_warning() -> None:
    assert advice_on(dtype="bfloat16") == [
        Advice("warning", "exp.yaml:base.dtype", "bfloat16 is slow on a CPU; float32 is what null gives")
    ]


def test_bfloat16_on_a_gpu_without_it_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    turing = Gpu("Tesla T4", "550.54", 15 * 2**30, 15 * 2**30, (7, 5))
    monkeypatch.setattr(advice, "gpu", lambda: turing)

    assert advice_on(device="cuda", model="5b") == [
        Advice("warning", "exp.yaml:base.dtype", "Tesla T4 has no native bfloat16; 5b will be very slow on it")
    ]
    assert advice_on(device="cuda", model="2b") == []


@pytest.mark.parametrize("placement", ["model", "sequential"])
def test_a_placement_that_needs_a_gpu_is_an_error_on_a_cpu(placement: str) -> None:
    assert advice_on(placement=placement) == [
        Advice(
            "error",
            "exp.yaml:base.placement",
            f"{placement} moves weights between the host and a GPU, and this runs on a CPU; use auto",
        )
    ]
    assert advice_on(device="cuda", placement=placement) == []


def test_what_auto_is_and_why_is_noted_once_for_each_model() -> None:
    found = advice_on(
        device="cuda",
        budget=Budget(vram_gib=12, ram_gib=14),
        axes={"model": ("2b", "5b"), "seed": (1, 2), "vae_tiling": (True,)},
    )

    assert found == [
        Advice(
            "note",
            "exp.yaml:base.placement",
            "auto for 2b is resident: it needs 7.9 of 12.0 GiB of VRAM; text encoder resident",
        ),
        Advice(
            "note",
            "exp.yaml:base.placement",
            "auto for 5b is sequential: resident needs 15.1 GiB of VRAM and 12.0 can be used; group needs 20.8 GiB of "
            "host memory and 14.0 can be used; text encoder resident",
        ),
    ]


def test_a_placement_that_does_not_fit_is_a_warning() -> None:
    small = Budget(vram_gib=6, ram_gib=30, max_vram_gib=6)

    assert advice_on(device="cuda", budget=small, placement="resident", axes={"num_frames": (25, 49)}) == [
        Advice(
            "warning",
            "exp.yaml:base.placement",
            "resident needs 7.9 GiB of VRAM and 6.0 can be used (--max-vram 6)",
        )
    ]
    assert advice_on(device="cuda", budget=small, placement="group") == []


def test_what_is_short_where_nothing_fits_is_a_warning() -> None:
    found = advice_on(device="cuda", budget=Budget(vram_gib=3, ram_gib=7))

    assert [(advice.level, advice.message) for advice in found] == [
        ("warning", "sequential needs 4.4 GiB of VRAM and 3.0 can be used"),
        ("warning", "the text encoder of 2b needs 10.8 GiB of host memory and 7.0 can be used"),
        (
            "note",
            "auto for 2b is sequential: resident needs 7.9 GiB of VRAM and 3.0 can be used; group needs 4.7 GiB of "
            "VRAM and 3.0 can be used; text encoder sequential",
        ),
    ]


def test_dynamic_guidance_in_a_sweep_over_steps_or_guidance_is_a_warning() -> None:
    axes = {"guidance_scale": (3.0, 6.0), "num_inference_steps": (25, 50)}

    assert advice_on(use_dynamic_cfg=True, axes=axes) == [
        Advice(
            "warning",
            "exp.yaml:base.use_dynamic_cfg",
            f"dynamic guidance is a jumpy function of the step count: a sweep over {axis} would compare that",
        )
        for axis in ("guidance_scale", "num_inference_steps")
    ]
    assert advice_on(use_dynamic_cfg=True, axes={"seed": (42, 43)}) == []


def test_a_negative_prompt_without_guidance_is_a_warning() -> None:
    assert advice_on(negative_prompt="blurry", axes={"guidance_scale": (6.0, 1.0)}) == [
        Advice(
            "warning",
            "exp.yaml:base.negative_prompt",
            "guidance 1 switches guidance off, and the negative prompt with it; use more than 1",
        )
    ]


def test_a_prompt_beyond_clips_context_is_a_warning() -> None:
    assert advice_on("cat " * 75) == []
    assert advice_on("cat " * 76) == [
        Advice(
            "warning",
            "exp.yaml:prompts.p",
            "has 78 CLIP tokens; the CLIP score sees the first 77 and knows nothing of the rest; shorten it",
        )
    ]


def test_a_prompt_that_is_counted_by_another_clips_tokenizer_is_told_as_about() -> None:
    assert advice_on("cat " * 76, clip_model="xlm-roberta-base-ViT-B-32:laion5b_s13b_b90k") == [
        Advice(
            "warning",
            "exp.yaml:prompts.p",
            "has about 78 CLIP tokens; the CLIP score sees the first 77 and knows nothing of the rest; shorten it",
        )
    ]


def test_a_prompt_beyond_the_models_text_length_is_an_error_where_its_tokenizer_is_here(tiny_model: Path) -> None:
    text = "The panda sits. " * 60

    (error,) = [found for found in advice_on(text, model=str(tiny_model)) if "T5" in found.message]

    assert (error.level, error.where) == ("error", "exp.yaml:prompts.p")
    assert error.message.endswith(f" T5 tokens; {tiny_model} reads the first 226; shorten it")


def test_a_prompt_beyond_the_models_text_length_is_a_warning_where_its_tokenizer_is_not_here() -> None:
    text = "cat " * 151

    (warning,) = [found for found in advice_on(text, source="nobody/nothing") if "T5" in found.message]

    assert warning == Advice(
        "warning",
        "exp.yaml:prompts.p",
        "has 227 T5 tokens (an estimate: the model's tokenizer is not on this machine); "
        "2b reads the first 226; shorten it",
    )


def test_a_negative_prompt_beyond_the_text_length_is_told_once_and_at_its_own_place(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text(f"A {name}.", encoding="utf-8")
    sweep = make_sweep(negative_prompt="blurry " * 200).model_copy(update={"prompts": None})
    specs, cards = resolve_cells([sweep], PromptLibrary(tmp_path), "cpu", {})

    found = advise(specs, [sweep], {key: replace(card, source="nobody/nothing") for key, card in cards.items()})

    assert [(advice.level, advice.where) for advice in found] == [("warning", "exp.yaml:base.negative_prompt")]


def test_words_that_the_models_tokenizer_lacks_are_a_warning(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "toy")
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "a": 1, "panda": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(model / "tokenizer" / "tokenizer.json"))

    assert advice_on("a zebra panda a tapir", model=str(model), num_frames=17) == [
        Advice(
            "warning",
            "exp.yaml:prompts.p",
            f"{model} does not know tapir, zebra, and reads each as an unknown word",
        )
    ]


def test_an_axis_without_the_base_value_is_noted_when_one_axis_is_varied_at_a_time() -> None:
    axes = {"guidance_scale": (1.0, 12.0), "seed": (42, 43)}
    sweep = make_sweep(axes).model_copy(update={"vary": "one_at_a_time"})

    assert advise([], [sweep], HUB_MODELS) == [
        Advice(
            "note",
            "exp.yaml:axes.guidance_scale",
            "the base value 6.0 is not among the values, so that this sweep holds no baseline to compare with",
        )
    ]
    assert advise([], [make_sweep(axes)], HUB_MODELS) == []


def test_an_override_of_what_is_swept_is_noted() -> None:
    sweep = make_sweep({"seed": (42, 43)}).model_copy(update={"overridden": frozenset({"seed", "fps"})})

    assert advise([], [sweep], HUB_MODELS) == [
        Advice("note", "exp.yaml:axes.seed", "is swept, so that seed given on the command line changes nothing")
    ]


def test_what_the_command_line_set_is_named_as_the_place() -> None:
    sweep = make_sweep(num_frames=29).model_copy(update={"overridden": frozenset({"num_frames"})})
    library = PromptLibrary(Path("nowhere"), Prompt("p", "A cat.", "(test)"))
    specs, cards = resolve_cells([sweep], library, "cpu", {})

    assert [found.where for found in advise(specs, [sweep], cards)] == ["(command line):base.num_frames"]


def test_errors_come_first_and_notes_last() -> None:
    axes = {"num_inference_steps": (12, 17), "num_frames": (49, 29)}
    sweep = make_sweep(axes).model_copy(update={"vary": "one_at_a_time"})
    library = PromptLibrary(Path("nowhere"), Prompt("p", "A cat.", "(test)"))
    specs, cards = resolve_cells([sweep], library, "cpu", {})

    assert [found.level for found in advise(specs, [sweep], cards)] == ["error", "error", "warning", "note"]


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
    specs, cards = resolve_cells(sweeps, PromptLibrary(tmp_path), "cpu", {})

    assert [found.where for found in advise(specs, sweeps, cards)] == [
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
    assert found.message.startswith("'main' can come to mean other weights; name a commit")


@pytest.mark.parametrize("compiled", [{"compile": True}, {"axes": {"compile": (False, True)}}])
def test_compiled_blocks_whose_layers_move_are_an_error(compiled: dict[str, Any]) -> None:
    errors = [found for found in advice_on(device="cuda", placement="sequential", **compiled) if found.level == "error"]

    assert [found.message for found in errors] == [
        "placement sequential moves the layers inside a compiled block; use resident or group"
    ]
    assert advice_on(device="cuda", placement="group", **compiled) == []


def test_finished_cells_that_lack_metrics_alone_are_to_be_rescored_first() -> None:
    sweep = make_sweep({"seed": (1, 2, 3, 4, 5)})
    library = PromptLibrary(Path("nowhere"), Prompt("p", "A panda.", "(test)"))
    specs, _ = resolve_cells([sweep], library, "cpu", {"clip_score": "2", "motion": "1", "sharpness": "1"})

    def past(spec: RunSpec, definitions: Mapping[str, str], **changed: Any) -> PastRun:
        params = {name: str(value) for name, value in spec.config.items()} | changed
        return PastRun(
            run_id=spec.run_name, experiment="exp", status="FINISHED", signature=spec.signature, output_hash="old",
            start_time_ms=0, reused_from=None, beside=None, device_name="A chip", params=params, metrics={},
            definitions=definitions,
        )  # fmt: skip

    def advised(history: list[PastRun]) -> list[Advice]:
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
        replace(past(four, current), output_hash=four.output_hash),
        past(five, old, clip_model="other"),
    ]

    assert advised(history) == [
        Advice(
            "note",
            "exp.yaml:name",
            "2 finished cells lack clip_score (version 2, measured by 1), motion, sharpness (version 1, measured by 0)"
            ": first `cogx-runs rescore exp`, which measures that in place; without it each gets a second run",
        )
    ]
    assert advised(history[3:]) == []
    (single,) = advised(history[:1])
    assert single.message.startswith("1 finished cell lacks clip_score (version 2, measured by 1), motion: first ")
