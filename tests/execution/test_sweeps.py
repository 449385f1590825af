"""Sweeps from the command line to the tracking store, with every part real."""

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file

from cogx_runs import load_runs
from cogx_runs.cli import cli
from cogx_runs.metrics import registry
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.metric import MeanMetric
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import read_mp4

CONTRACT_METRICS = {
    "clip_score", "wall_time_s", "encode_text_s", "denoise_s", "decode_s", "encode_video_s", "step_s", "peak_ram_gib",
    "file_size_bytes",
}  # fmt: skip
ARTIFACTS = {"video.mp4", "contact_sheet.png", "latents.safetensors", "prompt.txt", "config.yaml", "metrics.yaml",
             "images"}  # fmt: skip

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(project: Path, tiny_model: Path, tiny_clip: Path) -> Invoke:
    """Run `cogx-runs` with these arguments in a project that holds a guidance and a seed sweep."""
    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")
    (project / "prompts" / "cat.txt").write_text("A cat at a keyboard.\n", encoding="utf-8")
    base = {
        "model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9,
        "guidance_scale": 6, "seed": 42,
    }  # fmt: skip
    sweeps = {
        "guidance": {"name": "exp_guidance", "description": "Why.", "axes": {"guidance_scale": [1, 6]}},
        "seed": {"name": "exp_seed", "axes": {"seed": [42, 7]}},
    }
    for name, content in sweeps.items():
        text = yaml.safe_dump({"prompts": ["panda"], "base": base, **content})
        (project / f"{name}.yaml").write_text(text, encoding="utf-8")

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def artifacts(run_id: str, folder: Path) -> Path:
    return RunStore().download(run_id, "", folder)


def statuses(result: Result) -> list[str]:
    return [outcome["status"] for outcome in json.loads(result.stdout)["runs"]]


def one(result: Result) -> dict[str, Any]:
    (run,) = json.loads(result.stdout)["runs"]
    return run


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
        store.series(next(run for run in store.runs() if run.info.run_id == found["run_id"]))
        for found in (made, reused)
    ]
    assert series[0] == series[1]
    assert {name: len(values) for name, values in series[0].items()} == {
        "by_frame.change": 8, "by_frame.clip_score": 9, "by_step.latent_std": 2,
    }  # fmt: skip
    for name in ("video.mp4", "contact_sheet.png", "latents.safetensors"):
        one, other = (artifacts(run["run_id"], tmp_path / run["run_id"]) / name for run in (made, reused))
        assert one.read_bytes() == other.read_bytes()


