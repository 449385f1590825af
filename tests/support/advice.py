"""Advice on a grid of one prompt."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.models.memory import Budget
from cogx_runs.planning.advice import advise
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.planning.plan import Advice
from cogx_runs.system.hardware import Device, Gpu
from tests.support.planning import library_of


def advice_on(
    text: str = "A panda plays the guitar.",
    axes: Mapping[str, tuple[Any, ...]] | None = None,
    device: Device = "cpu",
    source: str | None = None,
    budget: Budget | None = None,
    gpu: Gpu | None = None,
    **base: Any,
) -> list[Advice]:
    """Advice on a grid of one prompt, `source` put in the place of the model's own."""
    sweep = make_sweep(axes, **base)
    library = library_of(text)
    cells = resolve_cells([sweep], library, device, {}, budget, gpu)
    cards = {name: replace(card, source=source or card.source) for name, card in cells.cards.items()}
    return advise(replace(cells, cards=cards), [sweep], budget, gpu)


def make_sweep(axes: Mapping[str, tuple[Any, ...]] | None = None, **base: Any) -> Sweep:
    return Sweep(
        name="exp",
        file="exp.yaml",
        description="",
        prompts=("p",),
        base=Parameters(**base),
        axes=dict(axes or {}),
        vary="grid",
    )
