"""Fully resolved cells, and the identities of their pixels, files and scores."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, Self

from cogx_runs.definitions.caches import NO_CACHE, Cache, cache_of
from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.lora import NO_LORA
from cogx_runs.definitions.parameters import Decoder, Dtype, Parameters, Quantization, Scheduler, is_guided
from cogx_runs.definitions.role import Changes, Compared, Logged, Reloads, Role, Warms, names_where, roles_of
from cogx_runs.definitions.variables import variable_param
from cogx_runs.formatting import write_exact, write_value
from cogx_runs.system.hardware import Device

_OF_THE_SWEEP = Role(changes=Changes.NOTHING, logged=Logged.ELSEWHERE)
_WEIGHTS = Reloads.PIPELINE | Reloads.VAE


@dataclass(frozen=True)
class Workload:
    """The parameters of a cell that determine its memory."""

    dtype: Dtype
    num_frames: int
    height: int
    width: int
    is_guided: bool
    vae_tiling: bool
    decoder: Decoder = "exact"
    quantization: Quantization = "none"
    compile: bool = False
    cache: str = NO_CACHE


class Origin(Frozen):
    """Fields of a cell besides its parameters: its text, and the weights to which its model is resolved."""

    sweep: Annotated[str, _OF_THE_SWEEP]
    prompt_name: Annotated[
        str, Role(changes=Changes.NOTHING, compared=Compared.NEVER, is_distinguishing=False, is_judged=False)
    ]
    prompt: Annotated[str, Role(changes=Changes.PIXELS, logged=Logged.TEXT, compared=Compared.NEVER)]
    prompt_variables: Annotated[tuple[tuple[str, str], ...], _OF_THE_SWEEP] = ()
    """Name and value of each variable of the prompt."""
    model: str
    """The name of the model's card."""
    model_source: Annotated[
        str,
        Role(changes=Changes.NOTHING, reloads=_WEIGHTS, compared=Compared.NEVER, is_distinguishing=False),
    ]
    model_revision: Annotated[
        str, Role(changes=Changes.PIXELS, reloads=_WEIGHTS, costs=True, compared=Compared.NEVER, mixes=False)
    ]
    max_sequence_length: Annotated[int, Role(changes=Changes.PIXELS, is_distinguishing=False)]
    device: Annotated[Device, Role(changes=Changes.NOTHING, reloads=_WEIGHTS, is_of_machine=True)]


