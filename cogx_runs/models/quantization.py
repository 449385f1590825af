"""The layers of a transformer that quantisation puts into 8 bits, known without loading it."""

import math
import re
from functools import lru_cache

from cogx_runs.models.configs import TransformerConfig
from cogx_runs.models.expected import Shapes, transformer_weights

QUANTIZED_BYTES = 1
"""Bytes of a quantised weight; the scales of `int8` and `fp8`, at most one an output, are left out."""
FP8_MULTIPLE = 16
"""Sides of a weight must be multiples of this for `fp8`: torchao leaves others as they are."""
_QUANTIZED = re.compile(r"transformer_blocks\.\d+\.(attn1|ff)\.[\w.]+\.weight")


@lru_cache(32)
def quantized_weights(config: TransformerConfig) -> Shapes:
    """Lists the weights of the linear layers of attention and feed-forward, by name, with their shapes.

    Embeddings, modulation and the last layer keep their precision, as most of diffusers' layerwise casting has it: they
    are few, and everything else depends on them.
    """
    return {name: shape for name, shape in transformer_weights(config).items() if _QUANTIZED.fullmatch(name)}


def quantized_layers(config: TransformerConfig) -> frozenset[str]:
    """Lists the names of these layers."""
    return frozenset(name.removesuffix(".weight") for name in quantized_weights(config))


@lru_cache(32)
def quantized_parameters(config: TransformerConfig) -> int:
    """Counts the values of these weights: 78% of 2b's, 85% of 5b's."""
    return sum(math.prod(shape) for shape in quantized_weights(config).values())
