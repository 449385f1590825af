"""The command line as a user and as a script meet it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from cogx_runs.cli import cli
from cogx_runs.cli.json_output import print_json
from cogx_runs.definitions import shipped
from cogx_runs.system.disk import cache_directory
from cogx_runs.tracking.store import RunStore
from tests.support.gpus import FakeGpu, FakeNvmlError, LeaveFree, PlugIn
from tests.support.runs import make_run
from tests.support.specs import SPEC

CONTRACT = [
    "init", "plan", "sweep", "threshold", "generate", "promote", "runs", "rescore", "report", "export", "verify",
    "deliver", "gc", "import", "ui", "doctor", "votes", "schema",
]  # fmt: skip


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_the_commands_are_those_of_the_contract_that_exist_so_far() -> None:
    assert sorted(cli.commands) == sorted(CONTRACT)


@pytest.mark.parametrize("option", [["--seed", "1", "--seed", "2"], ["--no-such"], ["--seed"]])
def test_a_mistake_in_the_options_is_an_object_with_json_too(option: list[str]) -> None:
    result = invoke("plan", "seed", "--json", *option)

    content = json.loads(result.stdout)
    assert (result.exit_code, content["runs"], len(content["advice"])) == (2, [], 1)
    assert content["advice"][0]["level"] == "error"
    assert "--seed" in content["advice"][0]["message"] or "--no-such" in content["advice"][0]["message"]


@pytest.mark.parametrize("name", CONTRACT)
def test_each_command_and_each_of_its_options_has_help(name: str) -> None:
    command = cli.commands[name]

    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_the_study_plans_to_20_cells_of_which_16_run_and_4_are_reused(project: Path) -> None:
    result = invoke("plan", "study", "--no-store", "--json", "--device", "cpu")

    assert result.exit_code == 0
    plan = json.loads(result.stdout)
    actions = [run["action"] for run in plan["runs"]]
    assert (len(actions), actions.count("run"), actions.count("reuse")) == (20, 16, 4)
    (warning,) = plan["advice"]
    assert re.search(r"^2b takes about \d+ hours a video on this CPU \(rough\)", warning["message"])
    table = invoke("plan", "study", "--no-store", "--gpu", "RTX 3060")
    assert "20 cells: 16 to run, 4 to reuse; about 3.7 h (rough) on RTX 3060" in table.stdout


def test_the_old_short_flags_override_the_files_base(project: Path) -> None:
    flags = ["--model", "5b", "--steps", "25", "--guidance", "4", "--frames", "25", "--fps", "16", "--seed", "7"]

    plan = json.loads(invoke("plan", "frames", "--no-store", "--json", "--gpu", "24GB", *flags).stdout)

    config = plan["runs"][1]["config"]
    assert {name: config[name] for name in ("model", "num_inference_steps", "guidance_scale", "fps", "seed")} == {
        "model": "5b", "num_inference_steps": 25, "guidance_scale": 4.0, "fps": 16, "seed": 7,
    }  # fmt: skip
    assert plan["advice"][0:1] == [
        {
            "level": "note",
            "where": f"{shipped.SWEEPS}/frames.yaml:axes.num_frames",
            "message": "is swept; num_frames on the command line has no effect",
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "nothing.yaml"], "nothing.yaml: no such sweep file; shipped: accelerations, baseline, demo, frames"),
        (["plan", "guidance", "--steps", "0"], "(command line):num_inference_steps: Input should be greater than"),
        (["plan", "guidance", "--set", "schedular=ddim"], "unknown key; did you mean 'scheduler'?"),
        (["plan", "guidance", "--set", "scheduler"], "--set scheduler: write it as KEY=VALUE"),
        (
            ["plan", "guidance", "--model", "3b"],
            "no model '3b': neither a known name nor a folder here; did you mean '5b'?",
        ),
        (["plan", "guidance", "--device", "cuda"], "--device cuda: no NVIDIA GPU is visible here"),
        (["runs", "--sort", "x"], "no runs yet: there is no tracking store here"),
        (["init", "file"], "file: is a file; name a folder"),
        (["plan", "guidance", "--prompts", "nowhere"], "--prompts nowhere: no such folder"),
        (["plan", "guidance", "--max-vram", "0"], "--max-vram 0: must be a number of GiB above 0"),
        (["sweep", "guidance", "--max-vram", "-2.5"], "--max-vram -2.5: must be a number of GiB above 0"),
        (["generate", "panda_guitar", "--max-vram", "nan"], "--max-vram nan: must be a number of GiB above 0"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    arguments: list[str], message: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "mlflow.db").unlink()
    (project / "file").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    result = invoke(*arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "where", "message"),
    [
        (["--ladder", "5;10"], "--ladder 5;10", "write it as 5,10,25,50"),
        (["--prompts", "/no/folder"], "(input)", "--prompts /no/folder: no such folder"),
    ],
)
def test_bad_input_of_threshold_is_printed_as_json_too(
    arguments: list[str], where: str, message: str, project: Path
) -> None:
    result = invoke("threshold", "baseline", "--set", "scheduler=ddim_matched", "--json", *arguments)

    assert (result.exit_code, result.stderr) == (2, "")
    advice = [{"level": "error", "where": where, "message": message}]
    assert json.loads(result.stdout) == {"runs": [], "advice": advice}


def test_what_is_no_finite_number_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"runs": [{"metrics": {"a": float("nan"), "b": 1.5}}], "interval": (float("-inf"), 2), "text": "NaN"})

    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "runs": [{"metrics": {"a": None, "b": 1.5}}],
        "interval": [None, 2],
        "text": "NaN",
    }


def test_runs_are_listed_with_the_headings_and_numbers_of_the_metrics_cards(project: Path) -> None:
    make_run(
        RunStore(), SPEC, metrics={"file_size_bytes": 123456.0, "step_s": 0.0624}, tags={"cogx.degenerate": "flat"}
    )

    heading, row, count = invoke("runs", "exp").stdout.splitlines()

    assert re.split("  +", heading.strip()) == [
        "run_name", "guidance", "status", "degenerate", "CLIP score", "wall time, s", "time per step, s",
        "file size, kB", "run_id",
    ]  # fmt: skip
    assert row.split()[2:-1] == ["6", "FINISHED", "flat", "30.00", "10.0", "0.062", "123.5"]
    assert count == "1 run"


def test_what_h264_costs_is_a_line_below_the_runs(project: Path) -> None:
    make_run(RunStore(), SPEC, metrics={"clip_score": 30.0, "clip_score_file": 28.5})

    listed = invoke("runs", "exp").stdout.splitlines()

    assert "28.50" not in listed[1]
    assert listed[2:] == [
        "In the mp4, which you see, the CLIP score is 1.50 lower than in the frames (1 video).",
        "1 run",
    ]


def test_runs_show_the_metrics_that_they_are_chosen_and_sorted_by(project: Path) -> None:
    make_run(RunStore(), SPEC, metrics={"sharpness": 1234.0, "motion_magnitude": 0.004})

    heading, row, _ = invoke("runs", "exp", "--where", "sharpness>1", "--sort", "-motion_magnitude").stdout.splitlines()

    assert [name for name in ("sharpness", "motion") if name in heading] == ["sharpness", "motion"]
    assert "1,234" in row


def test_runs_are_told_apart_by_the_parameters_in_which_they_differ_or_that_were_swept(project: Path) -> None:
    store = RunStore()
    make_run(store, SPEC)
    make_run(store, SPEC.replace(scheduler="dpm_matched"))
    make_run(store, SPEC.replace(model="5b", model_revision="other", dtype="bfloat16", vae_slicing=False))

    heading, *rows, _ = invoke("runs", "exp").stdout.splitlines()

    assert re.split("  +", heading.strip())[:5] == ["run_name", "model", "guidance", "scheduler", "status"]
    assert [re.split("  +", row.strip())[1:4] for row in rows] == [
        ["5b", "6", SPEC.scheduler],
        [SPEC.model, "6", "dpm_matched"],
        [SPEC.model, "6", SPEC.scheduler],
    ]


def test_what_was_not_expected_keeps_its_traceback(
    project: Path, plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("not expected")

    plug_in(None)
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=FakeNvmlError, nvmlInit=broken))

    with pytest.raises(ZeroDivisionError, match="not expected"):
        CliRunner().invoke(cli, ["plan", "guidance"], catch_exceptions=False)


def test_init_lays_out_sweeps_and_prompts_once_and_refuses_to_overwrite_what_was_changed(project: Path) -> None:
    first = invoke("init", "study")
    second = invoke("init", "study")
    (project / "study" / "sweeps" / "seed.yaml").write_text("name: mine\nprompts: all\n")
    third = invoke("init", "study")

    assert first.stdout.count("\n") == 27
    assert (project / "study" / "sweeps" / "findings" / "all.yaml").is_file()
    assert (second.stdout, second.exit_code) == ("", 0)
    assert third.exit_code == 2
    assert "seed.yaml: differs from the shipped one" in third.stderr
    assert (project / "study" / "mlruns").is_dir()


def test_doctor_names_what_is_there_what_is_not_and_what_to_do(
    project: Path, tiny_model: Path, plug_in: PlugIn
) -> None:
    plug_in(None)

    every = invoke("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(every.stdout)}
    asked = invoke("doctor", "--model", str(tiny_model))
    local = asked.stdout

    assert checks["torch"]["status"] == "ok"
    assert re.fullmatch(r"\d+\.\d+.*", checks["diffusers"]["found"])
    assert checks["weights of 2b"]["status"] == "missing"
    assert checks["placement of 2b"]["found"] == "resident, as always on a CPU"
    assert "HF_HUB_OFFLINE is set" in checks["weights of 2b"]["advice"]
    assert "cogx-runs rescore" in checks["CLIP ViT-B-32:openai"]["advice"]
    extra = checks["extra metric subject_consistency"]
    assert (extra["status"], extra["found"]) == ("ok", "optional; not on this machine")
    assert extra["advice"].startswith("DINO's weights of ViT-B/16 are not at ")
    assert f"weights of {tiny_model}" in local
    assert (every.exit_code, asked.exit_code) == (0, 0)
    assert local.splitlines()[-1] == f"{tiny_model} is ready."
    assert re.fullmatch(
        r"not ready: no GPU \(about \d+ hours a video, rough\); no weights \(HF_HUB_OFFLINE is set\)",
        checks["ready for 2b"]["found"],
    )
    assert checks["ready for toy"]["found"] == "ready"
    assert checks["kept embeddings"]["found"] == f"0.00 of at most 2.0 GiB in {cache_directory() / 'embeddings'}"


def test_doctor_says_what_auto_would_choose_on_this_gpu_and_why(
    project: Path, plug_in: PlugIn, leave_free: LeaveFree
) -> None:
    plug_in(FakeGpu(free_gib=8, total_gib=8))
    leave_free(14)

    result = invoke("doctor", "--model", "2b")
    checks = {check["name"]: check for check in json.loads(invoke("doctor", "--json").stdout)}

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        1,
        "2b is not ready: torch and the GPU: torch cannot use the GPU; no weights (HF_HUB_OFFLINE is set).",
    )
    assert [
        (checks[f"placement of {name}"]["status"], checks[f"placement of {name}"]["found"]) for name in ("2b", "5b")
    ] == [
        ("ok", "group: resident needs 7.9 GiB of VRAM and 7.5 can be used; text encoder sequential"),
        (
            "ok",
            "sequential: resident needs 15.1 GiB of VRAM and 7.5 can be used; group needs 20.8 GiB of host memory and "
            "12.0 can be used; text encoder sequential",
        ),
    ]


def test_a_closed_pipe_ends_quietly(project: Path) -> None:
    command = f"{sys.executable} -c 'from cogx_runs.cli import main; main()' plan study --no-store --json | head -n 1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("{\n", "")
