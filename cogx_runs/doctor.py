"""What is installed, what the machine has, whether the weights are there, and what to do about each lack."""

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil

from cogx_runs.definitions.spec import Workload
from cogx_runs.definitions.sweep import parameters_of
from cogx_runs.errors import CogxError, first_line
from cogx_runs.generation.embedding_cache import EmbeddingCache
from cogx_runs.metrics.registry import EXTRAS
from cogx_runs.models import hub
from cogx_runs.models.cards import HUB_MODELS, NAMES, OPENAI_CLIP, ModelCard, resolve_model
from cogx_runs.models.download import GB, missing_weights, weights_gb
from cogx_runs.models.memory import CONTEXT_GIB, Budget, choose_placement, choose_text_placement, needs
from cogx_runs.models.speed import SLOW_S, Timing, predict_on_cpu
from cogx_runs.models.weights import folder_revision
from cogx_runs.system.disk import free_bytes
from cogx_runs.system.hardware import GIB, free_vram, gpu
from cogx_runs.tracking.provenance import PACKAGES

LOW_DISK_GIB = 20
LOW_RAM_GIB = 13
USUAL_STEPS = 50


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warning", "missing"]
    found: str
    advice: str = ""
    """What to do about it; empty where nothing is to be done."""


@dataclass(frozen=True)
class Readiness(Check):
    """Whether a model can run here, as all the checks have it."""

    model: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether nothing is in its way; a download is not."""
        return self.status == "ok"


def examine(model: str | None = None, clip_model: str | None = None) -> list[Check]:
    """Looks at packages, GPU, memory, disk, and the weights of `model` (None: of all with a name) and of the CLIP. Ends
    with the Readiness of each model.

    Raises InputError for a model or CLIP that can be none.
    """
    parameters_of({name: text for name, text in (("model", model), ("clip_model", clip_model)) if text})
    checks = [*_packages(), _gpu(), _torch(), _memory(), _disk(), _embeddings(), _ffmpeg()]
    general = [f"{check.name}: {check.found}" for check in checks if check.status == "missing"]
    models = [model] if model else list(NAMES)
    for name in models:
        checks += [_model(name), *_placement(name)]
    return [
        *checks,
        _clip(clip_model or _clip_of(model)),
        *_extra_metrics(),
        *(_readiness(name, general) for name in models),
    ]


def _clip_of(model: str | None) -> str:
    """Names the CLIP that scores a model's videos; the usual one for a model that cannot be had."""
    try:
        return resolve_model(model).clip_model if model else OPENAI_CLIP
    except CogxError:
        return OPENAI_CLIP


