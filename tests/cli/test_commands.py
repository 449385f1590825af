"""Commands on sweeps that were really made: plan, runs, generate and export."""

import json
from pathlib import Path

import pandas as pd
import pytest

from cogx_runs import load_runs
from cogx_runs.video import read_mp4
from tests.support.sweeping import Invoke, one


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
        "seed>many": "seed is a number, 'many' is not",
        "seed": "write it as COLUMN>VALUE",
    }.items():
        wrong = invoke("runs", "--where", condition)
        assert wrong.exit_code == 2
        assert message in wrong.stderr
    table = invoke("runs", "seed.yaml")
    assert table.stdout.count("FINISHED") == 2


def test_plan_json_prints_its_object_for_bad_input_too(invoke: Invoke, project: Path) -> None:
    (project / "bad.yaml").write_text("name: bad\nprompts: [panda, pand]\nbase: {steps: 10}\nvary: gird\n")

    result = invoke("plan", "bad.yaml", "--json")

    assert result.exit_code == 2
    printed = json.loads(result.stdout)
    assert printed["runs"] == []
    assert [(advice["level"], advice["where"]) for advice in printed["advice"]] == [
        ("error", "bad.yaml:base.steps"),
        ("error", "bad.yaml:vary"),
        ("error", "bad.yaml:prompts.1"),
    ]
    assert "did you mean 'num_inference_steps'?" in printed["advice"][0]["message"]


def test_planning_creates_no_store(invoke: Invoke, project: Path) -> None:
    (project / "mlflow.db").unlink()

    assert invoke("plan", "guidance.yaml").exit_code == 0
    assert not (project / "mlflow.db").exists()


def test_estimates_are_rough_until_they_are_learned_from_finished_runs(invoke: Invoke) -> None:
    before = json.loads(invoke("plan", "guidance.yaml", "--json").stdout)["runs"][0]
    assert (before["estimate_basis"], before["estimate_is_rough"]) == ("rough: computed for this CPU", True)
    invoke("sweep", "guidance.yaml")

    after = json.loads(invoke("plan", "seed.yaml", "--json").stdout)["runs"][1]

    finished = load_runs("exp_guidance", where=["guidance_scale=6"]).iloc[0]
    other_file = json.loads(invoke("plan", "guidance.yaml", "--fps", "16", "--json").stdout)["runs"][1]
    assert (other_file["action"], other_file["estimate_basis"]) == ("reuse", "kept latents are decoded again")
    assert other_file["estimated_s"] > 0
    assert after["estimated_s"] == pytest.approx(finished["metrics.wall_time_s"], abs=0.01)
    assert "median of 1 finished run" in after["estimate_basis"]
    assert not after["estimate_is_rough"]


def test_bad_input_that_is_no_mistake_of_a_file_is_printed_as_json_too(invoke: Invoke) -> None:
    for command in (["plan", "guidance.yaml"], ["sweep", "guidance.yaml"], ["generate", "cat"]):
        result = invoke(*command, "--prompts", "/no/such/folder", "--json")

        assert result.exit_code == 2
        advice = [{"level": "error", "where": "(input)", "message": "--prompts /no/such/folder: no such folder"}]
        assert json.loads(result.stdout) == {"runs": [], "advice": advice}
