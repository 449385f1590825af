"""LoRA adapters merged into the weights of a transformer that has just been loaded."""

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import float32, nn

from cogx_runs.definitions.lora import Lora, loras_of
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, first_line
from cogx_runs.models.lora import read_lora


def merge_loras(transformer: nn.Module, spec: RunSpec) -> None:
    """Adds `lora_scale` x scale x alpha / rank x B A (https://arxiv.org/abs/2106.09685) to each adapted weight.

    Computed in float32 and rounded once. Raises CogxError where a file is not the one that was planned with.
    """
    for lora in loras_of(spec.lora):
        _merge(transformer, lora, spec.lora_scale * lora.scale)


def _merge(transformer: nn.Module, lora: Lora, scale: float) -> None:
    file = read_lora(lora)
    try:
        matrices = load_file(file.path)
    except (OSError, SafetensorError) as error:
        raise CogxError(f"{file.path}: cannot be loaded: {first_line(error)}") from error
    for layer in file.layers:
        weight = transformer.get_parameter(f"{layer}.weight")
        down, up = (matrices[f"transformer.{layer}.lora_{side}.weight"].to(float32) for side in "AB")
        change = up @ down * (scale * file.factor(layer))
        weight.data = (weight.data.to(float32) + change).to(weight.dtype)
