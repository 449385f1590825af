"""What stops a sweep and what fails one cell alone, and how it goes on."""

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.errors import CogxError, StoreError
from cogx_runs.generation.generate import denoise
from cogx_runs.planning.plan import Plan
from cogx_runs.system.disk import state_directory
from cogx_runs.tracking.store import RunStore
from tests.support.running import outcomes, run
from tests.support.sweeping import Invoke, artifacts, statuses


def broken_at_guidance_1(pipe: Any, spec: Any, *others: Any) -> Any:
    if spec.guidance_scale == 1:
        raise ZeroDivisionError("broken on purpose")
    return denoise(pipe, spec, *others)


def planned(*files: str, **options: Any) -> Plan:
    return plan_sweeps(files, device="cpu", **options)


def test_a_cell_that_fails_keeps_its_traceback_and_the_sweep_goes_on(invoke: Invoke, tmp_path: Path) -> None:
    assert run(planned("guidance.yaml"), denoise=broken_at_guidance_1) == ["failed", "finished"]

    failed = load_runs("exp_guidance", where=["status=FAILED"]).iloc[0]
    assert failed["params.guidance_scale"] == 1.0
    traceback = (artifacts(failed["run_id"], tmp_path) / "traceback.txt").read_text(encoding="utf-8")
    assert "ZeroDivisionError: broken on purpose" in traceback
    assert "worker.py" in traceback


def test_a_failed_cell_is_taken_up_again_only_when_asked(invoke: Invoke) -> None:
    run(planned("guidance.yaml"), denoise=broken_at_guidance_1)

    left = invoke("sweep", "guidance.yaml", "--json")
    retried = invoke("sweep", "guidance.yaml", "--retry-failed", "--json")

    assert (left.exit_code, statuses(left)) == (1, ["failed", "done"])
    assert (retried.exit_code, statuses(retried)) == (0, ["finished", "done"])
    assert sorted(load_runs("exp_guidance")["status"]) == ["FAILED", "FINISHED", "FINISHED"]


def test_fail_fast_stops_at_the_first_failure_but_not_at_one_from_before(invoke: Invoke) -> None:
    stopped = outcomes(planned("guidance.yaml", "seed.yaml"), fail_fast=True, denoise=broken_at_guidance_1)

    assert [outcome.status for outcome in stopped] == ["failed", "skipped", "skipped", "skipped"]
    assert statuses(invoke("sweep", "guidance.yaml", "--fail-fast", "--json")) == ["failed", "finished"]


def test_a_plan_that_the_models_rules_forbid_is_refused_before_anything_is_made(invoke: Invoke, project: Path) -> None:
    result = invoke("sweep", "guidance.yaml", "--frames", "13", "--steps", "24")

    assert result.exit_code == 2
    assert "(command line):base.num_frames: 13 frames would come back as 16; use 9 or 17" in result.stderr
    assert "(command line):base.num_inference_steps: ddim leaves noise at 24 steps" in result.stderr
    assert "Traceback" not in result.stderr
    assert load_runs().empty


def test_a_nearly_full_disk_stops_the_sweep_with_one_line_before_a_run_is_begun(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No disk is that large, and filling one up takes a test too long; a command has no option for the limit.
    monkeypatch.setattr("cogx_runs.system.disk.FREE_DISK_GIB", 10**9)

    result = invoke("sweep", "guidance.yaml")

    assert result.exit_code == 2
    assert "GiB left on the disk of" in result.stderr.splitlines()[-1]
    assert load_runs().empty


def test_a_disk_that_fills_up_stops_the_sweep_and_the_cell_is_taken_up_again_in_the_same_process(
    invoke: Invoke,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CogxError, match="^no space left on the disk; free some and start again$"):
        run(planned("guidance.yaml"), write_mp4=full)

    assert run(planned("guidance.yaml")) == ["finished", "finished"]
    assert sorted(load_runs("exp_guidance")["status"]) == ["FINISHED", "FINISHED", "KILLED"]


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_spool_that_cannot_be_written_is_one_clear_line_and_no_cells_failure(invoke: Invoke, when: str) -> None:
    spool = state_directory() / "spool"

    def break_it(*_: object) -> None:
        shutil.rmtree(spool, ignore_errors=True)
        spool.touch()  # root, who may run the tests, writes into any folder
        raise OSError(errno.EROFS, "Read-only file system")

    if when == "before":
        spool.touch()

    with pytest.raises(
        StoreError, match=r"^\S+/spool/\S+: the spool cannot be read or written \(Not a directory\); mend "
    ):
        run(planned("guidance.yaml"), write_mp4=break_it)

    assert list(load_runs("exp_guidance")["status"]) == ["KILLED"]


def test_a_cell_for_which_the_gpu_is_too_small_fails_alone(invoke: Invoke) -> None:
    def too_small(pipe: Any, spec: Any, *others: Any) -> Any:
        if spec.guidance_scale == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return denoise(pipe, spec, *others)

    assert run(planned("guidance.yaml"), denoise=too_small, less_memory={}) == ["failed", "finished"]


class InterruptedAtTheEnd(RunStore):
    """Interrupted just after the last write of a run."""

    def finish(self, *arguments: Any, **options: Any) -> None:
        super().finish(*arguments, **options)
        raise KeyboardInterrupt


def test_an_interrupt_just_after_the_last_write_leaves_the_run_finished(invoke: Invoke) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(planned("guidance.yaml"), store=InterruptedAtTheEnd())

    assert list(load_runs("exp_guidance")["status"]) == ["FINISHED"]
