"""What the first run of a model fetches from the hub, how much of it, and where to."""

from dataclasses import dataclass

from cogx_runs.models import hub
from cogx_runs.models.cards import OPENAI_CLIP, ModelCard
from cogx_runs.models.memory import gib_of
from cogx_runs.models.weights import weights_files
from cogx_runs.system.hardware import GIB

GB = 1e9
_CLIP_REPOSITORY, _CLIP_PARAMETERS = "timm/vit_base_patch32_clip_224.openai", 151_277_313
_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Where open_clip has ViT-B-32:openai from, in float32."""


@dataclass(frozen=True)
class Download:
    """Weights that are not on this machine."""

    source: str
    """Repository on the hub."""
    gb: float
    """Size in 10^9 bytes of the weights; configurations and tokenizer are some MB more."""
    folder: str


def weights_gb(card: ModelCard) -> float:
    """Computes the size of a hub model's files in 10^9 bytes: its weights in 16 bits, in whatever precision it runs,
    where its card says nothing else."""
    return card.hub_gb or gib_of(card.parameters, "bfloat16") * GIB / GB


def missing_weights(card: ModelCard) -> Download | None:
    """Finds what a model's first run will download; None for a folder, and where all weights are here."""
    if card.is_local:
        return None
    total = weights_gb(card) * GB
    cached = hub.cached_file(card.source, "model_index.json", card.revision)
    here = 0 if cached is None else sum(path.stat().st_size for path in weights_files(cached.parent) if path.exists())
    missing = total - here
    return Download(card.source, round(missing / GB, 1), str(hub.cache_folder())) if missing > total / 100 else None


def missing_clip(clip_model: str) -> Download | None:
    """Finds what scoring with the usual CLIP will download; None where it is here, and for any other CLIP."""
    if clip_model != OPENAI_CLIP:
        return None
    if any(hub.cached_file(_CLIP_REPOSITORY, name) for name in _CLIP_FILES):
        return None
    size_gb = gib_of(_CLIP_PARAMETERS, "float32") * GIB / GB
    return Download(_CLIP_REPOSITORY, round(size_gb, 1), str(hub.cache_folder()))
