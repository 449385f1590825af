"""Weights of a transformer in 8 bits, in the place of those that have just been loaded.

Nothing is kept of the weights before: the next cell without it loads them anew, which takes no memory meanwhile.
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.hooks import apply_layerwise_casting
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from cogx_runs.definitions.parameters import Quantization
from cogx_runs.models.configs import TransformerConfig
from cogx_runs.models.quantization import quantized_layers

STORAGE = torch.float8_e4m3fn


@dataclass(frozen=True)
class Quantized:
    """What is quantised of a transformer."""

    layers: int
    """Linear layers whose weights are in 8 bits."""
    linear_layers: int
    """All of its linear layers."""
    bytes_before: int
    """All of its weights in the precision in which it was loaded."""
    bytes_after: int


def quantize(transformer: CogVideoXTransformer3DModel, config: TransformerConfig, quantization: Quantization) -> None:
    """Puts the weights of attention and feed-forward into 8 bits, before they are compiled or placed.

    `int8`: symmetric, a scale for each output, multiplied in the precision of the inputs. `fp8`: e4m3, one scale for
    each matrix of weights and, found at each use, of inputs; scales by row would be for bfloat16 alone. `fp8_storage`:
    e4m3 without a scale, cast for each use. Planning has seen that the GPU and the installation have what it needs.
    """
    if quantization == "none":
        return
    layers = quantized_layers(config)
    if quantization == "fp8_storage":
        for name in layers:
            apply_layerwise_casting(transformer.get_submodule(name), STORAGE, transformer.dtype)
        return
    from torchao.quantization import quantize_

    quantize_(transformer, _config(quantization), filter_fn=lambda _, name: name in layers)


def _config(quantization: Quantization) -> Any:
    """Makes torchao's configuration, without its settings of inductor: those would stay, and have the blocks of later
    cells compiled to other kernels."""
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, Int8WeightOnlyConfig, PerTensor

    if quantization == "fp8":
        return Float8DynamicActivationFloat8WeightConfig(granularity=PerTensor(), set_inductor_config=False)
    return Int8WeightOnlyConfig(set_inductor_config=False)


def quantized_in(transformer: CogVideoXTransformer3DModel) -> Quantized | None:
    """Reads off a transformer's weights what is quantised, wherever they are placed; None for nothing."""
    linear = [module.weight for module in transformer.modules() if isinstance(module, nn.Linear)]
    layers = sum(weight.dtype == STORAGE or is_traceable_wrapper_subclass(weight) for weight in linear)
    if not layers:
        return None
    weights = list(transformer.parameters())
    values = sum(weight.numel() for weight in weights)
    return Quantized(layers, len(linear), values * transformer.dtype.itemsize, sum(map(_bytes, weights)))


def _bytes(weight: torch.Tensor) -> int:
    if not is_traceable_wrapper_subclass(weight):
        return weight.nbytes
    names, _ = weight.__tensor_flatten__()
    return sum(getattr(weight, name).nbytes for name in names)