def _packages() -> Iterator[Check]:
    for package in PACKAGES:
        try:
            yield Check(package, "ok", metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Check(package, "missing", "not installed", f"pip install {package}")


def _gpu() -> Check:
    found = gpu()
    if found is None:
        least = ", ".join(f"{name} {_least_gib(card)} GiB" for name, card in HUB_MODELS.items())
        advice = f"an NVIDIA GPU is needed ({least}); --model toy runs on a CPU"
        return Check("GPU", "warning", "none visible", advice)
    try:
        total, free = found.total_bytes / GIB, free_vram(found) / GIB
    except CogxError as error:
        return Check("GPU", "warning", str(error))
    return Check("GPU", "ok", f"{found.name}, {free:.1f} of {total:.1f} GiB free, driver {found.driver}")


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch and the GPU", "missing", first_line(error), "install torch again")
    if gpu() is not None and not torch.cuda.is_available():
        return Check("torch and the GPU", "missing", "torch cannot use the GPU", "install torch for your CUDA driver")
    return Check("torch and the GPU", "ok", "cuda" if torch.cuda.is_available() else "cpu")


def _memory() -> Check:
    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB available"
    if memory.available < LOW_RAM_GIB * GIB:
        advice = f"2b's text encoder passes through it with 11 GiB; {LOW_RAM_GIB} GiB are safe"
        return Check("host memory", "warning", found, advice)
    return Check("host memory", "ok", found)


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    if free < LOW_DISK_GIB:
        sizes = ", ".join(f"{name}'s {weights_gb(card):.1f} GB" for name, card in HUB_MODELS.items())
        return Check("disk", "warning", f"{free:.1f} GiB free here", f"weights on the hub: {sizes}")
    return Check("disk", "ok", f"{free:.1f} GiB free here")


def _embeddings() -> Check:
    cache = EmbeddingCache()
    try:
        found = f"{cache.size_bytes() / GIB:.2f} of at most {cache.limit_bytes / GIB:.1f} GiB in {cache.folder}"
    except CogxError as error:
        return Check("kept embeddings", "warning", str(error))
    return Check("kept embeddings", "ok", found)


def _ffmpeg() -> Check:
    import imageio_ffmpeg

    from cogx_runs.video import OTHER_ENCODER, check_encoder

    try:
        check_encoder()
        return Check("ffmpeg", "ok", str(imageio_ffmpeg.get_ffmpeg_version()))
    except CogxError as error:
        return Check("ffmpeg", "missing", str(error).removesuffix(f"; {OTHER_ENCODER}"), OTHER_ENCODER)


def _model(name: str) -> Check:
    label = f"weights of {name}"
    try:
        card = resolve_model(name)
    except CogxError as error:
        advice = "" if name in NAMES else f"name {', '.join(NAMES)} or a folder in diffusers' format"
        return Check(label, "missing", str(error), advice)
    if card.is_local:
        return Check(label, "ok", card.source)
    cached = hub.cached_file(card.source, "model_index.json", card.revision)
    if cached is None:
        why = hub.unreachable()
        advice = f"the first sweep downloads {card.source}" if why is None else f"{why}; connect, or name a folder"
        return Check(label, "missing", "not on this machine", advice)
    try:
        folder_revision(cached.parent)
    except CogxError as error:
        return Check(label, "missing", str(error), f"the next sweep downloads the rest of {card.source}")
    return Check(label, "ok", str(cached.parent))


def _placement(name: str) -> Iterator[Check]:
    """Says what placement `auto` chooses for the model's own size and length, and why."""
    label = f"placement of {name}"
    try:
        card, budget = resolve_model(name), Budget.here("cuda")
    except CogxError:
        return  # the checks of the weights and of the GPU say why
    if budget is None:
        yield Check(label, "ok", "resident, as always on a CPU")
        return
    choice, text = (
        choose_placement(card, [_own_workload(card)], budget),
        choose_text_placement(card, card.dtype, budget),
    )
    found = f"{choice.placement}: {choice.reason}; text encoder {text.placement}"
    if shortage := choice.shortage or text.shortage:
        yield Check(label, "warning", found, f"{shortage}; close what else uses it")
    else:
        yield Check(label, "ok", found)


def _readiness(name: str, general: Sequence[str]) -> Readiness:
    """Concludes whether a model can run here; `general` is what every model lacks."""
    label = f"ready for {name}"
    try:
        card, budget = resolve_model(name), Budget.here("cuda")
    except CogxError as error:
        return Readiness(label, "missing", f"not ready: {'; '.join([*general, str(error)])}", model=name)
    lacks, download = [*general], missing_weights(card)
    own = _own_workload(card)
    if budget is None:
        timing = predict_on_cpu(card, replace(own, dtype="float32"))
        if isinstance(timing, Timing) and timing.total_s(USUAL_STEPS) > SLOW_S:
            lacks.append(f"no GPU (about {timing.total_s(USUAL_STEPS) / 3600:.0f} hours a video, rough)")
    else:
        shortage = choose_placement(card, [own], budget).shortage
        lacks += filter(None, [shortage or choose_text_placement(card, card.dtype, budget).shortage])
    if download is not None and (why := hub.unreachable()):
        lacks.append(f"no weights ({why})")
    elif download is not None and download.gb * GB > free_bytes(Path(download.folder)):
        lacks.append(f"no space for {download.gb:.1f} GB of weights")
    if lacks:
        return Readiness(label, "missing", f"not ready: {'; '.join(lacks)}", model=name)
    after = f", after a download of {download.gb:.1f} GB" if download is not None else ""
    return Readiness(label, "ok", f"ready{after}", model=name)


def _least_gib(card: ModelCard) -> int:
    """Computes the GPU's memory that a model needs at its own size in the placement that takes least."""
    return math.ceil(needs(card, "sequential", _own_workload(card)).vram_gib + CONTEXT_GIB)


def _own_workload(card: ModelCard) -> Workload:
    """A video of the model's own size and length."""
    return Workload(card.dtype, card.num_frames, card.height, card.width, is_guided=True, vae_tiling=True)


def _clip(clip_model: str) -> Check:
    from cogx_runs.metrics.clip import check_clip

    label = f"CLIP {clip_model}"
    try:
        check_clip(clip_model)
    except CogxError as error:
        return Check(label, "missing", str(error), "runs finish without the score; `cogx-runs rescore` adds it later")
    return Check(label, "ok", "here, or to be fetched from the hub")


def _extra_metrics() -> Iterator[Check]:
    """Lists the weights of the optional metrics; none is missing, since no run needs them unless a sweep says so."""
    for name, metric in EXTRAS.items():
        absent = [weights for weights in metric.weights if weights.found() is None]
        found = "weights here" if not absent else "optional; not on this machine"
        advice = "".join(f"{weights.lack() or f'the first use downloads {weights.described}'}; " for weights in absent)
        yield Check(f"extra metric {name}", "ok", found, advice.removesuffix("; "))
