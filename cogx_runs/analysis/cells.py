"""The cells of an experiment, one run for each."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from cogx_runs.definitions.role import Changes, names_where
from cogx_runs.definitions.spec import COST_FIELDS, PARAM_FIELDS, ROLES, SCORE_FIELDS
from cogx_runs.definitions.variables import TEMPLATE_PARAM, is_variable, variable_name
from cogx_runs.formatting import write_value
from cogx_runs.tracking.run import TrackedRun

_SAME_VIDEO = names_where(ROLES, lambda role: role.changes in {Changes.NOTHING, Changes.COST})
CONFIG = tuple(
    sorted(
        (name for name in PARAM_FIELDS if name not in _SAME_VIDEO and ROLES[name].is_distinguishing),
        key=lambda name: ROLES[name].asked,
    )
)
"""Parameters that distinguish videos, those that a reader asks for first in front."""
MODEL = "model"
"""The axis along which cells pair although more differs than its own value."""


def run_of_each_cell(runs: Iterable[TrackedRun]) -> list[TrackedRun]:
    """Selects for each cell its newest finished run, else its newest run, in the order of their start times.

    Runs that differ only in the definitions of their metrics belong to the same cell.
    """
    # A run that died before its parameters were written is known by its output hash alone.
    same_output = _best_by(runs, lambda run: run.output_hash or run.run_id)
    return sorted(_best_by(same_output, lambda run: run.cell), key=lambda run: run.start_time_ms)


def distinguishing(configs: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    """Selects the parameters that tell configurations apart, without those that follow from the ones named before, as
    the size does from the model."""
    found: list[str] = []
    told_apart = 1
    for name in names:
        if len({config.get(name) for config in configs}) < 2:
            continue
        together = len({tuple(config.get(one) for one in (*found, name)) for config in configs})
        if together > told_apart:
            found.append(name)
            told_apart = together
    return found


def config_names(cells: Sequence[TrackedRun]) -> list[str]:
    """Lists the parameters that distinguish cells: a placement only where it is swept."""
    return [*CONFIG, *(name for name in COST_FIELDS if any(name in cell.cost_axes for cell in cells))]


def others(cell: TrackedRun, axes: Collection[str]) -> tuple[Any, ...]:
    """Lists the values that a cell shares with cells that differ from it along `axes` alone: its prompt or, along a
    variable of prompts, all other variables."""
    varied = {name: value for name, value in cell.config.items() if is_variable(name) and name not in axes}
    text = sorted(varied.items()) if any(map(is_variable, axes)) else (cell.prompt_name, cell.prompt)
    return (*text, *(cell.config.get(name) for name in config_names([cell]) if name not in axes))


def prompts_apart(variables: Sequence[Mapping[str, Any]], axes: Collection[str]) -> list[str]:
    """Names what prompts share that differ along `axes` alone, by the params of their variables: the template, and the
    other variables that have several values, `car, place Rome`."""
    names = dict.fromkeys(name for one in variables for name in one if is_variable(name) and name not in axes)
    named = [name for name in names if name != TEMPLATE_PARAM and len({one.get(name) for one in variables}) > 1]
    return [
        ", ".join([str(one.get(TEMPLATE_PARAM)), *(f"{variable_name(name)} {one.get(name)}" for name in named)])
        for one in variables
    ]


def labels_of(cells: Sequence[TrackedRun], axes: Collection[str]) -> dict[str, str]:
    """Labels each cell, by run id, with what distinguishes it within its prompt except `axes`: `seed 1, model 5b`."""
    named = distinguishing([cell.config for cell in cells], (name for name in config_names(cells) if name not in axes))
    return {
        cell.run_id: ", ".join(f"{name} {write_value(cell.config[name])}" for name in named if name in cell.config)
        for cell in cells
    }


def follow_model(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lists the parameters that differ between models and have one value within each: its revision, and defaults such
    as scheduler and precision. Cells of two models that differ in nothing else are a pair."""
    models: dict[Any, list[Mapping[str, Any]]] = {}
    for config in configs:
        models.setdefault(config.get(MODEL), []).append(config)
    return [
        name
        for name in PARAM_FIELDS
        if name != MODEL
        and name not in SCORE_FIELDS
        and name not in _SAME_VIDEO
        and len({config.get(name) for config in configs}) > 1
        and all(len({config.get(name) for config in found}) == 1 for found in models.values())
    ]


def _best_by(runs: Iterable[TrackedRun], identity: Callable[[TrackedRun], Hashable]) -> list[TrackedRun]:
    found: dict[Hashable, TrackedRun] = {}
    for run in sorted(runs, key=lambda run: (run.state.is_finished, bool(run.params), run.start_time_ms)):
        found[identity(run)] = run
    return list(found.values())
