"""Sweeps of one prompt resolved to cells, and runs that the store remembers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.prompts import Prompt, PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.definitions.sweep_file import Vary
from cogx_runs.models.memory import Budget
from cogx_runs.planning.actions import Action, choose_actions
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.system.hardware import Device
from cogx_runs.tracking.run import TrackedRun
from tests.support.tracked_runs import tracked


class _OnePrompt(PromptLibrary):
    """A library of the prompt `p`, without a folder."""

    def __init__(self, text: str) -> None:
        super().__init__(Path("nowhere"))
        self._prompt = Prompt("p", text, "(test)")

    def read(self, name: str) -> Prompt:
        return self._prompt if name == self._prompt.name else super().read(name)


def library_of(text: str) -> PromptLibrary:
    return _OnePrompt(text)


def make_sweep(axes: Mapping[str, tuple[Any, ...]], vary: Vary = "grid", **changes: Any) -> Sweep:
    values = {
        "name": "exp",
        "file": "exp.yaml",
        "description": "",
        "prompts": ("p",),
        "base": Parameters(),
        "axes": dict(axes),
        "vary": vary,
    }
    return Sweep.model_validate(values | changes)


def resolve(*sweeps: Sweep, device: Device = "cpu", budget: Budget | None = None) -> Sequence[RunSpec]:
    return resolve_cells(sweeps, library_of("A panda."), device, {"clip_score": "1"}, budget).specs


def values_of(specs: Sequence[RunSpec], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(spec, name) for name in names) for spec in specs]


def past(spec: RunSpec, status: str, experiment: str | None = None) -> TrackedRun:
    """A run of `spec` that the store remembers."""
    where = experiment or spec.sweep
    return tracked(spec, status, run_id=f"{status} in {where}", experiment=where)


def actions(specs: Sequence[RunSpec], *history: TrackedRun, retry_failed: bool = False) -> list[Action]:
    return [decision.action for decision in choose_actions(specs, history, retry_failed)]
