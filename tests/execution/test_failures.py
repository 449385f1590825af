"""What stops a sweep and what fails one cell alone, and how it goes on."""

import errno
from pathlib import Path
from typing import Any

import pytest

from cogx_runs import load_runs
from tests.support.sweeping import Invoke, artifacts, statuses


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
    assert "local.py" in traceback


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
    from cogx_runs.execution import inference

    works = inference.denoise

    def broken(pipe: Any, spec: Any, *others: Any) -> Any:
        if spec.guidance_scale == 1:
            raise ZeroDivisionError("broken on purpose")
        return works(pipe, spec, *others)

    monkeypatch.setattr(inference, "denoise", broken)


def test_a_plan_that_the_models_rules_forbid_is_refused_before_anything_is_made(invoke: Invoke, project: Path) -> None:
    result = invoke("sweep", "guidance.yaml", "--frames", "13", "--steps", "24")

    assert result.exit_code == 2
    assert "(command line):base.num_frames: 13 frames would come back as 16; use 9 or 17" in result.stderr
    assert "(command line):base.num_inference_steps: 24 steps end at timestep" in result.stderr
    assert "Traceback" not in result.stderr
    assert load_runs().empty


def test_a_nearly_full_disk_stops_the_sweep_with_one_line_before_a_run_is_begun(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogx_runs.system.disk.FREE_DISK_GIB", 10**9)

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
        broken.setattr("cogx_runs.execution.postprocess.write_mp4", full)
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
    monkeypatch.setattr("cogx_runs.generation.oom_fallback.LESS_MEMORY", {})

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
