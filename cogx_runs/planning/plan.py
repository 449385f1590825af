"""Plans: the cells of sweeps with the action, the estimated cost and the advice for each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, Literal

from cogx_runs.definitions.parameters import Placement
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import InputError, Mistake
from cogx_runs.formatting import whole_seconds
from cogx_runs.models.cards import ModelCard
from cogx_runs.notebook import table_html
from cogx_runs.planning.actions import Action, Decision


@dataclass(frozen=True)
class Estimate:
    """The cost of a cell, estimated from finished runs."""

    seconds: float | None
    """Wall time of the run's own phases; None without finished runs to estimate it from."""
    peak_vram_gib: float | None
    basis: str
    """The basis of the figures, or the reason for their absence."""


@dataclass(frozen=True)
class Advice:
    """An error, warning or note on a plan, by the model's own rules."""

    level: Literal["error", "warning", "note"]
    where: str
    """`file:dotted.path`"""
    message: str


@dataclass(frozen=True)
class PlannedRun:
    """A cell, its action, and the estimated cost."""

    spec: RunSpec
    decision: Decision
    estimate: Estimate
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of its run, besides those that every run has."""

    def row(self) -> dict[str, Any]:
        """Returns what a notebook's table shows of it."""
        seconds = self.estimate.seconds
        about = {"sweep": self.spec.sweep, "cell": self.spec.run_name, "action": str(self.action)}
        return {**about, "seconds": None if seconds is None else whole_seconds(seconds)}

    @property
    def action(self) -> Action:
        """Action of the decision."""
        return self.decision.action


@dataclass(frozen=True)
class Conditions:
    """The options under which sweeps are planned."""

    library: PromptLibrary
    device: str
    """`auto`, `cuda` or `cpu`, as the user gave it."""
    retry_failed: bool = False
    max_vram_gib: float | None = None
    take_over: bool = False
    """Whether cells are run that another host is at."""


@dataclass(frozen=True)
class Plan:
    """The cells of one or more sweeps in execution order."""

    sweeps: tuple[Sweep, ...]
    runs: tuple[PlannedRun, ...]
    advice: tuple[Advice, ...] = ()
    cards: Mapping[tuple[str, str], ModelCard] = field(default_factory=dict)
    """Model cards by source and revision."""
    max_vram_gib: float | None = None
    """GPU memory that torch may use; None for all that is free."""
    conditions: Conditions | None = None
    """Options by which the later trials of its searches are planned."""
    cells_to_come: int = 0
    """Cells of later trials, whose values depend on the results of earlier ones."""

    @property
    def searches(self) -> tuple[Sweep, ...]:
        """Sweeps that propose their cells trial by trial."""
        return tuple(sweep for sweep in self.sweeps if sweep.optuna is not None)

    @property
    def placement(self) -> Placement | None:
        """Placement of all its cells; None where they have several."""
        placements = {run.spec.placement for run in self.runs}
        return placements.pop() if len(placements) == 1 else None

    @property
    def errors(self) -> list[Advice]:
        """Advice that prevents a run."""
        return [advice for advice in self.advice if advice.level == "error"]

    def _repr_html_(self) -> str:
        advice = "".join(f"<li>{escape(f'{one.level} {one.where}: {one.message}')}</li>" for one in self.advice)
        return table_html(self.runs) + (f"<ul>{advice}</ul>" if advice else "")

    def check(self) -> None:
        """Raises InputError naming each error of the advice."""
        if self.errors:
            raise InputError(Mistake(advice.where, advice.message) for advice in self.errors)

    def count(self, action: Action) -> int:
        """Counts the cells with this action."""
        return sum(run.action == action for run in self.runs)

    def as_dict(self) -> dict[str, Any]:
        """Returns the object that `plan --json` prints."""
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
