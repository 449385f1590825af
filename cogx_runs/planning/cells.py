"""Sweeps resolved into cells, in execution order."""

import itertools
import math
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cogx_runs.definitions.limits import MOST_CELLS
from cogx_runs.definitions.lora import NO_LORA
from cogx_runs.definitions.parameters import Dtype, Parameters
from cogx_runs.definitions.prompts import Prompt, PromptLibrary
from cogx_runs.definitions.spec import RunSpec, Workload
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import MOST_MISTAKES, CogxError, InputError, Mistake
from cogx_runs.models.cards import ModelCard, resolve_model
from cogx_runs.models.lora import resolve_loras
from cogx_runs.models.memory import Budget, Choice, choose_placement
from cogx_runs.planning.fast import against_compile, fast_values
from cogx_runs.system.hardware import Device, Gpu

Choices = Mapping[tuple[tuple[str, str], Dtype], Choice]
"""Placements chosen for `auto`, by a model's key and precision."""


@dataclass(frozen=True)
class ResolvedCells:
    """The cells of sweeps, with the model cards and placements used to resolve them."""

    specs: Sequence[RunSpec]
    """In execution order."""
    cards: Mapping[tuple[str, str], ModelCard]
    """Cards of the models used, by source and revision."""
    choices: Choices = field(default_factory=dict)
    """Placements of `auto`; empty on a CPU, where everything is resident."""


def resolve_cells(
    sweeps: Sequence[Sweep],
    library: PromptLibrary,
    device: Device,
    metric_versions: Mapping[str, str],
    budget: Budget | None = None,
    gpu: Gpu | None = None,
) -> ResolvedCells:
    """Resolves every cell of the sweeps, in execution order; one that a sweep names twice appears once.

    Cells of one model are grouped, so that nothing is loaded or compiled twice; else the order is that of the files.

    Placement `auto` becomes one placement for all cells of a model, since another would load it again: the fastest in
    which the largest cell fits `budget`; `resident` where `budget` is None. `fast` becomes what `gpu` and the
    installation have of it.

    Raises InputError naming every prompt and model that cannot be found.
    """
    mistakes: list[Mistake] = []
    cards: dict[str, ModelCard] = {}
    specs: list[RunSpec] = []
    _check_number(sweeps, library)
    for sweep in sweeps:
        try:
            prompts = library.select(sweep.prompts, sweep.at)
        except InputError as error:
            mistakes += error.mistakes
            prompts = []
        seen: set[str] = set()
        unknown: set[str] = set()
        for parameters in _configurations(sweep):
            key = f"{parameters.model}@{parameters.revision}"
            if key not in cards:
                if key in unknown or len(unknown) > MOST_MISTAKES:
                    continue
                try:
                    cards[key] = resolve_model(parameters.model, parameters.revision)
                except CogxError as error:
                    unknown.add(key)
                    mistakes.append(Mistake(sweep.where("model"), str(error)))
                    continue
            try:
                parameters = with_loras(parameters, cards[key])
            except CogxError as error:
                mistakes.append(Mistake(sweep.where("lora"), str(error)))
                continue
            for prompt in prompts:
                spec = resolve_cell(sweep, parameters, prompt, cards[key], device, metric_versions, gpu)
                if spec.output_hash not in seen:
                    seen.add(spec.output_hash)
                    specs.append(spec)
    if mistakes:
        raise InputError(dict.fromkeys(mistakes))
    by_key = {(card.source, card.revision): card for card in cards.values()}
    choices = {} if budget is None else _choose_placements(specs, by_key, budget)
    return ResolvedCells(_neighbours([_placed(spec, choices) for spec in specs]), by_key, choices)


def _check_number(sweeps: Sequence[Sweep], library: PromptLibrary) -> None:
    """Raises InputError for more than MOST_CELLS cells, before any is made."""
    total = 0
    for sweep in sweeps:
        cells = sweep.configurations * library.count(sweep.prompts)
        total += cells
        if total > MOST_CELLS:
            ours = f"makes {cells:,} cells" if cells > MOST_CELLS else f"makes {cells:,} cells more, in all {total:,}"
            message = f"{ours}, and {MOST_CELLS:,} are the most of one plan; take fewer values or prompts"
            raise InputError.single(sweep.at("axes"), message)


