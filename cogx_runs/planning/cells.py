"""Sweeps resolved into cells, in the order in which they are best made."""

import itertools
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cogx_runs.definitions.prompts import Prompt, PromptLibrary
from cogx_runs.definitions.spec import RunSpec, Workload
from cogx_runs.definitions.sweep import Dtype, Sweep
from cogx_runs.errors import CogxError, InputError, Mistake
from cogx_runs.models.cards import ModelCard, resolve_model
from cogx_runs.models.memory import Budget, Choice, choose_placement
from cogx_runs.system.hardware import Device

Choices = Mapping[tuple[tuple[str, str], Dtype], Choice]
"""What placement `auto` became, by a model's key and the precision that it runs in."""


@dataclass(frozen=True)
class ResolvedCells:
    """The cells of sweeps, with what was found out to resolve them."""

    specs: Sequence[RunSpec]
    """In execution order."""
    cards: Mapping[tuple[str, str], ModelCard]
    """Of the models used, by source and revision."""
    choices: Choices = field(default_factory=dict)
    """Empty on a CPU, where everything is resident."""


def resolve_cells(
    sweeps: Sequence[Sweep],
    library: PromptLibrary,
    device: Device,
    metric_versions: Mapping[str, str],
    budget: Budget | None = None,
) -> ResolvedCells:
    """Resolves every cell of the sweeps, in execution order; one that a sweep names twice appears once.

    Cells of one model come together, so that nothing is loaded or compiled twice; else the order is the files'.

    Placement `auto` becomes one placement for all cells of a model, since another means loading it again: that in
    which the largest of them fits `budget`, `resident` where that is None.

    Raises InputError naming every prompt and model that cannot be had.
    """
    mistakes: list[Mistake] = []
    cards: dict[str, ModelCard] = {}
    specs: list[RunSpec] = []
    for sweep in sweeps:
        try:
            prompts = library.select(sweep.prompts, f"{sweep.file}:prompts")
        except InputError as error:
            mistakes += error.mistakes
            prompts = []
        seen: set[str] = set()
        for parameters in _configurations(sweep):
            key = f"{parameters['model']}@{parameters['revision']}"
            if key not in cards:
                try:
                    cards[key] = resolve_model(parameters["model"], parameters["revision"])
                except CogxError as error:
                    where = sweep.where("model")
                    if not any(mistake.where == where and mistake.message == str(error) for mistake in mistakes):
                        mistakes.append(Mistake(where, str(error)))
                    continue
            for prompt in prompts:
                spec = resolve_cell(sweep, parameters, prompt, cards[key], device, metric_versions)
                if spec.output_hash not in seen:
                    seen.add(spec.output_hash)
                    specs.append(spec)
    if mistakes:
        raise InputError(mistakes)
    by_key = {(card.source, card.revision): card for card in cards.values()}
    choices = {} if budget is None else _choose_placements(specs, by_key, budget)
    return ResolvedCells(_neighbours([_placed(spec, choices) for spec in specs]), by_key, choices)


def resolve_cell(
    sweep: Sweep,
    parameters: Mapping[str, Any],
    prompt: Prompt,
    card: ModelCard,
    device: Device,
    metric_versions: Mapping[str, str],
) -> RunSpec:
    """One cell with every null of its `parameters` replaced by what the model or the device makes of it.

    Placement `auto` stays on a GPU, for `resolve_cells` to choose for all cells together.
    """
    p = parameters
    return RunSpec(
        sweep=sweep.name,
        prompt_name=prompt.name,
        prompt=prompt.text,
        negative_prompt=p["negative_prompt"],
        model=card.name,
        model_source=card.source,
        model_revision=card.revision,
        num_inference_steps=p["num_inference_steps"],
        guidance_scale=p["guidance_scale"],
        num_frames=p["num_frames"],
        fps=p["fps"],
        seed=p["seed"],
        height=p["height"] or card.height,
        width=p["width"] or card.width,
        scheduler=p["scheduler"] or card.scheduler,
        use_dynamic_cfg=p["use_dynamic_cfg"],
        max_sequence_length=card.max_sequence_length,
        device=device,
        dtype=p["dtype"] or (card.dtype if device == "cuda" else "float32"),
        vae_tiling=p["vae_tiling"],
        vae_slicing=p["vae_slicing"],
        placement="resident" if p["placement"] == "auto" and device == "cpu" else p["placement"],
        compile=p["compile"],
        video_quality=p["video_quality"],
        clip_model=resolve_clip(p["clip_model"] or card.clip_model),
        abort_degenerate=p["abort_degenerate"],
        metric_versions=tuple(sorted(metric_versions.items())),
        axes=tuple(sweep.axes),
    )


