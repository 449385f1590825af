"""The planner: combines sweeps, conditions and the history of the tracking store into a plan."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError
from cogx_runs.metrics.registry import versions
from cogx_runs.models.memory import Budget
from cogx_runs.planning.actions import choose_actions
from cogx_runs.planning.advice import advise, advise_rescoring
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.planning.cost import CostModel
from cogx_runs.planning.plan import Advice, Conditions, Plan, PlannedRun
from cogx_runs.planning.prompts import advise_prompts
from cogx_runs.system.hardware import choose_device
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.uri import store_exists


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
        if not self.use_store or not store_exists(self.tracking_uri):
            return []
        from cogx_runs.tracking.reader import RunReader

        return RunReader(self.tracking_uri).history()

    def plan(self, sweeps: Sequence[Sweep]) -> Plan:
        """Plans sweeps whose cells are known, and reads the store for it. Raises InputError naming every mistake."""
        history = self.history()
        return self.with_rescoring(self.plan_cells(sweeps, history), history)

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
        device = choose_device(conditions.device)
        budget = Budget.here(device, max_vram)
        cells = resolve_cells(sweeps, conditions.library, device, versions(), budget)
        costs = CostModel(history)
        decisions = choose_actions(cells.specs, history, conditions.retry_failed)
        runs = tuple(
            PlannedRun(spec, decision, costs.estimate(spec, decision))
            for spec, decision in zip(cells.specs, decisions, strict=True)
        )
        advice = [*advise(cells, sweeps, budget), *advise_prompts(sweeps, conditions.library)]
        if max_vram is not None and device == "cpu":
            advice.append(Advice("note", "(command line):max_vram", "has no effect on a CPU"))
        capped = None if budget is None else max_vram
        return Plan(tuple(sweeps), runs, tuple(advice), cells.cards, capped, conditions)

    def with_rescoring(self, plan: Plan, history: Sequence[TrackedRun]) -> Plan:
        """Adds a note on each sweep for which `rescore` would suffice."""
        return replace(plan, advice=(*plan.advice, *advise_rescoring(plan.runs, plan.sweeps, history)))
