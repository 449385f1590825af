"""What is done where a placement runs out of the GPU's memory: the next smaller one."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from cogx_runs.definitions.parameters import Placement
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.loader import Loader
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.memory import Budget, needs

LESS_MEMORY: Mapping[Placement, Placement] = {"resident": "group", "model": "group", "group": "sequential"}
"""What is tried next where a placement runs out of the GPU's memory."""
_T = TypeVar("_T")


class StepDown:
    """Does work on the GPU in the placement asked for, or in the largest below it that has been seen to fit.

    What was once too large is not tried again for as long as this lives: the cells of one search share a placement.
    """

    def __init__(self, loader: Loader, note: Callable[[str], None]) -> None:
        """`loader` holds what is freed before the next try; `note` is told of each step."""
        self._loader = loader
        self._note = note
        self._lowered: dict[tuple[object, ...], Placement] = {}

    def __call__(self, card: ModelCard, spec: RunSpec, work: Callable[[RunSpec], _T]) -> tuple[_T, Placement]:
        """The result of work on a cell, and the placement that it was done with.

        Out of memory, all is freed and the next smaller placement tried, by this cell and those after it. Raises
        torch.OutOfMemoryError where there is none.
        """
        while True:
            while spec.pipeline_key in self._lowered:
                spec = spec.replace(placement=self._lowered[spec.pipeline_key])
            smaller = self.smaller(card, spec)
            try:
                return work(spec), spec.placement
            except torch.OutOfMemoryError:
                if smaller is None:
                    raise
                self._note(f"{spec.run_name}: placement {spec.placement} is out of the GPU's memory; now {smaller}")
            self._lowered[spec.pipeline_key] = smaller
            self._loader.free()  # outside the handler, which holds on to what was allocated

    def smaller(self, card: ModelCard, spec: RunSpec) -> Placement | None:
        """What is tried where this placement runs out of memory; `group` only where the host has room to pin."""
        smaller = LESS_MEMORY.get(spec.placement)
        budget = Budget.here(spec.device)
        if smaller == "group" and budget is not None:
            needed = needs(card, smaller, spec.workload)
            if needed.host_gib > budget.ram_gib:
                smaller = LESS_MEMORY.get(smaller)
        return None if spec.compile and smaller == "sequential" else smaller
