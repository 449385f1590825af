"""LoRA files: found, identified by their content, and checked against a model without loading either."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from cogx_runs import toy
from cogx_runs.definitions.lora import Lora, loras_of, write_loras
from cogx_runs.errors import CogxError
from cogx_runs.formatting import shortened
from cogx_runs.models import hub
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.configs import Config
from cogx_runs.models.expected import transformer_weights
from cogx_runs.models.files import AGAIN, opened, validated
from cogx_runs.models.headers import FLOATS, Header, Tensor, read_header
from cogx_runs.system.files import is_file

HUB_FILE = "pytorch_lora_weights.safetensors"
"""The file of a repository that names none: what diffusers writes."""
_ON_THE_HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w./-]+\.safetensors))?")
_TENSOR = re.compile(r"transformer\.(?P<layer>[\w.]+)\.lora_(?P<side>[AB])\.weight")
_METADATA = "lora_adapter_metadata"
"""Key of a file's metadata under which diffusers keeps the adapter's configuration."""
_Factor = Annotated[float, Field(ge=-1e6, le=1e6)]
_Rank = Annotated[int, Field(ge=1, le=2**16)]


class AdapterConfig(Config):
    """What PEFT keeps of an adapter's configuration, as far as its weights depend on it."""

    r: _Rank
    lora_alpha: _Factor
    rank_pattern: dict[str, _Rank] = Field({})
    alpha_pattern: dict[str, _Factor] = Field({})
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False

    @model_validator(mode="after")
    def _is_plain(self) -> "AdapterConfig":
        for name in ("use_dora", "lora_bias"):
            if getattr(self, name):
                raise ValueError(f"{name}: such adapters are not merged here; train one without")
        return self

    def factor(self, layer: str) -> float:
        """Returns alpha over rank of a layer, over the rank's root with rank-stabilised LoRA."""
        rank = _of_layer(self.rank_pattern, layer, self.r)
        return float(_of_layer(self.alpha_pattern, layer, self.lora_alpha) / (rank**0.5 if self.use_rslora else rank))


def _of_layer(pattern: Mapping[str, Any], layer: str, default: Any) -> Any:
    """Finds the value whose key is the layer's name or its end, as PEFT does."""
    return next((value for key, value in pattern.items() if f".{layer}".endswith(f".{key}")), default)


@dataclass(frozen=True)
class LoraFile:
    """An adapter's file, checked in itself."""

    path: Path
    sha256: str
    """Of the whole file, in full."""
    layers: Mapping[str, tuple[Tensor, Tensor]]
    """The matrices A (rank x values taken) and B (values given x rank) of each adapted layer."""
    config: AdapterConfig | None

    def factor(self, layer: str) -> float:
        """Returns the factor of B A in a layer: 1 where the file keeps no configuration, as diffusers reads it."""
        return 1.0 if self.config is None else self.config.factor(layer)

    def check(self, card: ModelCard) -> None:
        """Raises CogxError where the adapter is of another model."""
        weights = transformer_weights(card.transformer)
        for layer, (down, up) in self.layers.items():
            shape = weights.get(f"{layer}.weight")
            if shape is None or len(shape) != 2:
                raise CogxError(
                    f"{self.path}: adapts {layer[:100]}, which is no linear layer of {card.name}; name an adapter that "
                    "was trained on it"
                )
            found = [*up.shape[:1], *down.shape[1:]]
            if found != shape:
                raise CogxError(
                    f"{self.path}: adapts {layer} of {_shape(found)} values, which in {card.name} has {_shape(shape)}; "
                    "name an adapter that was trained on it"
                )


def resolve_loras(text: str, card: ModelCard) -> str:
    """Completes the value of the parameter by the content of each file.

    Raises CogxError for a file that is missing, pickled, damaged, of another model, or not what the value says it is.
    """
    return write_loras(_resolved(lora, card) for lora in loras_of(text))


def _resolved(lora: Lora, card: ModelCard) -> Lora:
    file = read_lora(lora)
    file.check(card)
    return lora.model_copy(update={"sha256": file.sha256[:12]})


def read_lora(lora: Lora) -> LoraFile:
    """Finds and reads an adapter's file, downloading one of the hub.

    Raises CogxError as `resolve_loras` does, but for another model.
    """
    path = _find(lora.source)
    try:
        found = path.stat()
    except OSError as error:
        raise CogxError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
    file = _read(path, found.st_size, found.st_mtime_ns)
    if lora.sha256 and not file.sha256.startswith(lora.sha256):
        raise CogxError(f"{path}: is another file than {lora}: its SHA-256 begins with {file.sha256[:12]}")
    return file


def _find(source: str) -> Path:
    if source == "toy":
        return toy.lora_file()
    path = Path(source).expanduser().absolute()
    if is_file(path):
        return path
    on_the_hub = _ON_THE_HUB.fullmatch(source)
    if path.exists() or on_the_hub is None or (source.endswith(".safetensors") and on_the_hub["file"] is None):
        raise CogxError(f"no LoRA {shortened(source)}: neither a file here nor OWNER/NAME on the hub")
    return hub.download(on_the_hub["repository"], on_the_hub["file"] or HUB_FILE)


@lru_cache(32)
def _read(path: Path, _size: int, _changed_ns: int) -> LoraFile:
    digest = hashlib.sha256()
    with opened(path) as file:
        if file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            raise CogxError(f"{path}: is pickled, and reading it could run code; convert it to .safetensors")
        file.seek(0)
        header = read_header(path)
        while part := file.read(2**20):
            digest.update(part)
    return LoraFile(path, digest.hexdigest(), _layers(path, header), _config(path, header))


def _layers(path: Path, header: Header) -> dict[str, tuple[Tensor, Tensor]]:
    sides: dict[str, dict[str, Tensor]] = {}
    for name, tensor in header.tensors.items():
        found = _TENSOR.fullmatch(name)
        if found is None:
            raise CogxError(
                f"{path}: holds {shortened(name)}, which is none of a CogVideoX LoRA's names, "
                "transformer.LAYER.lora_A.weight and lora_B.weight; convert it with diffusers"
            )
        if tensor.dtype not in FLOATS or len(tensor.shape) != 2:
            raise CogxError(f"{path}: {name[:100]} is no matrix of numbers, as a LoRA of linear layers has; {AGAIN}")
        sides.setdefault(found["layer"], {})[found["side"]] = tensor
    if not sides:
        raise CogxError(f"{path}: holds no weights; {AGAIN}")
    for layer, both in sides.items():
        if set(both) != {"A", "B"}:
            raise CogxError(f"{path}: has lora_{min(both)} of {layer[:100]} without the other matrix; {AGAIN}")
        if both["A"].shape[0] != both["B"].shape[1]:
            ranks = f"{both['A'].shape[0]} and {both['B'].shape[1]}"
            raise CogxError(f"{path}: the matrices of {layer[:100]} are of ranks {ranks}; {AGAIN}")
    return {layer: (both["A"], both["B"]) for layer, both in sides.items()}


def _config(path: Path, header: Header) -> AdapterConfig | None:
    text = (header.metadata or {}).get(_METADATA)
    if text is None:
        return None
    try:
        content = {key.removeprefix("transformer."): value for key, value in json.loads(text).items()}
    except (ValueError, AttributeError) as error:
        raise CogxError(f"{path}: {_METADATA} is not a JSON object; {AGAIN}") from error
    return validated(path, json.dumps(content).encode(), AdapterConfig)


def _shape(sides: list[int]) -> str:
    return "x".join(map(str, sides))
