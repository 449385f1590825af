"""Plans: the cells of sweeps with what is to be done for each, what that costs, and what there is to know of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cogx_runs.definitions.parameters import Placement
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import InputError, Mistake
from cogx_runs.models.cards import ModelCard
from cogx_runs.planning.actions import Action, Decision


@dataclass(frozen=True)
class Estimate:
    """What a cell will cost, learned from finished runs."""

    seconds: float | None
    """Wall time of the run's own phases; None where there is nothing to learn it from."""
    peak_vram_gib: float | None
    basis: str
    """What the figures rest on, or why there are none."""


@dataclass(frozen=True)
class Advice:
    """What the model's own rules say of a plan."""

    level: Literal["error", "warning", "note"]
    where: str
    """`file:dotted.path`"""
    message: str


@dataclass(frozen=True)
class PlannedRun:
    """A cell, what is to be done for it, and what that costs."""

    spec: RunSpec
    decision: Decision
    estimate: Estimate
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of its run, beside those that every run has."""

    @property
    def action(self) -> Action:
        return self.decision.action


@dataclass(frozen=True)
class Conditions:
    """What sweeps are planned under, beside what the tracking store remembers."""

    library: PromptLibrary
    device: str
    """`auto`, `cuda` or `cpu`, as it was asked for."""
    retry_failed: bool = False
    max_vram_gib: float | None = None


@dataclass(frozen=True)
class Plan:
    """The cells of one or more sweeps in execution order."""

    sweeps: tuple[Sweep, ...]
    runs: tuple[PlannedRun, ...]
    advice: tuple[Advice, ...] = ()
    cards: Mapping[tuple[str, str], ModelCard] = field(default_factory=dict)
    """Model cards by source and revision."""
    max_vram_gib: float | None = None
    """What torch may take of the GPU; None for all that is free."""
    conditions: Conditions | None = None
    """By which the later trials of its searches are planned."""
    cells_to_come: int = 0
    """Of trials that only the results of earlier ones will tell."""

    @property
    def searches(self) -> tuple[Sweep, ...]:
        """Those of its sweeps that propose their cells trial by trial."""
        return tuple(sweep for sweep in self.sweeps if sweep.optuna is not None)

    @property
    def placement(self) -> Placement | None:
        """That of all its cells; None where they have several."""
        placements = {run.spec.placement for run in self.runs}
        return placements.pop() if len(placements) == 1 else None

    @property
    def errors(self) -> list[Advice]:
        return [advice for advice in self.advice if advice.level == "error"]

    def check(self) -> None:
        """Raises InputError, naming each of them, where the advice holds errors."""
        if self.errors:
            raise InputError(Mistake(advice.where, advice.message) for advice in self.errors)

    def count(self, action: Action) -> int:
        return sum(run.action == action for run in self.runs)

    def as_dict(self) -> dict[str, Any]:
        """The object that `plan --json` prints."""
        return {
            "runs": [
                {
                    "sweep": run.spec.sweep,
                    "signature": run.spec.signature,
                    "action": run.action,
                    "config": run.spec.config,
                    "estimated_s": run.estimate.seconds,
                    "estimated_vram_gib": run.estimate.peak_vram_gib,
                    "estimate_basis": run.estimate.basis,
                }
                for run in self.runs
            ],
            "advice": [asdict(advice) for advice in self.advice],
        }
