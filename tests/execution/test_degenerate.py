"""Runs that are ended early as degenerate, and where a degenerate video is shown."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner
from diffusers import AutoencoderKLCogVideoX

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.cli import cli
from cogx_runs.generation.generate import denoise
from cogx_runs.planning.plan import Plan
from cogx_runs.report.folder import write_report
from cogx_runs.tracking.store import RunStore
from tests.support.running import Notes, never, outcomes


def write_sweep(name: str, model: Path, clip: Path, **base: object) -> None:
    content = {
        "name": name,
        "prompts": ["panda"],
        "base": {"model": str(model), "clip_model": str(clip), "num_inference_steps": 5, "num_frames": 9, **base},
        "axes": {"seed": [1, 2]},
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture
def sweep(project: Path, tiny_clip: Path) -> Callable[..., Plan]:
    """Plans two cells of a model, written as a sweep of that name."""
    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")

    def planned(name: str, model: Path, **base: object) -> Plan:
        write_sweep(name, model, tiny_clip, **base)
        return plan_sweeps([f"{name}.yaml"], device="cpu")

    return planned


def first_cell(plan: Plan) -> Plan:
    return replace(plan, runs=plan.runs[:1])


@pytest.mark.slow
def test_a_run_that_denoises_to_noise_is_ended_early_as_failed_and_the_sweep_goes_on(
    sweep: Callable[..., Plan], tiny_model: Path
) -> None:
    failed = outcomes(sweep("exp", tiny_model, abort_degenerate=True), decode=never)

    assert [outcome.status for outcome in failed] == ["failed", "failed"]
    runs = load_runs("exp", sort="seed")
    assert list(runs["status"]) == ["FAILED", "FAILED"]
    assert list(runs["tags.cogx.degenerate"]) == ["noise", "noise"]
    for outcome, made in zip(failed, runs.to_dict("records"), strict=True):
        reason = str(made["tags.cogx.degenerate.rule"]).removesuffix("; version 1")
        assert outcome.error == f"degenerate: noise after step 2 of 5 ({reason})"
        kept = RunStore().download(str(made["run_id"]), "traceback.txt", Path())
        assert outcome.error in kept.read_text(encoding="utf-8")
        assert "abort_degenerate=true" in str(made["tags.cogx.command"])
    assert [run.action for run in sweep("exp", tiny_model, abort_degenerate=True).runs] == ["failed", "failed"]
    assert [run.action for run in sweep("exp", tiny_model).runs] == ["run", "run"]


def test_without_the_switch_nothing_is_looked_at_and_the_identity_of_a_cell_is_the_same(
    sweep: Callable[..., Plan], tiny_model: Path
) -> None:
    given: list[object] = []

    def recorded(*arguments: Any) -> Any:
        given.append(arguments[-1])
        return denoise(*arguments)

    told = Notes()
    without, with_it = sweep("exp", tiny_model), sweep("exp", tiny_model, abort_degenerate=True)

    (outcome,) = outcomes(first_cell(without), told, denoise=recorded)

    assert outcome.status == "finished"
    assert (given, told.notes) == ([None], []), "what would look at each step is not there"
    assert [planned.spec.output_hash for planned in without.runs] == [
        planned.spec.output_hash for planned in with_it.runs
    ]
    assert "tags.cogx.degenerate" not in load_runs("exp").columns


@pytest.fixture
def flat_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with a decoder that answers one grey to everything."""
    folder = tmp_path / "flat_model"
    shutil.copytree(tiny_model, folder)
    vae = AutoencoderKLCogVideoX.from_pretrained(folder / "vae")
    with torch.no_grad():
        vae.decoder.conv_out.conv.weight.zero_()
        vae.decoder.conv_out.conv.bias.zero_()
    vae.save_pretrained(folder / "vae")
    return folder


def test_a_finished_degenerate_video_is_tagged_and_shown_wherever_runs_are(
    sweep: Callable[..., Plan], flat_model: Path, tmp_path: Path
) -> None:
    rule = "spread of a frame 0.000, below 5"

    told = Notes()
    (outcome,) = outcomes(first_cell(sweep("exp", flat_model)), told)
    outcomes(first_cell(sweep("again", flat_model)))

    assert outcome.status == "finished"
    assert told.notes == [f"seed=1 panda: degenerate: flat ({rule})"]
    for name in ("exp", "again"):
        runs = load_runs(name)
        assert list(runs["status"]) == ["FINISHED"]
        assert list(runs["tags.cogx.degenerate"]) == ["flat"]
        assert list(runs["tags.cogx.degenerate.rule"]) == [f"{rule}; version 1"]
    assert runs["tags.cogx.reused_from"].notna().all()
    store = RunStore()
    note = next(store.runs(["again"])).tags["mlflow.note.content"]
    assert "Degenerate: flat \\(spread of a frame 0.000, below 5; version 1\\)." in note
    assert "**flat**" in store.experiment_tags(store.experiment_id("again"))["mlflow.note.content"]
    listed = CliRunner().invoke(cli, ["runs", "exp"]).output.splitlines()
    assert "degenerate" in listed[0].split()
    assert "flat" in listed[1].split()
    page = write_report(["exp"], tmp_path / "report", log=False).page.read_text(encoding="utf-8")
    assert page.count(f'title="{rule}; version 1">degenerate: flat</span>') == 1
