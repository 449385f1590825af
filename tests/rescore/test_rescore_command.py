"""Finished runs scored anew from the command line: what was missing, other CLIPs, references, new metrics."""

import json
import os
import shutil
from pathlib import Path

import pytest

from cogx_runs import load_runs
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.metric import MeanMetric
from cogx_runs.tracking.store import RunStore
from tests.support.metrics import Register
from tests.support.sweeping import Invoke, statuses


def test_a_missing_clip_leaves_the_score_out_and_rescore_adds_it_from_the_latents(
    invoke: Invoke, tiny_clip: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip"
    shutil.copytree(tiny_clip, clip)
    scored = json.loads(invoke("sweep", "seed.yaml", "--clip-model", clip, "--json").stdout)["runs"]
    store = RunStore()
    for run in store.runs(["exp_seed"]):
        store._client.set_tag(run.run_id, "cogx.clip_score.missing", "as if")
        known = json.loads(run.tags["cogx.metrics"])
        store._client.set_tag(
            run.run_id, "cogx.metrics", json.dumps({name: known[name] for name in known if name != "clip_score"})
        )
        _delete_metric(run.run_id, "clip_score")

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
    invoke: Invoke, register: Register
) -> None:
    invoke("sweep", "seed.yaml")
    before = load_runs("exp_seed")
    card = MetricCard(name="brightness", title="brightness", definition="mean of all pixels", source="a test")
    still = MetricCard(name="still", title="still", definition="of single frames", source="a test")
    register(
        MeanMetric(card, lambda subject: subject.frames.mean()), MeanMetric(still, lambda _: 1.0, frames_needed=100)
    )

    planned = json.loads(invoke("plan", "seed.yaml", "--json").stdout)
    assert [run["action"] for run in planned["runs"]] == ["reuse", "reuse"]
    assert planned["advice"][-1] == {
        "level": "note",
        "where": "seed.yaml:name",
        "message": "2 finished cells lack brightness, still; run `cogx-runs rescore exp_seed` first, or "
        "each gets a second run",
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
    assert all("model: has changed since the run was generated" in line for line in failed)
