"""Plans: which cells sweeps resolve to, what identifies them, and what is to be done for each."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from cogx_runs import hardware, shipped
from cogx_runs.actions import Action, Decision, PastRun, choose_actions
from cogx_runs.cells import resolve_cells
from cogx_runs.errors import CogxError, InputError, Mistake
from cogx_runs.hardware import GIB, Device, Gpu
from cogx_runs.memory import Budget
from cogx_runs.plan import Advice
from cogx_runs.prompts import Prompt, PromptLibrary
from cogx_runs.spec import PIXEL_FIELDS, RunSpec
from cogx_runs.study import plan_sweeps
from cogx_runs.sweep import Parameters, RandomDraw, Sweep, Vary
from tests.support.specs import SPEC

CHANGES_PIXELS = {
    "model_revision": "8d6ea3f8",
    "prompt": "A panda.",
    "negative_prompt": "blurry",
    "num_inference_steps": 25,
    "guidance_scale": 6.5,
    "seed": 43,
    "num_frames": 25,
    "height": 464,
    "width": 704,
    "scheduler": "dpm",
    "use_dynamic_cfg": True,
    "max_sequence_length": 128,
    "dtype": "bfloat16",
    "vae_tiling": False,
    "compile": True,
}
CHANGES_FILE_OR_SCORES = {
    "fps": 16,
    "video_quality": 7.0,
    "clip_model": "ViT-L-14:openai",
    "metric_versions": (("clip_score", "2"),),
}
CHANGES_NOTHING = {
    "sweep": "other",
    "prompt_name": "bear",
    "model": "/models/2b",
    "model_source": "/models/2b",
    "device": "cpu",
    "vae_slicing": False,
    "placement": "resident",
    "abort_degenerate": True,
    "axes": (),
}


def make_sweep(axes: Mapping[str, tuple[Any, ...]], vary: Vary = "grid", **changes: Any) -> Sweep:
    values = {
        "name": "exp",
        "file": "exp.yaml",
        "description": "",
        "prompts": ("p",),
        "base": Parameters(),
        "axes": dict(axes),
        "vary": vary,
    }
    return Sweep.model_validate(values | changes)


def resolve(*sweeps: Sweep, device: Device = "cpu", budget: Budget | None = None) -> list[RunSpec]:
    library = PromptLibrary(Path("nowhere"), Prompt("p", "A panda.", "(test)"))
    return resolve_cells(sweeps, library, device, {"clip_score": "1"}, budget)[0]


def values_of(specs: list[RunSpec], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(spec, name) for name in names) for spec in specs]


def past(spec: RunSpec, status: str, experiment: str | None = None) -> PastRun:
    """A run of `spec` that the store remembers."""
    return PastRun(
        run_id=f"{status} in {experiment or spec.sweep}",
        experiment=experiment or spec.sweep,
        status=status,
        signature=spec.signature,
        output_hash=spec.output_hash,
        start_time_ms=0,
        reused_from=None,
        beside=None,
        device_name="NVIDIA H100",
        params={},
        metrics={},
    )


def actions(specs: list[RunSpec], *history: PastRun, retry_failed: bool = False) -> list[Action]:
    return [decision.action for decision in choose_actions(specs, history, retry_failed)]


def test_the_study_is_20_cells_of_which_4_are_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    planned = plan_sweeps(["study"], use_store=False, device="cpu")

    assert [(run.spec.sweep, run.spec.run_name, run.action) for run in planned.runs] == [
        *(("baseline", path.stem, "run") for path in sorted(shipped.PROMPTS.glob("*.txt"))),
        ("exp1_guidance_scale", "guidance=1 panda_guitar", "run"),
        ("exp1_guidance_scale", "guidance=6 panda_guitar", "reuse"),
        ("exp1_guidance_scale", "guidance=12 panda_guitar", "run"),
        ("exp2_steps", "steps=10 panda_guitar", "run"),
        ("exp2_steps", "steps=25 panda_guitar", "run"),
        ("exp2_steps", "steps=50 panda_guitar", "reuse"),
        ("exp3_seed", "seed=42 panda_guitar", "reuse"),
        ("exp3_seed", "seed=123 panda_guitar", "run"),
        ("exp3_seed", "seed=999 panda_guitar", "run"),
        ("exp4_frames", "frames=25 panda_guitar", "run"),
        ("exp4_frames", "frames=49 panda_guitar", "reuse"),
    ]
    assert (len(planned.runs), planned.count("run"), planned.count("reuse")) == (20, 16, 4)
    assert (len({run.spec.signature for run in planned.runs}), planned.advice, planned.errors) == (16, (), [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", sorted(shipped.SWEEPS.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_each_shipped_sweep_plans_without_advice(path: Path) -> None:
    planned = plan_sweeps([path], use_store=False, device="cpu")

    assert planned.advice == ()
    assert len(planned.runs) >= 2


def test_a_plan_as_json_has_the_promised_keys_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(
        "name: s\nprompts: [panda_guitar]\nbase: {num_frames: 29}\naxes: {seed: [1]}\n", encoding="utf-8"
    )

    planned = plan_sweeps(["s.yaml"], use_store=False, device="cpu")

    (run,) = planned.runs
    assert planned.as_dict() == {
        "runs": [
            {
                "sweep": "s",
                "signature": run.spec.signature,
                "action": "run",
                "config": run.spec.config,
                "estimated_s": None,
                "estimated_vram_gib": None,
                "estimate_basis": run.estimate.basis,
            }
        ],
        "advice": [
            {
                "level": "error",
                "where": "s.yaml:base.num_frames",
                "message": "29 frames would come back as 32; use 25 or 33",
            },
            {
                "level": "note",
                "where": "s.yaml:axes.seed",
                "message": "the base value 42 is not among the values, so that this sweep holds no baseline to "
                "compare with",
            },
        ],
    }
    assert "no finished run" in run.estimate.basis
    assert planned.errors == [planned.advice[0]]


def test_the_config_of_a_cell_is_every_resolved_parameter_under_diffusers_names() -> None:
    assert SPEC.config == {
        "prompt_name": "panda",
        "prompt": "A panda 🐼.",
        "negative_prompt": "",
        "model": "2b",
        "model_source": "zai-org/CogVideoX-2b",
        "model_revision": "1137dacf",
        "num_inference_steps": 50,
        "guidance_scale": 6.0,
        "num_frames": 49,
        "fps": 8,
        "seed": 42,
        "height": 480,
        "width": 720,
        "scheduler": "ddim",
        "use_dynamic_cfg": False,
        "max_sequence_length": 226,
        "device": "cuda",
        "dtype": "float16",
        "vae_tiling": True,
        "vae_slicing": True,
        "placement": "group",
        "compile": False,
        "video_quality": 5.0,
        "clip_model": "ViT-B-32:openai",
        "abort_degenerate": False,
    }


def test_a_signature_is_the_same_on_every_machine_and_in_every_version() -> None:
    assert (SPEC.signature, SPEC.output_hash) == ("af49e86e210ed877", "45e9d3beb3cbbb0e")


def test_each_field_of_a_cell_is_known_to_change_the_pixels_the_file_or_nothing() -> None:
    assert set(PIXEL_FIELDS) == set(CHANGES_PIXELS)
    assert {field.name for field in fields(RunSpec)} == {*CHANGES_PIXELS, *CHANGES_FILE_OR_SCORES, *CHANGES_NOTHING}


@pytest.mark.parametrize(("name", "value"), CHANGES_PIXELS.items())
def test_what_changes_the_pixels_changes_signature_and_output_hash(name: str, value: Any) -> None:
    changed = replace(SPEC, **{name: value})

    assert changed.signature != SPEC.signature
    assert changed.output_hash != SPEC.output_hash


@pytest.mark.parametrize(("name", "value"), CHANGES_FILE_OR_SCORES.items())
def test_what_changes_only_file_or_scores_changes_only_the_output_hash(name: str, value: Any) -> None:
    changed = replace(SPEC, **{name: value})

    assert changed.signature == SPEC.signature
    assert changed.output_hash != SPEC.output_hash


@pytest.mark.parametrize(("name", "value"), CHANGES_NOTHING.items())
def test_what_changes_neither_pixels_nor_file_changes_neither_hash(name: str, value: Any) -> None:
    changed = replace(SPEC, **{name: value})

    assert getattr(changed, name) != getattr(SPEC, name)
    assert (changed.signature, changed.output_hash) == (SPEC.signature, SPEC.output_hash)


def test_a_cell_takes_what_is_null_from_its_model_and_device() -> None:
    (on_cpu,) = resolve(make_sweep({}, base=Parameters(model="5b")))
    (on_gpu,) = resolve(make_sweep({}, base=Parameters(model="5b")), device="cuda")
    (as_told,) = resolve(make_sweep({}, base=Parameters(model="5b", scheduler="ddim", height=320, dtype="float16")))

    names = ("scheduler", "height", "width", "dtype", "device", "clip_model", "max_sequence_length")
    assert values_of([on_cpu, on_gpu, as_told], *names) == [
        ("dpm", 480, 720, "float32", "cpu", "ViT-B-32:openai", 226),
        ("dpm", 480, 720, "bfloat16", "cuda", "ViT-B-32:openai", 226),
        ("ddim", 320, 720, "float16", "cpu", "ViT-B-32:openai", 226),
    ]
    assert (on_cpu.placement, on_gpu.placement) == ("resident", "resident")


def test_all_cells_of_a_model_have_the_placement_in_which_the_largest_of_them_fits() -> None:
    untiled = make_sweep({"vae_tiling": (True, False), "model": ("2b", "5b")})
    asked = make_sweep({}, name="asked", base=Parameters(placement="model"))

    specs = resolve(untiled, asked, device="cuda", budget=Budget(vram_gib=16, ram_gib=30))

    assert values_of(specs, "model", "vae_tiling", "placement") == [
        ("2b", True, "group"), ("2b", False, "group"), ("5b", True, "group"), ("5b", False, "group"),
        ("2b", True, "model"),
    ]  # fmt: skip


def test_a_placement_is_chosen_for_each_model_by_itself() -> None:
    specs = resolve(make_sweep({"model": ("2b", "5b")}), device="cuda", budget=Budget(vram_gib=12, ram_gib=14))

    assert values_of(specs, "model", "placement") == [("2b", "resident"), ("5b", "sequential")]


def test_a_plan_on_a_gpu_says_what_auto_chose_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hardware, "gpu", lambda: Gpu("NVIDIA", "580", 80 * GIB, 80 * GIB, (9, 0)))
    monkeypatch.setattr(hardware, "available_memory", lambda: 32 * GIB)

    free, capped = (plan_sweeps(["guidance"], use_store=False, max_vram=cap) for cap in (None, 6))

    where = f"{shipped.SWEEPS}/guidance.yaml:base.placement"
    assert [(planned.runs[0].spec.placement, planned.max_vram_gib) for planned in (free, capped)] == [
        ("resident", None), ("group", 6),
    ]  # fmt: skip
    assert [planned.advice for planned in (free, capped)] == [
        (Advice("note", where, "auto for 2b is resident: it needs 7.9 of 79.5 GiB of VRAM; text encoder resident"),),
        (
            Advice(
                "note",
                where,
                "auto for 2b is group: resident needs 7.9 GiB of VRAM and 6.0 can be used (--max-vram 6); "
                "text encoder sequential",
            ),
        ),
    ]


@pytest.mark.parametrize("cap", [0, -1, float("nan"), float("inf")])
def test_a_cap_on_the_gpus_memory_is_above_0(cap: float) -> None:
    with pytest.raises(CogxError, match="--max-vram .*: must be a number of GiB above 0"):
        plan_sweeps(["guidance"], use_store=False, device="cpu", max_vram=cap)


def test_a_cap_on_the_gpus_memory_has_no_effect_on_a_cpu() -> None:
    planned = plan_sweeps(["guidance"], use_store=False, device="cpu", max_vram=6)

    assert planned.advice == (Advice("note", "(command line):max_vram", "has no effect on a CPU"),)
    assert planned.max_vram_gib is None


def test_a_clip_folder_is_known_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()

    (spec,) = resolve(make_sweep({}, base=Parameters(clip_model="clip")))

    assert spec.clip_model == str(tmp_path / "clip")


def test_a_run_is_named_by_what_is_varied_and_its_prompt() -> None:
    (spec,) = resolve(make_sweep({"guidance_scale": (7.5,), "scheduler": ("dpm",), "vae_tiling": (False,)}))

    assert spec.run_name == "guidance=7.5 dpm False p"
    assert spec.axis_values == {"guidance_scale": 7.5}


def test_runs_of_large_seeds_have_names_that_tell_them_apart() -> None:
    specs = resolve(make_sweep({"seed": (1234567, 1234568)}))

    assert [spec.run_name for spec in specs] == ["seed=1234567 p", "seed=1234568 p"]


def test_one_at_a_time_varies_each_axis_around_the_base_and_makes_the_base_once() -> None:
    specs = resolve(make_sweep({"guidance_scale": (1.0, 6.0), "seed": (42, 43)}, "one_at_a_time"))

    assert values_of(specs, "guidance_scale", "seed") == [(1.0, 42), (6.0, 42), (6.0, 43)]


def test_a_grid_is_every_combination_with_the_last_axis_running_fastest() -> None:
    specs = resolve(make_sweep({"guidance_scale": (1.0, 6.0), "seed": (1, 2, 3)}))

    assert values_of(specs, "guidance_scale", "seed") == [
        (1.0, 1), (1.0, 2), (1.0, 3), (6.0, 1), (6.0, 2), (6.0, 3),
    ]  # fmt: skip
    assert {spec.axes for spec in specs} == {("guidance_scale", "seed")}


def test_a_zip_goes_along_all_axes_together() -> None:
    specs = resolve(make_sweep({"guidance_scale": (1.0, 6.0), "seed": (1, 2)}, "zip"))

    assert values_of(specs, "guidance_scale", "seed") == [(1.0, 1), (6.0, 2)]


def test_a_random_draw_is_the_same_every_time_never_repeats_and_comes_from_the_grid() -> None:
    axes = {"guidance_scale": (1.0, 3.0, 6.0, 9.0), "seed": (1, 2, 3, 4, 5)}

    first, again, other = (
        values_of(resolve(make_sweep(axes, "random", random=RandomDraw(count=12, seed=seed))), "guidance_scale", "seed")
        for seed in (0, 0, 1)
    )

    assert first == again
    assert first != other
    assert len(first) == len(set(first)) == 12
    assert set(first) <= {(guidance, seed) for guidance in axes["guidance_scale"] for seed in axes["seed"]}


def test_a_random_draw_of_all_is_the_whole_grid() -> None:
    specs = resolve(make_sweep({"seed": (1, 2, 3)}, "random", random=RandomDraw(count=3)))

    assert sorted(values_of(specs, "seed")) == [(1,), (2,), (3,)]


@pytest.mark.parametrize(("axes", "cells"), [({"seed": (1, 2, 3)}, 3), ({}, 1)])
def test_a_random_draw_of_more_than_the_grid_is_refused(axes: Mapping[str, tuple[Any, ...]], cells: int) -> None:
    with pytest.raises(InputError) as caught:
        resolve(make_sweep(axes, "random", random=RandomDraw(count=4)))

    assert caught.value.mistakes == (Mistake("exp.yaml:random.count", f"4 is more than the {cells} cells of the grid"),)


def test_a_value_and_the_null_that_means_it_are_one_cell() -> None:
    specs = resolve(make_sweep({"scheduler": (None, "ddim", "dpm")}))

    assert values_of(specs, "scheduler") == [("ddim",), ("dpm",)]


def test_each_configuration_is_made_of_every_prompt(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"A {name}.", encoding="utf-8")

    specs, _ = resolve_cells([make_sweep({"seed": (1, 2)}, prompts=None)], PromptLibrary(tmp_path), "cpu", {})

    assert values_of(specs, "prompt", "seed") == [("A a.", 1), ("A b.", 1), ("A a.", 2), ("A b.", 2)]


def test_a_grid_of_10_000_cells_resolves_to_as_many_cells() -> None:
    specs = resolve(make_sweep({"seed": tuple(range(1000)), "guidance_scale": tuple(map(float, range(10)))}))

    assert len({spec.signature for spec in specs}) == len(specs) == 10_000
    assert actions(specs) == ["run"] * 10_000


def test_every_prompt_and_model_that_cannot_be_had_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = make_sweep({"model": ("2b", "3b", "7b")}, prompts=("p", "q"))
    second = make_sweep({}, name="second", file="second.yaml", base=Parameters(model="3b"), prompts=("r",))

    with pytest.raises(InputError) as caught:
        resolve(first, second)

    assert [mistake.where for mistake in caught.value.mistakes] == [
        "exp.yaml:prompts.1",
        "exp.yaml:axes.model",
        "exp.yaml:axes.model",
        "second.yaml:prompts.0",
        "second.yaml:base.model",
    ]


def test_each_cell_has_the_card_of_its_own_revision() -> None:
    library = PromptLibrary(Path("nowhere"), Prompt("p", "A panda.", "(test)"))

    specs, cards = resolve_cells([make_sweep({"revision": ("aaaa", "bbbb")})], library, "cpu", {})

    assert values_of(specs, "model_revision") == [("aaaa",), ("bbbb",)]
    assert [cards[spec.model_key].revision for spec in specs] == ["aaaa", "bbbb"]


def test_a_cell_that_is_finished_here_is_done_and_names_its_run() -> None:
    finished = past(SPEC, "FINISHED")

    assert choose_actions([SPEC], [finished]) == [Decision("done", finished)]


def test_a_cell_that_is_finished_in_another_experiment_is_reused() -> None:
    assert choose_actions([SPEC], [past(SPEC, "FINISHED", "other")]) == [Decision("reuse")]


def test_a_cell_whose_file_or_score_alone_is_another_is_reused() -> None:
    other_file = past(replace(SPEC, fps=16), "FINISHED")

    assert choose_actions([SPEC], [other_file]) == [Decision("reuse", decodes=True)]


def test_a_cell_of_which_only_other_pixels_are_finished_is_run() -> None:
    assert actions([SPEC], past(replace(SPEC, seed=43), "FINISHED")) == ["run"]


@pytest.mark.parametrize("status", ["KILLED", "RUNNING", "SCHEDULED"])
def test_a_cell_that_was_begun_and_not_ended_is_run(status: str) -> None:
    assert actions([SPEC], past(SPEC, status)) == ["run"]


def test_a_cell_that_failed_here_is_left_until_it_is_asked_for_again() -> None:
    failed = past(SPEC, "FAILED")

    assert actions([SPEC], failed) == ["failed"]
    assert actions([SPEC], failed, retry_failed=True) == ["run"]


def test_a_cell_that_was_ended_as_degenerate_is_made_whole_once_the_switch_is_off() -> None:
    aborting = replace(SPEC, abort_degenerate=True)
    ended = replace(past(aborting, "FAILED"), degenerate="noise", params={"abort_degenerate": "True"})
    not_finite = replace(past(SPEC, "FAILED"), degenerate="nan", params={"abort_degenerate": "False"})

    assert actions([aborting], ended) == ["failed"]
    assert actions([aborting], ended, retry_failed=True) == ["run"]
    assert actions([SPEC], ended) == ["run"]
    assert actions([SPEC], not_finite) == ["failed"]
    assert actions([SPEC], ended, past(SPEC, "FAILED")) == actions([SPEC], past(SPEC, "FAILED"), ended) == ["failed"]


def test_a_cell_that_failed_in_another_experiment_is_run() -> None:
    assert actions([SPEC], past(SPEC, "FAILED", "other")) == ["run"]


def test_a_cell_that_failed_and_then_finished_is_done_in_whatever_order_the_store_tells() -> None:
    failed, finished = past(SPEC, "FAILED"), past(SPEC, "FINISHED")

    assert choose_actions([SPEC], [failed, finished]) == [Decision("done", finished)]
    assert choose_actions([SPEC], [finished, failed]) == [Decision("done", finished)]


def test_a_failed_cell_that_is_tried_again_takes_over_what_another_experiment_finished() -> None:
    history = past(SPEC, "FAILED"), past(SPEC, "FINISHED", "other")

    assert actions([SPEC], *history, retry_failed=True) == ["reuse"]


def test_a_cell_is_run_for_the_first_sweep_that_names_it_and_reused_by_the_others() -> None:
    second, third = replace(SPEC, sweep="second"), replace(SPEC, sweep="third", placement="resident")

    assert actions([SPEC, second, third]) == ["run", "reuse", "reuse"]


def test_a_cell_that_failed_in_the_first_sweep_is_run_in_the_second() -> None:
    second = replace(SPEC, sweep="second")

    assert actions([SPEC, second], past(SPEC, "FAILED")) == ["failed", "run"]


def test_cells_of_one_model_and_of_one_compiled_shape_are_neighbours_and_else_in_the_files_order(
    tmp_path: Path,
) -> None:
    (tmp_path / "p.txt").write_text("A cat.", encoding="utf-8")

    def order(**base: Any) -> list[tuple[Any, ...]]:
        axes = {"model": ("2b", "5b"), "guidance_scale": (1, 6), "seed": (1, 2)}
        parameters = Parameters.model_validate({"placement": "resident", **base})
        sweep = Sweep(name="e", file="e", description="", prompts=None, base=parameters, axes=axes, vary="grid")
        by_seed = sweep.model_copy(update={"name": "f", "axes": {"seed": (3,)}})
        specs, _ = resolve_cells([sweep, by_seed], PromptLibrary(tmp_path), "cuda", {})
        return [(spec.model, spec.guidance_scale, spec.seed) for spec in specs]

    two = [("2b", 1, 1), ("2b", 1, 2), ("2b", 6, 1), ("2b", 6, 2), ("2b", 6, 3)]
    five = [("5b", *rest) for _, *rest in two[:-1]]
    assert order() == two + five
    assert order(compile=True, seed=9) == two + five