class RunSpec(Parameters, Origin):
    """A cell: one configuration without nulls, one prompt, one seed, one video."""

    num_frames: int
    fps: int
    height: int
    width: int
    scheduler: Scheduler
    dtype: Dtype
    lora: str = NO_LORA
    quantization: Quantization = "none"
    cache: str = NO_CACHE
    clip_model: str
    metric_versions: Annotated[tuple[tuple[str, str], ...], _OF_THE_SWEEP] = ()
    """Definition version of each metric that is measured."""
    extra_metrics: Annotated[tuple[str, ...], _OF_THE_SWEEP] = ()
    """Optional metrics that are measured too. No part of the output hash: naming one makes no finished cell again."""
    axes: Annotated[tuple[str, ...], _OF_THE_SWEEP] = ()
    """The parameters that the sweep varies."""

    def replace(self, **changes: Any) -> Self:
        """Returns the cell with other values, checked; pydantic's own copy would keep the cached identity."""
        return type(self)(**{name: getattr(self, name) for name in ROLES} | changes)

    @cached_property
    def signature(self) -> str:
        """Identity of the pixels: a short SHA-256 over the canonical form of all that changes them.

        A placement that is swept is part of it: kept latents would tell nothing about its time.
        """
        values = {name: getattr(self, name) for name in PIXEL_FIELDS if self._is_signed(name)}
        values |= {name: getattr(self, name) for name in self.cost_axes}
        reduced = {name: reduce(values[name]) for name in values if (reduce := ROLES[name].identified_by)}
        return _digest(values | reduced)

    @cached_property
    def output_hash(self) -> str:
        """Identity of pixels, file and scores."""
        return output_hash(self.signature, self.outputs, dict(self.metric_versions))

    @property
    def outputs(self) -> dict[str, Any]:
        """Parameters on which file and scores depend, besides the pixels and the metrics' definitions."""
        return {name: getattr(self, name) for name in OUTPUT_FIELDS}

    @property
    def is_guided(self) -> bool:
        """Whether guidance is on: then each step takes two passes."""
        return is_guided(self.guidance_scale)

    @property
    def cost_axes(self) -> tuple[str, ...]:
        """Axes that change time and memory alone."""
        return tuple(axis for axis in self.axes if axis in COST_FIELDS)

    @property
    def step_cache(self) -> Cache | None:
        """The cache of the transformer, with its numbers; None without one."""
        return cache_of(self.cache)

    @property
    def not_bitwise(self) -> tuple[str, ...]:
        """Parameters by which the pixels differ a little from those of their defaults."""
        return tuple(name for name, exact in EXACT_VALUES.items() if getattr(self, name) != exact)

    @property
    def model_key(self) -> tuple[str, str]:
        """Source and revision, the key of the model's card in a plan."""
        return self.model_source, self.model_revision

    @property
    def config(self) -> dict[str, Any]:
        """Every resolved parameter, under diffusers' names, and the prompt's variables."""
        return {name: getattr(self, name) for name in CONFIG_FIELDS} | self.variables

    @property
    def variables(self) -> dict[str, str]:
        """The prompt's variables, by the params that keep them."""
        return {variable_param(name): value for name, value in self.prompt_variables}

    @property
    def run_name(self) -> str:
        """`guidance=6 panda_guitar`: short, and what differs first, since MLflow's UI cuts long names."""
        values = {axis: getattr(self, axis) for axis in self.axes}
        varied = [
            f"{short_name(axis)}={write_exact(value) if _is_number(value) else write_value(value)}"
            for axis, value in values.items()
        ]
        return " ".join([*varied, self.prompt_name])

    @property
    def pipeline_key(self) -> tuple[object, ...]:
        """Key of the loaded pipeline: cells with another key need another one."""
        return self._acting(lambda role: Reloads.PIPELINE in role.reloads)

    @property
    def vae_key(self) -> tuple[object, ...]:
        """Key of the VAE: pipelines with the same key can share it."""
        return self._acting(lambda role: Reloads.VAE in role.reloads)

    @property
    def shape(self) -> tuple[object, ...]:
        """Key of the denoising step that is warmed up, or compiled."""
        return self._acting(lambda role: Warms.STEP in role.warms)

    @property
    def decoding_shape(self) -> tuple[object, ...]:
        """Key of the decoding that is warmed up."""
        return self._acting(lambda role: Warms.DECODING in role.warms)

    @property
    def judged(self) -> tuple[object, ...]:
        """Values on which the rules of advice depend."""
        return self._acting(lambda role: role.is_judged)

    @property
    def workload(self) -> Workload:
        """Parameters that determine its memory."""
        return Workload(**{field.name: getattr(self, field.name) for field in fields(Workload)})

    @property
    def axis_values(self) -> dict[str, float]:
        """Swept values that are numbers."""
        values = {axis: getattr(self, axis) for axis in self.axes}
        return {axis: float(value) for axis, value in values.items() if _is_number(value)}

    def _is_signed(self, name: str) -> bool:
        """Checks whether a parameter's value is part of the signature."""
        return ROLES[name].is_signed_by_default or getattr(self, name) != type(self).model_fields[name].default

    def _acting(self, holds: Callable[[Role], object]) -> tuple[object, ...]:
        """Returns the values, reduced by `acts_as`, of the parameters whose role satisfies `holds`."""
        values = {name: getattr(self, name) for name in names_where(ROLES, holds)}
        acts = {name: ROLES[name].acts_as for name in values}
        return tuple(value if (act := acts[name]) is None else act(value) for name, value in values.items())


ROLES = roles_of(RunSpec)
PIXEL_FIELDS = names_where(ROLES, lambda role: role.changes is Changes.PIXELS)
"""Parameters that change the pixels."""
EXACT_VALUES = {
    name: RunSpec.model_fields[name].default for name in names_where(ROLES, lambda role: role.is_approximate)
}
"""The values of the approximate parameters with which a cell is exact."""
UNSIGNED_DEFAULTS = {
    name: RunSpec.model_fields[name].default for name, role in ROLES.items() if not role.is_signed_by_default
}
"""The values that give the bits of the time before their parameters existed."""
FILE_FIELDS = names_where(ROLES, lambda role: role.changes is Changes.FILE)
"""Parameters that change the file, not the pixels."""
SCORE_FIELDS = names_where(ROLES, lambda role: role.changes is Changes.SCORE)
"""Parameters that change scores, not the pixels."""
COST_FIELDS = names_where(ROLES, lambda role: role.changes is Changes.COST)
"""Parameters that change time and memory alone."""
OUTPUT_FIELDS = (*FILE_FIELDS, *SCORE_FIELDS)
"""Parameters that change file or scores, not the pixels."""
CONFIG_FIELDS = names_where(ROLES, lambda role: role.logged is not Logged.ELSEWHERE)
"""Parameters of a run's configuration."""
PARAM_FIELDS = names_where(ROLES, lambda role: role.logged is Logged.PARAM)
"""Parameters that are logged as a run's params."""
MACHINE_FIELDS = names_where(ROLES, lambda role: role.is_of_machine)
"""Parameters that are certain only once the cell has run: a reused cell may come from another machine."""


def short_name(parameter: str) -> str:
    """Returns the name of a parameter on the command line, in the names of runs and in tables."""
    return (ROLES[parameter].short if parameter in ROLES else "") or parameter


def output_hash(signature: str, outputs: Mapping[str, Any], metric_versions: Mapping[str, str]) -> str:
    """Hashes the identity of pixels, file and scores; `outputs` are the values of OUTPUT_FIELDS."""
    return _digest({"signature": signature, **outputs, "metrics": metric_versions})


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