def test_another_fps_is_made_from_the_kept_latents_without_denoising(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("sweep", "seed.yaml")
    made = load_runs("exp_seed", where=["seed=7"]).iloc[0]
    monkeypatch.delattr("cogx_runs.making.denoise")

    result = invoke("sweep", "seed.yaml", "--fps", "16", "--json")

    assert statuses(result) == ["finished", "finished"]
    again = load_runs("exp_seed", where=["seed=7", "fps=16"]).iloc[0]
    assert again["tags.cogx.signature"] == made["tags.cogx.signature"]
    assert again["tags.cogx.output_hash"] != made["tags.cogx.output_hash"]
    assert again["tags.cogx.latents_from"] == made["run_id"]
    assert again["metrics.denoise_s"] == made["metrics.denoise_s"]
    sheets = [artifacts(run["run_id"], tmp_path / run["run_id"]) / "contact_sheet.png" for run in (made, again)]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()


def test_a_cell_that_fails_keeps_its_traceback_and_the_sweep_goes_on(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_at_guidance_1(monkeypatch)

    result = invoke("sweep", "guidance.yaml", "--json")

    assert (result.exit_code, statuses(result)) == (1, ["failed", "finished"])
    failed = load_runs("exp_guidance", where=["status=FAILED"]).iloc[0]
    assert failed["params.guidance_scale"] == 1.0
    traceback = (artifacts(failed["run_id"], tmp_path) / "traceback.txt").read_text(encoding="utf-8")
    assert "ZeroDivisionError: broken on purpose" in traceback
    assert "runner.py" in traceback


def test_a_failed_cell_is_taken_up_again_only_when_asked(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        break_at_guidance_1(broken)
        invoke("sweep", "guidance.yaml")

    left = invoke("sweep", "guidance.yaml", "--json")
    retried = invoke("sweep", "guidance.yaml", "--retry-failed", "--json")

    assert (left.exit_code, statuses(left)) == (1, ["failed", "done"])
    assert (retried.exit_code, statuses(retried)) == (0, ["finished", "done"])
    assert sorted(load_runs("exp_guidance")["status"]) == ["FAILED", "FINISHED", "FINISHED"]


def test_fail_fast_stops_at_the_first_failure_but_not_at_one_from_before(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        break_at_guidance_1(broken)
        result = invoke("sweep", "guidance.yaml", "seed.yaml", "--fail-fast", "--json")

    assert (result.exit_code, statuses(result)) == (1, ["failed", "skipped", "skipped", "skipped"])
    assert statuses(invoke("sweep", "guidance.yaml", "--fail-fast", "--json")) == ["failed", "finished"]


def break_at_guidance_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from cogx_runs import making

    works = making.denoise

    def broken(pipe: Any, spec: Any, *others: Any) -> Any:
        if spec.guidance_scale == 1:
            raise ZeroDivisionError("broken on purpose")
        return works(pipe, spec, *others)

    monkeypatch.setattr(making, "denoise", broken)


def test_a_missing_clip_leaves_the_score_out_and_rescore_adds_it_from_the_latents(
    invoke: Invoke, tiny_clip: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip"
    shutil.copytree(tiny_clip, clip)
    scored = json.loads(invoke("sweep", "seed.yaml", "--clip-model", clip, "--json").stdout)["runs"]
    store = RunStore()
    for run in store.runs(["exp_seed"]):
        store._client.set_tag(run.info.run_id, "cogx.clip_score.missing", "as if")
        known = json.loads(run.data.tags["cogx.metrics"])
        store._client.set_tag(
            run.info.run_id, "cogx.metrics", json.dumps({name: known[name] for name in known if name != "clip_score"})
        )
        _delete_metric(run.info.run_id, "clip_score")

    rescored = invoke("rescore", "exp_seed")

    assert rescored.stdout.splitlines()[-1] == "2 runs scored"
    runs = load_runs("exp_seed", sort="-seed")
    assert list(runs["metrics.clip_score"]) == pytest.approx([run["metrics"]["clip_score"] for run in scored], abs=1e-5)
    assert runs["tags.cogx.clip_score.decoded_as"].unique().tolist() == ["float32 on cpu"]
    assert "tags.cogx.clip_score.missing" not in runs
    assert invoke("rescore", "seed.yaml").stdout == "0 runs scored\n"
    assert statuses(invoke("sweep", "seed.yaml", "--clip-model", clip, "--json")) == ["done", "done"]


def _delete_metric(run_id: str, key: str) -> None:
    import sqlite3

    with sqlite3.connect("mlflow.db") as database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"delete from {table} where run_uuid = ? and key = ?", (run_id, key))


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


def test_the_score_of_another_clip_is_a_metric_of_its_own_and_leaves_the_cells_done(
    invoke: Invoke, tiny_clip: Path, project: Path
) -> None:
    before = json.loads(invoke("sweep", "seed.yaml", "--json").stdout)["runs"][0]["metrics"]["clip_score"]
    shutil.copytree(tiny_clip, project / "other")

    assert invoke("rescore", "exp_seed", "--clip-model", "other").stdout.splitlines()[-1] == "2 runs scored"

    run = load_runs("exp_seed", where=["seed=42"]).iloc[0]
    assert run["metrics.clip_score"] == before
    assert run["metrics.clip_score.other"] == pytest.approx(before, abs=1e-5)
    assert run["tags.cogx.clip_score.other.model"] == str(project / "other")
    assert statuses(invoke("sweep", "seed.yaml", "--json")) == ["done", "done"]


def test_runs_are_compared_with_the_run_that_has_the_references_value_and_shares_all_else(invoke: Invoke) -> None:
    invoke("sweep", "guidance.yaml")

    first = invoke("rescore", "exp_guidance", "--reference", "guidance_scale=6")
    assert first.stdout.splitlines()[-1] == "1 runs scored"

    runs = load_runs("exp_guidance", sort="guidance_scale")
    assert 0 < runs["metrics.psnr.guidance_scale_6.0"].iloc[0] < 100
    assert runs["metrics.ssim.guidance_scale_6.0"].iloc[0] < 1
    assert runs["metrics.psnr.guidance_scale_6.0"].isna().tolist() == [False, True]
    again = invoke("rescore", "exp_guidance", "--reference", "guidance_scale=6.0")
    assert again.stdout == "0 runs scored\n"
    assert statuses(invoke("sweep", "guidance.yaml", "--json")) == ["done", "done"]
    for reference, message in (
        ("guidance_scale=3", "--reference guidance_scale=3.0: exp_guidance has no finished run with it"),
        ("num_frames=9", "--reference num_frames: videos are not compared across it"),
        ("guidance", "--reference guidance: write it as KEY=VALUE"),
    ):
        result = invoke("rescore", "exp_guidance", "--reference", reference)
        assert (result.exit_code, message in result.stderr) == (2, True)


@pytest.mark.slow
def test_a_metric_that_is_new_is_added_by_rescore_and_the_cells_are_done_again(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("sweep", "seed.yaml")
    before = load_runs("exp_seed")
    card = MetricCard(name="brightness", title="brightness", definition="mean of all pixels", source="a test")
    still = MetricCard(name="still", title="still", definition="of single frames", source="a test")
    new = (MeanMetric(card, lambda subject: subject.frames.mean()), MeanMetric(still, lambda _: 1.0, frames_needed=100))
    monkeypatch.setattr(registry, "BUILT_IN", (*registry.BUILT_IN, *new))
    for cached in (registry.metrics, registry.cards):
        cached.cache_clear()

    try:
        planned = json.loads(invoke("plan", "seed.yaml", "--json").stdout)
        assert [run["action"] for run in planned["runs"]] == ["reuse", "reuse"]
        assert planned["advice"][-1] == {
            "level": "note",
            "where": "seed.yaml:name",
            "message": "2 finished cells lack brightness, still: first `cogx-runs rescore exp_seed`, which measures "
            "that in place; without it each gets a second run",
        }
        assert invoke("rescore", "exp_seed").stdout.splitlines()[-1] == "2 runs scored"
        runs = load_runs("exp_seed")
        assert runs["metrics.brightness"].between(0, 255).all()
        assert list(runs["metrics.clip_score"]) == list(before["metrics.clip_score"])
        assert "metrics.still" not in runs or runs["metrics.still"].isna().all()
        assert invoke("rescore", "exp_seed").stdout == "0 runs scored\n"
        again = invoke("sweep", "seed.yaml", "--json")
        assert statuses(again) == ["done", "done"]
        assert "rescore" not in again.stdout
    finally:
        monkeypatch.undo()
        for cached in (registry.metrics, registry.cards):
            cached.cache_clear()


def test_a_model_folder_that_has_changed_since_is_used_to_rescore_what_it_made_since_and_nothing_else(
    invoke: Invoke, tiny_model: Path, tiny_clip: Path, project: Path
) -> None:
    shutil.copytree(tiny_model, project / "model")
    invoke("sweep", "seed.yaml", "--model", "model")
    os.utime(project / "model" / "vae" / "diffusion_pytorch_model.safetensors")
    shutil.copytree(tiny_clip, project / "other")
    invoke("sweep", "seed.yaml", "--model", "model")

    result = invoke("rescore", "exp_seed", "--clip-model", "other")

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "2 runs scored, 2 failed")
    failed = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2
    assert all("model: has changed since the run was made" in line for line in failed)


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


def test_export_writes_the_old_layout_with_a_table(invoke: Invoke, project: Path) -> None:
    invoke("sweep", "guidance.yaml", "seed.yaml")

    assert invoke("export", "guidance.yaml", "out").exit_code == 0
    assert invoke("export", "exp_seed", "out").exit_code == 0

    written = sorted(str(path.relative_to(project / "out")) for path in (project / "out").rglob("*.*"))
    assert written == [
        "exp_guidance/panda_gs1.mp4",
        "exp_guidance/panda_gs6.mp4",
        "exp_guidance/runs.csv",
        "exp_seed/panda_seed42.mp4",
        "exp_seed/panda_seed7.mp4",
        "exp_seed/runs.csv",
    ]
    table = pd.read_csv(project / "out" / "exp_guidance" / "runs.csv").set_index("file")
    assert table.loc["panda_gs6.mp4", "params.guidance_scale"] == 6.0


def test_videos_of_one_name_are_exported_under_names_of_their_own(invoke: Invoke, project: Path) -> None:
    invoke("sweep", "seed.yaml")
    invoke("sweep", "seed.yaml", "--guidance", "3")
    invoke("sweep", "seed.yaml", "--fps", "16")

    invoke("export", "exp_seed", "out")

    videos = sorted(path.name for path in (project / "out" / "exp_seed").glob("*.mp4"))
    identities = sorted(load_runs("exp_seed", where=["seed=7"])["tags.cogx.output_hash"])
    assert len(videos) == 6
    assert {f"panda_seed7_{identity[:6]}.mp4" for identity in identities} <= set(videos)


def test_generate_makes_one_video_of_a_text_or_a_named_prompt_and_copies_it(
    invoke: Invoke, project: Path, tiny_model: Path, tiny_clip: Path
) -> None:
    options = ["--model", tiny_model, "--steps", 2, "--frames", 9, "--clip-model", tiny_clip, "--json"]

    text = one(invoke("generate", "A dog runs.", *options, "-o", "dog.mp4"))
    named = one(invoke("generate", "cat", *options))
    again = one(invoke("generate", "cat", *options))

    assert (text["sweep"], text["run_name"], text["status"]) == ("generate", "a_dog_runs", "finished")
    assert read_mp4(project / "dog.mp4").shape == (9, 32, 32, 3)
    assert (named["run_name"], named["status"], again["status"]) == ("cat", "finished", "done")
    wrong = invoke("generate", "cta", *options[:-1])
    assert wrong.exit_code == 2
    assert "no prompt 'cta' in prompts; did you mean 'cat'?" in wrong.stderr


def test_runs_are_listed_filtered_sorted_and_typed(invoke: Invoke) -> None:
    invoke("sweep", "guidance.yaml", "seed.yaml")

    frame = load_runs()
    listed = json.loads(invoke("runs", "exp_seed", "--where", "seed>10", "--json").stdout)

    assert len(frame) == 4
    assert str(frame["params.seed"].dtype) == "Int64"
    assert str(frame["params.guidance_scale"].dtype) == "Float64"
    assert str(frame["params.vae_tiling"].dtype) == "boolean"
    assert str(frame["metrics.wall_time_s"].dtype) == "Float64"
    assert str(frame["start_time"].dtype).startswith("datetime64")
    assert [run["params.seed"] for run in listed] == [42]
    assert {"run_id", "run_name", "experiment", "status"} <= set(listed[0])
    ascending = load_runs("exp_guidance", sort="guidance_scale")["params.guidance_scale"]
    descending = load_runs("exp_guidance", sort="-guidance_scale")["params.guidance_scale"]
    assert (list(ascending), list(descending)) == ([1.0, 6.0], [6.0, 1.0])
    for condition, message in {
        "clip_scor>1": "no column 'clip_scor' among these runs; did you mean 'clip_score'?",
        "seed>many": "seed is a number and 'many' is none",
        "seed": "write it as COLUMN>VALUE",
    }.items():
        wrong = invoke("runs", "--where", condition)
        assert wrong.exit_code == 2
        assert message in wrong.stderr
    table = invoke("runs", "seed.yaml")
    assert table.stdout.count("FINISHED") == 2


def test_a_plan_that_the_models_rules_forbid_is_refused_before_anything_is_made(invoke: Invoke, project: Path) -> None:
    result = invoke("sweep", "guidance.yaml", "--frames", "13", "--steps", "24")

    assert result.exit_code == 2
    assert "(command line):base.num_frames: 13 frames would come back as 16; use 9 or 17" in result.stderr
    assert "(command line):base.num_inference_steps: 24 steps end at timestep" in result.stderr
    assert "Traceback" not in result.stderr
    assert load_runs().empty


def test_plan_json_prints_its_object_for_bad_input_too(invoke: Invoke, project: Path) -> None:
    (project / "bad.yaml").write_text("name: bad\nprompts: [panda, pand]\nbase: {steps: 10}\nvary: gird\n")

    result = invoke("plan", "bad.yaml", "--json")

    assert result.exit_code == 2
    printed = json.loads(result.stdout)
    assert printed["runs"] == []
    assert [(advice["level"], advice["where"]) for advice in printed["advice"]] == [
        ("error", "bad.yaml:base.steps"),
        ("error", "bad.yaml:vary"),
    ]
    assert "did you mean 'num_inference_steps'?" in printed["advice"][0]["message"]


def test_planning_creates_no_store(invoke: Invoke, project: Path) -> None:
    (project / "mlflow.db").unlink()

    assert invoke("plan", "guidance.yaml").exit_code == 0
    assert not (project / "mlflow.db").exists()


def test_estimates_are_null_without_a_basis_and_learned_from_finished_runs(invoke: Invoke) -> None:
    before = json.loads(invoke("plan", "guidance.yaml", "--json").stdout)["runs"][0]
    assert before["estimated_s"] is None
    assert "no finished run of" in before["estimate_basis"]
    invoke("sweep", "guidance.yaml")

    after = json.loads(invoke("plan", "seed.yaml", "--json").stdout)["runs"][1]

    finished = load_runs("exp_guidance", where=["guidance_scale=6"]).iloc[0]
    other_file = json.loads(invoke("plan", "guidance.yaml", "--fps", "16", "--json").stdout)["runs"][1]
    assert (other_file["action"], other_file["estimate_basis"]) == ("reuse", "kept latents are decoded again")
    assert other_file["estimated_s"] > 0
    assert after["estimated_s"] == pytest.approx(finished["metrics.wall_time_s"], abs=0.01)
    assert "median of 1 finished run" in after["estimate_basis"]


def test_artifacts_that_somebody_deleted_are_made_again(invoke: Invoke) -> None:
    invoke("sweep", "guidance.yaml")
    for run in RunStore().runs(["exp_guidance"]):
        shutil.rmtree(run.info.artifact_uri)

    result = invoke("sweep", "seed.yaml", "--json")

    assert statuses(result) == ["finished", "finished"]
    assert "made again, since" in result.stderr


def test_a_nearly_full_disk_stops_the_sweep_with_one_line_before_a_run_is_begun(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogx_runs.disk.FREE_DISK_GIB", 10**9)

    result = invoke("sweep", "guidance.yaml")

    assert result.exit_code == 2
    assert "GiB left on the disk of" in result.stderr.splitlines()[-1]
    assert load_runs().empty


def test_a_disk_that_fills_up_stops_the_sweep_and_the_cell_is_taken_up_again_in_the_same_process(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("cogx_runs.completing.write_mp4", full)
        stopped = invoke("sweep", "guidance.yaml")
    again = invoke("sweep", "guidance.yaml", "--json")

    assert (stopped.exit_code, again.exit_code) == (2, 0)
    assert "no space left on the disk; free some and start again" in stopped.stderr
    assert statuses(again) == ["finished", "finished"]
    assert sorted(load_runs("exp_guidance")["status"]) == ["FINISHED", "FINISHED", "KILLED"]


def test_a_cell_for_which_the_gpu_is_too_small_fails_alone(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def too_small(pipe: object, spec: Any) -> None:
        if spec.guidance_scale == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("cogx_runs.generation.loader.warm_up_denoising", too_small)
    monkeypatch.setattr("cogx_runs.generation.step_down.LESS_MEMORY", {})

    result = invoke("sweep", "guidance.yaml", "--json")

    assert (result.exit_code, statuses(result)) == (1, ["failed", "finished"])


def test_an_interrupt_just_after_the_last_write_leaves_the_run_finished(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    write = MlflowClient.set_terminated

    def interrupted(client: MlflowClient, run_id: str, status: str) -> None:
        write(client, run_id, status)
        if status == "FINISHED":
            raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "set_terminated", interrupted)

    result = invoke("sweep", "guidance.yaml")

    assert result.exit_code == 130
    assert list(load_runs("exp_guidance")["status"]) == ["FINISHED"]


def test_bad_input_that_is_no_mistake_of_a_file_is_told_as_json_too(invoke: Invoke) -> None:
    for command in (["plan", "guidance.yaml"], ["sweep", "guidance.yaml"], ["generate", "cat"]):
        result = invoke(*command, "--prompts", "/no/such/folder", "--json")

        assert result.exit_code == 2
        advice = [{"level": "error", "where": "(input)", "message": "--prompts /no/such/folder: no such folder"}]
        assert json.loads(result.stdout) == {"runs": [], "advice": advice}
