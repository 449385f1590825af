"""The planner: combines sweeps, conditions and the history of the tracking store into a plan."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError, StoreUnavailableError
from cogx_runs.metrics.registry import versions
from cogx_runs.models.gpus import gpu_for_plan
from cogx_runs.models.memory import Budget
from cogx_runs.planning.actions import choose_actions
from cogx_runs.planning.advice import (
    advise,
    advise_disk,
    advise_elsewhere,
    advise_extras,
    advise_gpu,
    advise_remaking,
    advise_rescoring,
    advise_without_gpu,
)
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.planning.cost import CostModel
from cogx_runs.planning.plan import Advice, Conditions, Plan, PlannedRun
from cogx_runs.planning.prompts import advise_prompts
from cogx_runs.planning.totals import cost_of
from cogx_runs.system.hardware import Device, Gpu, choose_device
from cogx_runs.system.hardware import gpu as find_gpu
from cogx_runs.tracking.experiments import was_deleted
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.signs import now_ms
from cogx_runs.tracking.uri import store_exists

if TYPE_CHECKING:  # MLflow, which a plan without a store does without
    from cogx_runs.tracking.reader import RunReader


@dataclass(frozen=True)
class Planner:
    """Plans sweeps under one set of conditions. Loads no model and creates no tracking store."""

    conditions: Conditions
    tracking_uri: str | None = None
    """The store that is read; None for the default one."""
    use_store: bool = True
    """Whether a store is read at all."""

    def history(self) -> list[TrackedRun]:
        """Reads every run of the store; nothing where there is no store."""
        store = self._store()
        return [] if store is None else store.history()

    def plan(self, sweeps: Sequence[Sweep]) -> Plan:
        """Plans sweeps whose cells are known, and reads the store for it. Raises InputError naming every mistake."""
        history = self.history()
        return self.complete(self.plan_cells(sweeps, history), history)

    def plan_cells(
        self, sweeps: Sequence[Sweep], history: Sequence[TrackedRun], retry_failed: bool | None = None
    ) -> Plan:
        """Plans sweeps whose cells are known, given the history of the store.

        `retry_failed` replaces that of the conditions. Raises InputError naming every prompt and model that cannot be
        found, CogxError for conditions that no machine can meet.
        """
        conditions = self.conditions if retry_failed is None else replace(self.conditions, retry_failed=retry_failed)
        max_vram = conditions.max_vram_gib
        if max_vram is not None and not 0 < max_vram < math.inf:
            raise CogxError(f"--max-vram {max_vram:g}: must be a number of GiB above 0")
        device, gpu, budget = self._machine(max_vram)
        cells = resolve_cells(sweeps, conditions.library, device, versions(), budget, gpu)
        costs = CostModel(history, gpu)
        decisions = choose_actions(cells.specs, history, conditions.retry_failed)
        runs = tuple(
            PlannedRun(spec, decision, costs.estimate(spec, cells.cards[spec.model_key], decision))
            for spec, decision in zip(cells.specs, decisions, strict=True)
        )
        advice = [*advise(cells, sweeps, budget, gpu), *advise_prompts(sweeps, conditions.library)]
        advice += advise_without_gpu(runs, cells.cards, sweeps)
        advice += advise_extras(runs, sweeps)
        advice += advise_elsewhere(runs, sweeps, history, now_ms())
        if conditions.gpu is not None:
            advice += advise_gpu(conditions.gpu)
        if max_vram is not None and device == "cpu":
            advice.append(Advice("note", "(command line):max_vram", "has no effect on a CPU"))
        capped = None if budget is None else max_vram
        return Plan(tuple(sweeps), runs, tuple(advice), cells.cards, capped, conditions)

    def complete(self, plan: Plan, history: Sequence[TrackedRun]) -> Plan:
        """Adds what the whole plan costs, and what the store says against it: an error for each sweep whose experiment
        was deleted or has its artifacts on a disk that is not mounted, a warning for each whose finished cells have
        lost files, and a note on each for which `rescore` would suffice."""
        store = self._store()
        refused = {} if store is None else _refused(store, plan.sweeps)
        errors = [
            Advice("error", f"{sweep.file}:name", refused[sweep.name]) for sweep in plan.sweeps if sweep.name in refused
        ]
        others = [sweep for sweep in plan.sweeps if sweep.name not in refused]
        stored = (*errors, *advise_remaking(plan.runs, others), *advise_rescoring(plan.runs, plan.sweeps, history))
        _, gpu, budget = self._machine(self.conditions.max_vram_gib)
        cost = cost_of(plan, history, gpu, budget)
        return replace(plan, advice=(*plan.advice, *stored, *advise_disk(plan, cost)), cost=cost)

    def _machine(self, max_vram_gib: float | None) -> tuple[Device, Gpu | None, Budget | None]:
        """Tells what is planned for: this machine as it is now, or another GPU with nothing else on it."""
        asked = self.conditions.gpu
        if asked is None:
            device = choose_device(self.conditions.device)
            return device, find_gpu() if device == "cuda" else None, Budget.here(device, max_vram_gib)
        if self.conditions.device not in {"auto", "cuda"}:
            raise CogxError(f"--gpu and --device {self.conditions.device}: name one of them")
        gpu = gpu_for_plan(asked).as_gpu()
        return "cuda", gpu, Budget.of_gpu(gpu, max_vram_gib)

    def _store(self) -> "RunReader | None":
        """Opens the store that is read; None where there is none."""
        if not self.use_store or not store_exists(self.tracking_uri):
            return None
        from cogx_runs.tracking.reader import RunReader

        return RunReader(self.tracking_uri)


def _refused(store: "RunReader", sweeps: Sequence[Sweep]) -> dict[str, str]:
    """Tells why no run can be made in the experiments of sweeps, by their names."""
    found = {}
    deleted = store.deleted_experiments()
    for name in dict.fromkeys(sweep.name for sweep in sweeps):
        if name in deleted:
            found[name] = was_deleted(name, deleted[name])
            continue
        try:
            store.check_place(name)
        except StoreUnavailableError:
            raise
        except CogxError as error:
            found[name] = str(error)
    return found
