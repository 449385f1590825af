"""Plans: the cells of sweeps with the action, the estimated cost and the advice for each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, Literal

from cogx_runs.definitions.parameters import Dtype, Placement
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import InputError, Mistake
from cogx_runs.formatting import whole_seconds
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.download import Download
from cogx_runs.notebook import table_html
from cogx_runs.planning.actions import Action, Decision
from cogx_runs.system.hardware import Device


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of a cell."""

    seconds: float | None
    """Wall time of the run's own phases; None where nothing is known."""
    peak_vram_gib: float | None
    basis: str
    """The basis of the figures, or the reason for their absence."""
    is_rough: bool = False
    """Whether the seconds are computed from the device's figures, and not measured."""


@dataclass(frozen=True)
class ModelMemory:
    """The memory that the largest cell of a model takes in each phase, by the model of `models/memory.py`."""

    model: str
    dtype: Dtype
    placement: Placement
    device: Device
    """Where the phases take it: of the GPU, or on a CPU of the host."""
    text_gib: float
    denoise_gib: float
    decode_gib: float
    host_gib: float
    """Of the host while a GPU works; on a CPU the most of the phases."""


@dataclass(frozen=True)
class PlanCost:
    """What a whole plan takes, before it runs."""

    device: str
    """Name of the GPU or CPU that is planned for."""
    seconds: float | None
    """Of the cells that are not finished yet, start-up aside; None where no time of theirs is known."""
    cells_without_estimate: int
    is_rough: bool
    """Whether any of the seconds is computed from the device's figures, and not measured."""
    memory: tuple[ModelMemory, ...]
    downloads: tuple[Download, ...]
    """Weights that are not on this machine."""
    disk_gb: float
    """The most that videos, latents and pictures of the cells to be made take, in 10^9 bytes."""


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
    gpu: str | None = None
    """A card that is planned for in place of this machine's: a name such as `RTX 3060`, or a memory size."""


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
    cells_before: int = 0
    """Cells of earlier trials, which have a result."""
    cost: PlanCost | None = None
    """What it takes as a whole; None until all its cells are known."""

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
        """Raises InputError naming each error of the advice, and for a plan for another machine's GPU."""
        if self.errors:
            raise InputError(Mistake(advice.where, advice.message) for advice in self.errors)
        if self.conditions is not None and self.conditions.gpu is not None:
            raise InputError.single("gpu", "this plan is for another GPU; plan again without it")

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
                    "estimate_is_rough": run.estimate.is_rough,
                }
                for run in self.runs
            ],
            "cost": None if self.cost is None else asdict(self.cost),
            "advice": [asdict(advice) for advice in self.advice],
        }
