"""Plans carried out by the runner, with a GPU whose memory runs out where a test says so."""

from typing import Any

import pytest
import torch

from cogx_runs import plan_sweeps
from cogx_runs.execution import inference
from cogx_runs.execution.local import Runner
from cogx_runs.execution.outcomes import SilentReporter
from cogx_runs.execution.session import Workbench
from cogx_runs.planning.plan import Plan
from cogx_runs.tracking.store import RunStore


def run(plan: Plan, finish_beside: bool = False) -> list[str]:
    with Workbench() as bench:
        outcomes = Runner(plan, RunStore(), SilentReporter(), bench, finish_beside).run()
    return [outcome.status for outcome in outcomes]


def again(retry_failed: bool = False) -> Plan:
    return plan_sweeps(["seed.yaml"], device="cpu", retry_failed=retry_failed)


def out_of_memory_at(
    monkeypatch: pytest.MonkeyPatch, phase: str, placements: tuple[str, ...]
) -> list[tuple[str, int, str]]:
    """Make a phase run out of memory in these placements; returns the calls of both phases as they come."""
    calls: list[tuple[str, int, str]] = []
    for name in ("denoise", "decode"):
        works = getattr(inference, name)

        def watched(model: Any, spec: Any, *others: Any, name: str = name, works: Any = works) -> Any:
            calls.append((name, spec.seed, spec.placement))
            if name == phase and spec.placement in placements:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return works(model, spec, *others)

        monkeypatch.setattr(inference, name, watched)
    return calls
