"""Falls back to a smaller placement where one runs out of the GPU's memory."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from cogx_runs.definitions.parameters import Placement
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.loader import Loader
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.memory import Budget, needs
from cogx_runs.progress import Progress
from cogx_runs.system.hardware import Device

LESS_MEMORY: Mapping[Placement, Placement] = {"resident": "group", "model": "group", "group": "sequential"}
"""What is tried next where a placement runs out of the GPU's memory."""
_T = TypeVar("_T")


class OomFallback:
    """Does work on the GPU in the placement asked for, or in the largest below it that has been seen to fit.

    What was once too large is not tried again for as long as this lives: the cells of one search share a placement.
    """

    def __init__(
        self,
        loader: Loader,
        *,
        less_memory: Mapping[Placement, Placement] = LESS_MEMORY,
        budget: Callable[[Device], Budget | None] = Budget.here,
    ) -> None:
        """`loader` holds what is freed before the next try; `budget` tells what memory there is."""
        self._loader = loader
        self._less_memory = less_memory
        self._budget = budget
        self._lowered: dict[tuple[object, ...], Placement] = {}

    def __call__(
        self, card: ModelCard, spec: RunSpec, work: Callable[[RunSpec], _T], progress: Progress
    ) -> tuple[_T, Placement]:
        """Returns the result of work on a cell, and the placement that it was done with.

        Out of memory, all is freed and the next smaller placement tried, by this cell and those after it. Raises
        torch.OutOfMemoryError where there is none, and where the placement is what the sweep varies.
        """
        if spec.cost_axes:
            return work(spec), spec.placement
        while True:
            while spec.pipeline_key in self._lowered:
                spec = spec.replace(placement=self._lowered[spec.pipeline_key])
            smaller = self.smaller(card, spec)
            try:
                return work(spec), spec.placement
            except torch.OutOfMemoryError:
                if smaller is None:
                    raise
                progress.note(
                    f"{spec.run_name}: out of GPU memory with placement {spec.placement}; retrying with {smaller}"
                )
            self._lowered[spec.pipeline_key] = smaller
            self._loader.free()  # outside the handler, which holds on to what was allocated

    def smaller(self, card: ModelCard, spec: RunSpec) -> Placement | None:
        """Chooses what is tried after this placement; `group` only where the host has room to pin."""
        smaller = self._less_memory.get(spec.placement)
        budget = self._budget(spec.device)
        if smaller == "group" and budget is not None:
            needed = needs(card, smaller, spec.workload)
            if needed.host_gib > budget.ram_gib:
                smaller = self._less_memory.get(smaller)
        return None if spec.compile and smaller == "sequential" else smaller
