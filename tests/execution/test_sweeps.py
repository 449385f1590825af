"""Sweeps from the command line to the tracking store, with every part real."""

import json
import os
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image
from safetensors.torch import load_file

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import read_mp4
from tests.support.running import never, run
from tests.support.sweeping import Invoke, artifacts, one, statuses

CONTRACT_METRICS = {
    "clip_score", "wall_time_s", "encode_text_s", "denoise_s", "decode_s", "encode_video_s", "step_s", "peak_ram_gib",
    "file_size_bytes",
}  # fmt: skip
ARTIFACTS = {"video.mp4", "video_large.mp4", "contact_sheet.png", "latents.safetensors", "prompt.txt", "config.yaml",
             "metrics.yaml", "images"}  # fmt: skip


def test_a_sweep_tracks_all_that_the_contract_names(
    invoke: Invoke, project: Path, tmp_path: Path, tiny_model: Path
) -> None:
    result = invoke("sweep", "guidance.yaml", "--json")

    assert result.exit_code == 0
    assert statuses(result) == ["finished", "finished"]
    runs = load_runs("exp_guidance", sort="guidance_scale")
    assert list(runs["status"]) == ["FINISHED", "FINISHED"]
    assert list(runs["metrics.axis.guidance_scale"]) == [1.0, 6.0]
    assert list(runs["run_name"]) == ["guidance=1 panda", "guidance=6 panda"]
    run = runs.iloc[1]
    assert {f"metrics.{name}" for name in CONTRACT_METRICS} <= set(run.dropna().index)
    phases = ["encode_text_s", "denoise_s", "decode_s", "encode_video_s"]
    assert run["metrics.wall_time_s"] == pytest.approx(sum(run[f"metrics.{phase}"] for phase in phases))
    assert run["metrics.step_s"] == pytest.approx(run["metrics.denoise_s"] / 2)
    config = {
        "model": str(tiny_model), "num_inference_steps": 2, "guidance_scale": 6.0, "num_frames": 9, "fps": 8,
        "seed": 42, "height": 32, "width": 32, "scheduler": "ddim", "use_dynamic_cfg": False, "dtype": "float32",
        "device": "cpu", "placement": "resident", "vae_tiling": True, "vae_slicing": True, "max_sequence_length": 226,
        "negative_prompt": "", "prompt_name": "panda", "video_quality": 5.0,
    }  # fmt: skip
    assert {name: run[f"params.{name}"] for name in config} == config
    tags = run.filter(like="tags.cogx").dropna()
    assert tags["tags.cogx.kind"] == "run"
    assert tags["tags.cogx.sweep"] == "exp_guidance"
    assert tags["tags.cogx.prompt"] == "A panda plays the guitar."
    for name in ("signature", "output_hash", "command", "noise_sha256", "metrics", "clip_score.model",
                 "clip_score.prompt_truncated", "env.torch", "env.diffusers", "env.mlflow",
                 "env.git_commit", "env.git_dirty", "env.device_name", "env.python",
                 "env.model_weights_sha256"):  # fmt: skip
        assert tags[f"tags.cogx.{name}"]
    folder = artifacts(run["run_id"], tmp_path / "got")
    assert {path.name for path in folder.iterdir()} == ARTIFACTS
    assert read_mp4(folder / "video.mp4").shape == (9, 32, 32, 3)
    assert (folder / "video.mp4").stat().st_size == run["metrics.file_size_bytes"]
    meaning = yaml.safe_load((folder / "metrics.yaml").read_text(encoding="utf-8"))
    assert meaning["clip_score"]["definition"].startswith("100 x cosine of image and text embedding")
    assert meaning["clip_score"]["prompt_truncated"] == "False"
    assert {name: card["identity"] for name, card in meaning.items()} == json.loads(tags["tags.cogx.metrics"])
    assert set(meaning) >= CONTRACT_METRICS
    assert Image.open(folder / "contact_sheet.png").size == (96, 96)
    assert load_file(folder / "latents.safetensors")["latents"].shape == (1, 3, 4, 4, 4)
    assert (folder / "prompt.txt").read_text(encoding="utf-8") == "A panda plays the guitar.\n"
    written = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert written["prompt"] == "A panda plays the guitar."
    assert {name: written[name] for name in config} == config


def test_the_logged_command_makes_the_same_cell_again(invoke: Invoke) -> None:
    changes = ["--set", "scheduler=dpm", "--set", "negative_prompt='no: blur'", "--set", "vae_tiling=false"]
    invoke("sweep", "seed.yaml", "--guidance", "2.5", "--fps", "12", *changes)
    run = load_runs("exp_seed", where=["seed=7"]).iloc[0]

    command = shlex.split(run["tags.cogx.command"])
    assert command[:2] == ["cogx-runs", "generate"]
    again = one(invoke(*command[1:], "--json"))

    assert again["signature"] == run["tags.cogx.signature"]
    assert again["status"] == "reused"


