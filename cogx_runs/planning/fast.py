"""What `fast` stands for on a machine: the ways to be faster that keep the precision."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cogx_runs.definitions.parameters import STANDS_FOR, Attention, Decoder, Parameters
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.formatting import write_value
from cogx_runs.planning.plan import Advice
from cogx_runs.system.hardware import Device, Gpu
from cogx_runs.system.kernels import KERNELS

NEVER_COMPILED = ("sequential", "model")
"""Placements that move the layers inside a compiled block."""


def fast_values(parameters: Parameters, dtype: str, device: Device, gpu: Gpu | None) -> dict[str, Any]:
    """Returns the values that `fast` gives to the parameters that nothing else names: those of the kernels that the
    machine has; none on a CPU."""
    if not parameters.fast or device == "cpu":
        return {}
    attention: Attention = "fa4" if dtype != "float32" and _has("fa4", device, gpu) else "sdpa"
    decoder: Decoder = "fused" if _has("fused", device, gpu) else "exact"
    values = {"compile": True, "attention": attention, "decoder": decoder}
    return {name: value for name, value in values.items() if name not in parameters.model_fields_set}


def against_compile(spec: RunSpec) -> list[str]:
    """Lists the parameters by whose values a cell's blocks cannot be compiled."""
    cache = spec.step_cache
    forbids = {
        "placement": spec.placement in NEVER_COMPILED,
        "quantization": spec.quantization == "fp8_storage",
        "cache": cache is not None and not cache.of_blocks,
    }
    return [name for name, holds in forbids.items() if holds]


def advise_fast(specs: Sequence[RunSpec], sweeps: Mapping[str, Sweep]) -> Iterator[Advice]:
    """Notes what `fast` came to in each sweep."""
    for name in dict.fromkeys(spec.sweep for spec in specs):
        found = [spec for spec in specs if spec.sweep == name]
        parts = {one: dict.fromkeys(getattr(spec, one) for spec in found) for one in STANDS_FOR["fast"]}
        named = ", ".join(f"{one} {' or '.join(map(write_value, values))}" for one, values in parts.items())
        message = "fast changes nothing on a CPU" if found[0].device == "cpu" else f"fast is {named} here"
        yield Advice("note", sweeps[name].where("fast"), message)


def _has(kernel: str, device: Device, gpu: Gpu | None) -> bool:
    return not KERNELS[kernel].lack(device, gpu)
