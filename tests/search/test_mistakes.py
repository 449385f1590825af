"""Mistakes in a search, each one clear line before anything runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cogx_runs import plan_sweeps
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import InputError, Mistake
from cogx_runs.search.optuna.forecast import advise_search
from tests.support.searches import Make


@pytest.mark.parametrize(
    ("axes", "where", "message"),
    [
        (
            {"num_frames": {"low": 9, "high": 25}},
            "num_frames",
            "10 frames would come back as 9; use 9 or 17; 14 of the 17 values are like this: give the range a `step`, "
            "or list values",
        ),
        (
            {"num_inference_steps": {"low": 10, "high": 20}},
            "num_inference_steps",
            "ddim leaves noise at 11 steps; use 10 or 20, or ddim_matched, which is right at any count; 6 of the 11 "
            "values are like this: give the range a `step`, or list values",
        ),
    ],
)
def test_a_range_with_invalid_values_is_one_clear_error(
    make: Make, axes: Mapping[str, Any], where: str, message: str
) -> None:
    search = make(axes)

    errors = [item for item in advise_search(search) if item.level == "error"]

    assert [(item.where, item.message) for item in errors] == [(f"{search.sweep.file}:axes.{where}", message)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"objectives": ["clip_scor"]}, ("optuna.objectives.0", "no metric 'clip_scor'; did you mean 'clip_score'?")),
        (
            {"objectives": ["clip_score.ViT-L-14:openai"]},
            (
                "optuna.objectives.0",
                "not every cell of a sweep has clip_score.ViT-L-14:openai; did you mean 'clip_score'?",
            ),
        ),
        (
            {"objectives": ["step_s", "peak_vram_text_gib"]},
            (
                "optuna.objectives.1",
                "not every cell of a sweep has peak_vram_text_gib; did you mean 'peak_vram_gib'?",
            ),
        ),
        (
            {"objectives": ["clip_score", "step_s", "denoise_s"]},
            ("optuna", "`objectives` are one or two metrics, these are 3"),
        ),
        ({"objectives": ["step_s"] * 2}, ("optuna", "`objectives` names step_s twice")),
        ({"directions": ["maximize"] * 2}, ("optuna", "`directions` needs one for each of `objectives`")),
        ({"seeds": [1, 1]}, ("optuna", "`seeds` names one more than once")),
        ({"trails": 3}, ("optuna.trails", "unknown key; did you mean 'trials'?")),
        (
            {"axes": {"seed": [1, 2]}},
            (
                "axes.seed",
                "is not searched: the luckiest would win; name those to average over in `optuna: {seeds: [...]}`",
            ),
        ),
        (
            {"axes": {"scheduler": {"low": 1, "high": 2}}},
            ("axes.scheduler", "is no number, and has no range; list the values to choose from"),
        ),
        (
            {"axes": {"num_frames": {"low": 9.5, "high": 25}}},
            ("axes.num_frames", "is a whole number; write low, high and step as such"),
        ),
        ({"axes": {"fps": {"low": 9, "high": 8}}}, ("axes.fps", "low 9 is not below high 8")),
        ({"axes": {"fps": {"low": 9, "high": 12, "step": 0}}}, ("axes.fps", "step 0 is not above 0")),
        (
            {"axes": {"fps": {"low": 9, "high": 12, "step": 2}}},
            ("axes.fps", "steps of 2 from 9 do not reach high 12; write 11"),
        ),
        (
            {"axes": {"guidance_scale": {"low": 0, "high": 12, "log": True}}},
            ("axes.guidance_scale", "low 0 has no logarithm; `log` needs more than 0"),
        ),
        (
            {"axes": {"guidance_scale": {"low": 1, "high": 12, "log": True, "step": 1}}},
            ("axes.guidance_scale", "has both `log` and `step`; use one"),
        ),
        (
            {"axes": {"guidance_scale": {"low": "x", "high": 12}}},
            ("axes.guidance_scale.low", "must be a number (got 'x')"),
        ),
        ({"axes": {"guidance_scale": {"low": 1}}}, ("axes.guidance_scale.high", "is required")),
        (
            {"axes": {"guidance_scale": {"low": 1, "hihg": 2, "high": 3}}},
            ("axes.guidance_scale.hihg", "unknown key; did you mean 'high'?"),
        ),
        (
            {"axes": {"guidance_scale": {"low": 1, "high": 1000}}},
            ("axes.guidance_scale.high", "Input should be less than or equal to 100 (got 1000)"),
        ),
        (
            {"axes": {"vae_slicing": {"low": 1, "high": 2}}},
            (
                "axes.vae_slicing",
                "is no axis: its cells would all be one, with the same pixels and scores; set it in base",
            ),
        ),
        ({"axes": {"heigth": {"low": 1, "high": 2}}}, ("axes.heigth", "unknown parameter; did you mean 'height'?")),
    ],
)
def test_a_mistake_in_a_search_is_one_clear_line(
    make: Make, tmp_path: Path, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    where, message = expected

    with pytest.raises(InputError) as caught:
        make(**changes)

    assert caught.value.mistakes == (Mistake(f"{tmp_path}/search.yaml:{where}", message),)


@pytest.mark.parametrize("metric", ["psnr", "ssim", "lpips", "idle_before_s"])
def test_a_metric_that_a_sweep_may_lack_is_no_objective(make: Make, metric: str) -> None:
    with pytest.raises(InputError, match=f"not every cell of a sweep has {metric}; "):
        make(objectives=[metric])


@pytest.mark.parametrize(
    ("rest", "where", "message"),
    [
        (
            "axes: {guidance_scale: {low: 1, high: 2}}",
            ":axes.guidance_scale",
            "a range is for `vary: optuna`; list the values",
        ),
        ("axes: {seed: {low: 1, high: 2}}", ":axes.seed", "a range is for `vary: optuna`; list the values"),
        (
            "axes: {fps: [8, 9]}\nvary: optuna",
            "",
            "`vary: optuna` and `optuna: {trials: N, objectives: [METRIC]}` go together",
        ),
        (
            "vary: optuna\noptuna: {trials: 2, objectives: [clip_score]}",
            "",
            "`vary: optuna` needs `axes` to search",
        ),
    ],
)
def test_a_search_and_its_settings_go_together(tmp_path: Path, rest: str, where: str, message: str) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(f"name: s\nprompts: all\n{rest}\n", encoding="utf-8")

    with pytest.raises(InputError) as caught:
        load_sweeps([file])

    assert caught.value.mistakes == (Mistake(f"{file}{where}", message),)


def test_memory_of_a_gpu_is_no_objective_on_a_cpu(make: Make) -> None:
    search = make(objectives=["clip_score", "peak_vram_gib"])

    assert [(item.level, item.message) for item in advise_search(search) if item.level == "error"] == [
        ("error", "peak_vram_gib is not measured on a CPU")
    ]


def test_an_error_in_the_values_of_a_search_stops_the_plan(project: Path) -> None:
    (project / "search.yaml").write_text(
        "name: s\nprompts: [panda_guitar]\naxes: {num_frames: [9, 29]}\nvary: optuna\n"
        "optuna: {trials: 2, objectives: [clip_score]}\n",
        encoding="utf-8",
    )

    planned = plan_sweeps(["search.yaml"], device="cpu")

    assert [item.message for item in planned.errors] == ["29 frames would come back as 32; use 25 or 33"]
    assert planned.runs == ()