def resolve_cell(
    sweep: Sweep,
    parameters: Parameters,
    prompt: Prompt,
    card: ModelCard,
    device: Device,
    metric_versions: Mapping[str, str],
    gpu: Gpu | None = None,
) -> RunSpec:
    """Replaces every null of one cell's parameters by the value of the model or the device.

    Placement `auto` stays on a GPU, for `resolve_cells` to choose for all cells together.
    """
    dtype = parameters.dtype or (card.dtype if device == "cuda" else "float32")
    resolved = {
        "model": card.name,
        "num_frames": parameters.num_frames or card.num_frames,
        "fps": parameters.fps or card.fps,
        "height": parameters.height or card.height,
        "width": parameters.width or card.width,
        "scheduler": parameters.scheduler or card.scheduler,
        "dtype": dtype,
        "placement": "resident" if parameters.placement == "auto" and device == "cpu" else parameters.placement,
        "clip_model": resolve_clip(parameters.clip_model or card.clip_model),
        **fast_values(parameters, dtype, device, gpu),
    }
    return RunSpec(
        sweep=sweep.name,
        prompt_name=prompt.name,
        prompt=prompt.text,
        prompt_variables=prompt.variables,
        model_source=card.source,
        model_revision=card.revision,
        max_sequence_length=card.max_sequence_length,
        device=device,
        metric_versions=tuple(sorted(metric_versions.items())),
        extra_metrics=sweep.extra_metrics,
        axes=tuple(sweep.axes),
        **{name: getattr(parameters, name) for name in Parameters.model_fields} | resolved,
    )


def with_loras(parameters: Parameters, card: ModelCard) -> Parameters:
    """Resolves adapters to their contents; without any, the scale is that of all cells without any.

    Raises CogxError as `resolve_loras` does.
    """
    text = parameters.lora or NO_LORA
    resolved = {"lora_scale": 1.0} if text == NO_LORA else {"lora": resolve_loras(text, card)}
    return parameters.model_copy(update=resolved)


def _neighbours(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """Groups the cells by loaded model, then by compiled shape; groups keep their order."""

    def group(spec: RunSpec) -> list[tuple[object, ...]]:
        loaded = spec.pipeline_key
        return [loaded, (*loaded, spec.shape)] if spec.compile else [loaded]

    first: dict[tuple[object, ...], int] = {}
    for number, spec in enumerate(specs):
        for key in group(spec):
            first.setdefault(key, number)
    return sorted(specs, key=lambda spec: [first[key] for key in group(spec)])


def _choose_placements(specs: Sequence[RunSpec], cards: Mapping[tuple[str, str], ModelCard], budget: Budget) -> Choices:
    """Chooses one placement for all cells of a model and precision whose placement is `auto`."""
    workloads: dict[tuple[tuple[str, str], Dtype], set[Workload]] = {}
    for spec in specs:
        if spec.placement == "auto":
            workloads.setdefault((spec.model_key, spec.dtype), set()).add(spec.workload)
    return {key: choose_placement(cards[key[0]], alike, budget) for key, alike in workloads.items()}


def _placed(spec: RunSpec, choices: Choices) -> RunSpec:
    """Replaces `auto` by the chosen placement, by `resident` where there was no choice; has `fast` compile nothing that
    cannot be compiled."""
    if spec.placement == "auto":
        choice = choices.get((spec.model_key, spec.dtype))
        spec = spec.replace(placement="resident" if choice is None else choice.placement)
    return spec.replace(compile=False) if spec.fast and spec.compile and against_compile(spec) else spec


def _configurations(sweep: Sweep) -> Iterator[Parameters]:
    """Yields the base with each combination of axis values that `vary` selects."""
    groups = [[dict(zip(names, setting, strict=True)) for setting in found] for names, found in sweep.settings]

    def with_values(chosen: Iterable[Mapping[str, Any]]) -> Parameters:
        return sweep.base.model_copy(update={name: value for one in chosen for name, value in one.items()})

    if not groups and sweep.vary != "random":
        yield sweep.base
    elif sweep.vary == "one_at_a_time":
        yield from (with_values([setting]) for group in groups for setting in group)
    elif sweep.vary == "zip":
        yield from map(with_values, zip(*groups, strict=True))
    elif sweep.vary == "grid":
        yield from map(with_values, itertools.product(*groups))
    else:
        assert sweep.random is not None, "a sweep file with `vary: random` has its draw"
        size = math.prod(map(len, groups))
        if sweep.random.count > size:
            raise InputError.single(
                sweep.at("random.count"), f"{sweep.random.count} is more than the {size:,} cells of the grid"
            )
        if size > sys.maxsize:  # the length of a `range` ends there
            raise InputError.single(sweep.at("axes"), f"a grid of {size:.1e} cells is too large to draw from")
        for index in random.Random(sweep.random.seed).sample(range(size), sweep.random.count):
            yield with_values(_combination(index, groups))


def _combination(index: int, axes: Sequence[Sequence[Any]]) -> list[Any]:
    """Finds the combination that `itertools.product(*axes)` gives at `index`; the last axis changes fastest."""
    chosen = []
    for values in reversed(axes):
        index, place = divmod(index, len(values))
        chosen.append(values[place])
    return chosen[::-1]


def resolve_clip(name: str) -> str:
    """Makes the path of a CLIP's folder or checkpoint absolute; returns any other name as it is."""
    if name == "toy":
        return name
    architecture, _, weights = name.rpartition(":")
    if not Path(weights).exists():
        return name
    return f"{architecture}:{Path(weights).absolute()}" if architecture else str(Path(weights).absolute())