def _neighbours(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """The cells with those of one loaded model, then of one compiled shape, side by side; groups keep their order."""

    def group(spec: RunSpec) -> list[tuple[object, ...]]:
        loaded = (spec.model_key, spec.device, spec.dtype, spec.placement, spec.compile)
        return [loaded, (*loaded, spec.shape)] if spec.compile else [loaded]

    first: dict[tuple[object, ...], int] = {}
    for number, spec in enumerate(specs):
        for key in group(spec):
            first.setdefault(key, number)
    return sorted(specs, key=lambda spec: [first[key] for key in group(spec)])


def _choose_placements(specs: Sequence[RunSpec], cards: Mapping[tuple[str, str], ModelCard], budget: Budget) -> Choices:
    """Chooses the one placement of all cells of a model in a precision that ask for `auto`."""
    workloads: dict[tuple[tuple[str, str], Dtype], set[Workload]] = {}
    for spec in specs:
        if spec.placement == "auto":
            workloads.setdefault((spec.model_key, spec.dtype), set()).add(spec.workload)
    return {key: choose_placement(cards[key[0]], alike, budget) for key, alike in workloads.items()}


def _placed(spec: RunSpec, choices: Choices) -> RunSpec:
    """The cell with `auto` replaced by what was chosen, by `resident` where nothing had to be."""
    if spec.placement != "auto":
        return spec
    choice = choices.get((spec.model_key, spec.dtype))
    return replace(spec, placement="resident" if choice is None else choice.placement)


def _configurations(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """The base with each combination of axis values that `vary` asks for."""
    base = sweep.base.model_dump()
    names, values = list(sweep.axes), list(sweep.axes.values())
    if not names and sweep.vary != "random":
        yield base
    elif sweep.vary == "one_at_a_time":
        for name in names:
            for value in sweep.axes[name]:
                yield {**base, name: value}
    elif sweep.vary == "zip":
        for combination in zip(*values, strict=True):
            yield {**base, **dict(zip(names, combination, strict=True))}
    elif sweep.vary == "grid":
        for combination in itertools.product(*values):
            yield {**base, **dict(zip(names, combination, strict=True))}
    else:
        assert sweep.random is not None, "a sweep file with `vary: random` has its draw"
        size = math.prod(map(len, values))
        if sweep.random.count > size:
            raise InputError.single(
                f"{sweep.file}:random.count", f"{sweep.random.count} is more than the {size} cells of the grid"
            )
        if size > sys.maxsize:  # the length of a `range` ends there
            raise InputError.single(f"{sweep.file}:axes", f"a grid of {size:.1e} cells is too large to draw from")
        for index in random.Random(sweep.random.seed).sample(range(size), sweep.random.count):
            yield {**base, **dict(zip(names, _combination(index, values), strict=True))}


def _combination(index: int, axes: Sequence[Sequence[Any]]) -> list[Any]:
    """Finds the combination that `itertools.product(*axes)` gives at `index`; the last axis changes fastest."""
    chosen = []
    for values in reversed(axes):
        index, place = divmod(index, len(values))
        chosen.append(values[place])
    return chosen[::-1]


def resolve_clip(name: str) -> str:
    """A CLIP's folder or checkpoint made absolute; any other name as it is."""
    if name == "toy":
        return name
    architecture, _, weights = name.rpartition(":")
    if not Path(weights).exists():
        return name
    return f"{architecture}:{Path(weights).absolute()}" if architecture else str(Path(weights).absolute())