def test_what_is_finished_is_not_run_again_and_what_another_sweep_finished_is_reused(
    invoke: Invoke, tmp_path: Path
) -> None:
    invoke("sweep", "guidance.yaml")
    plan = json.loads(invoke("plan", "guidance.yaml", "seed.yaml", "--json").stdout)
    assert [run["action"] for run in plan["runs"]] == ["done", "done", "reuse", "run"]

    result = invoke("sweep", "guidance.yaml", "seed.yaml", "--json")

    assert statuses(result) == ["done", "done", "reused", "finished"]
    made = load_runs("exp_guidance", where=["guidance_scale=6"]).iloc[0]
    reused = load_runs("exp_seed", where=["seed=42"]).iloc[0]
    assert reused["status"] == "FINISHED"
    assert reused["tags.cogx.reused_from"] == made["run_id"]
    assert reused["metrics.axis.seed"] == 42
    same = [column for column in made.index if column.startswith("metrics.") and "axis" not in column]
    pd.testing.assert_series_equal(reused[same], made[same], check_names=False)
    store = RunStore()
    series = [
        store.series(next(run for run in store.runs() if run.run_id == found["run_id"])) for found in (made, reused)
    ]
    assert series[0] == series[1]
    assert {name: len(values) for name, values in series[0].items()} == {
        "by_frame.change": 8, "by_frame.clip_score": 9, "by_step.latent_std": 2,
    }  # fmt: skip
    for name in ("video.mp4", "contact_sheet.png", "latents.safetensors"):
        one, other = (artifacts(run["run_id"], tmp_path / run["run_id"]) / name for run in (made, reused))
        assert one.read_bytes() == other.read_bytes()


def test_another_fps_is_made_from_the_kept_latents_without_denoising(invoke: Invoke, tmp_path: Path) -> None:
    invoke("sweep", "seed.yaml")
    made = load_runs("exp_seed", where=["seed=7"]).iloc[0]

    plan = plan_sweeps(["seed.yaml"], device="cpu", overrides={"fps": 16})
    assert run(plan, denoise=never) == ["finished", "finished"]

    again = load_runs("exp_seed", where=["seed=7", "fps=16"]).iloc[0]
    assert again["tags.cogx.signature"] == made["tags.cogx.signature"]
    assert again["tags.cogx.output_hash"] != made["tags.cogx.output_hash"]
    assert again["tags.cogx.latents_from"] == made["run_id"]
    assert again["metrics.denoise_s"] == made["metrics.denoise_s"]
    sheets = [artifacts(run["run_id"], tmp_path / run["run_id"]) / "contact_sheet.png" for run in (made, again)]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()


def test_a_sweep_without_clip_weights_finishes_without_the_score_and_says_so(invoke: Invoke) -> None:
    result = invoke("sweep", "seed.yaml", "--clip-model", "ViT-B-32:openai", "--json")

    assert (result.exit_code, statuses(result)) == (0, ["finished", "finished"])
    assert (
        "CLIP-IQA sharpness: the weights of timm/vit_base_patch32_clip_224.openai are not on this machine"
        in result.stderr
    )
    runs = load_runs("exp_seed")
    assert runs["metrics.clip_score"].isna().all()
    assert runs["tags.cogx.clip_score.missing"].str.contains("HF_HUB_OFFLINE is set").all()


@pytest.mark.slow
def test_a_reused_cell_keeps_the_placement_that_its_figures_were_measured_on(invoke: Invoke) -> None:
    invoke("sweep", "guidance.yaml")

    invoke("sweep", "seed.yaml", "--placement", "group")

    placements = load_runs("exp_seed", sort="-seed")["params.placement"]
    assert list(placements) == ["resident", "group"]


def test_a_sweep_over_models_frees_one_pipeline_and_loads_the_next(
    invoke: Invoke, tiny_model: Path, project: Path
) -> None:
    shutil.copytree(tiny_model, project / "second")
    os.utime(project / "second" / "vae" / "diffusion_pytorch_model.safetensors")
    content = yaml.safe_load((project / "guidance.yaml").read_text())
    content["axes"] = {"model": [str(tiny_model), "second"], "vae_tiling": [True, False]}
    content["vary"] = "grid"
    (project / "models.yaml").write_text(yaml.safe_dump({**content, "name": "models"}))

    result = invoke("sweep", "models.yaml", "--json")

    assert statuses(result) == ["finished"] * 4
    assert load_runs("models")["tags.cogx.noise_sha256"].nunique() == 1
    assert load_runs("models")["tags.cogx.signature"].nunique() == 4


def test_artifacts_that_somebody_deleted_are_made_again(invoke: Invoke) -> None:
    invoke("sweep", "guidance.yaml")
    for made in RunStore().runs(["exp_guidance"]):
        shutil.rmtree(MlflowClient().get_run(made.run_id).info.artifact_uri)

    result = invoke("sweep", "seed.yaml", "--json")

    assert statuses(result) == ["finished", "finished"], "none is a copy of what is gone"
    assert set(statuses(invoke("sweep", "guidance.yaml", "--json"))) <= {"finished", "reused"}
