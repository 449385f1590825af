"""Searches from the command line to the tracking store, with every part real."""

import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from cogx_runs import best_trials, load_runs, run_sweeps
from cogx_runs.cli import cli
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep, load_sweeps
from cogx_runs.errors import CogxError
from cogx_runs.generation.pipeline import load_pipeline
from cogx_runs.models.cards import ModelCard
from tests.support.processes import Death, ended, start
from tests.support.running import executor


@pytest.fixture
def sweep_files(project: Path, tiny_model: Path, tiny_clip: Path) -> Callable[..., Path]:
    """Write an ordinary sweep, a search of so many trials, and a study of both."""

    def write(trials: int, objectives: list[str]) -> Path:
        (project / "prompts").mkdir(exist_ok=True)
        (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.", encoding="utf-8")
        base = {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9}
        ordinary = {"name": "exp_fps", "prompts": ["panda"], "base": base, "axes": {"fps": [8]}}
        search = {
            "name": "exp_search",
            "prompts": ["panda"],
            "base": base,
            "axes": {"guidance_scale": {"low": 1, "high": 12}, "num_inference_steps": [2, 4]},
            "vary": "optuna",
            "optuna": {"trials": trials, "objectives": objectives, "startup_trials": 1},
        }
        contents = {"fps": ordinary, "search": search, "study": {"include": ["search.yaml", "fps.yaml"]}}
        for name, content in contents.items():
            (project / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return project / "search.yaml"

    return write


@pytest.mark.slow
def test_a_search_runs_with_ordinary_sweeps_continues_and_reports_its_best(
    sweep_files: Callable[..., Path],
) -> None:
    loads = []

    def load(card: ModelCard, spec: RunSpec) -> Any:
        loads.append(spec)
        return load_pipeline(card, spec)

    def sweep(trials: int, *options: str) -> Result:
        sweep_files(trials, ["clip_score", "denoise_s"])
        result = CliRunner().invoke(cli, ["sweep", "study.yaml", "--device", "cpu", *options])
        assert result.exit_code == 0, result.output
        return result

    first = sweep(1, "--json")
    sweep_files(3, ["clip_score", "denoise_s"])
    with executor(load_pipeline=load) as used:
        run_sweeps(["study.yaml"], device="cpu", executor=used)
    second, third = sweep(3), sweep(3, "--json")

    assert len(loads) == 1, "once for all trials"
    assert [(run["sweep"], run["status"]) for run in json.loads(first.stdout)["runs"]] == [
        ("exp_fps", "finished"),
        ("exp_search", "finished"),
    ]
    assert "exp_search: Pareto front of 3 finished trials in clip_score (maximize) and denoise_s (minimize)" in (
        second.stdout
    )
    assert "looks better than it is (the winner's curse)" in second.stdout
    printed = json.loads(third.stdout)
    assert [run["status"] for run in printed["runs"]] == ["done"] * 4
    runs = load_runs("exp_search")
    assert sorted(runs["tags.cogx.trial"]) == ["1", "2", "3"]
    assert set(runs["status"]) == {"FINISHED"}
    assert not runs["metrics.axis.guidance_scale"].isna().any()
    every = best_trials("search.yaml", every=True, device="cpu")
    assert [{"sweep": "exp_search", **row} for row in every.to_dict("records")] == printed["trials"]
    by_trial = runs.assign(trial=runs["tags.cogx.trial"].astype(int)).sort_values("trial")
    assert list(every["clip_score"]) == list(by_trial["metrics.clip_score"])
    assert set(best_trials("search.yaml", device="cpu")["trial"]) == set(every.loc[every["best"], "trial"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "statuses"),
    [
        (("after", "create_run", 2), {"FINISHED": 3, "KILLED": 1}),
        (("before", "set_terminated", 2), {"FINISHED": 3}),  # the spool has the finished run
    ],
)
def test_a_search_whose_process_is_killed_continues_with_the_same_trials(
    sweep_files: Callable[..., Path], moment: Death, statuses: dict[str, int]
) -> None:
    file = sweep_files(3, ["clip_score"])
    died = start("sweep", "search.yaml", "--device", "cpu", dies=moment)
    assert ended(died) == -signal.SIGKILL
    resumed = CliRunner().invoke(cli, ["sweep", "search.yaml", "--device", "cpu"])
    assert resumed.exit_code == 0, resumed.output
    found = best_trials("search.yaml", every=True, device="cpu")
    assert Counter(load_runs("exp_search")["status"]) == statuses

    whole = file.parent / "whole.yaml"
    whole.write_text(file.read_text(encoding="utf-8").replace("exp_search", "exp_whole"), encoding="utf-8")
    CliRunner().invoke(cli, ["sweep", "whole.yaml", "--device", "cpu"])

    pd.testing.assert_frame_equal(found, best_trials("whole.yaml", every=True, device="cpu"))


@pytest.mark.slow
def test_two_processes_at_once_share_one_search(sweep_files: Callable[..., Path]) -> None:
    sweep_files(3, ["clip_score"])

    processes = [start("sweep", "search.yaml", "--device", "cpu") for _ in range(2)]

    assert [ended(process) for process in processes] == [0, 0]
    runs = load_runs("exp_search")
    assert sorted(zip(runs["tags.cogx.trial"], runs["status"], strict=True)) == [
        ("1", "FINISHED"),
        ("2", "FINISHED"),
        ("3", "FINISHED"),
    ]
    assert list(best_trials("search.yaml", every=True, device="cpu")["state"]) == ["finished"] * 3


def test_best_trials_are_asked_of_a_file_with_one_search(project: Path) -> None:
    with pytest.raises(CogxError, match="holds 0 sweeps with `vary: optuna`; name a file with one"):
        best_trials("guidance")
    assert isinstance(load_sweeps(["guidance"])[0], Sweep)
