"""The parts of CogVideoX, loaded and placed, and the clear line when they cannot be loaded."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from cogx_runs.definitions.parameters import Dtype, Placement, Scheduler
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, first_line
from cogx_runs.formatting import gib_available, gib_needed
from cogx_runs.generation.lora import merge_loras
from cogx_runs.generation.placement import compile_blocks, place, place_vae
from cogx_runs.generation.quantization import quantize
from cogx_runs.generation.schedulers import SCHEDULERS
from cogx_runs.models import hub
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.memory import gib_of, text_weights_gib
from cogx_runs.system.hardware import GIB, Device, available_memory

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def load_pipeline(card: ModelCard, spec: RunSpec) -> CogVideoXPipeline:
    """Loads transformer, VAE and scheduler and places their weights; the text encoder is loaded apart.

    LoRA adapters are merged into the weights first, which are quantised then, so that every placement, and what comes
    later, finds a plain transformer; for other adapters or another quantisation it is loaded anew.

    Raises CogxError, before anything is loaded where that can be known, when weights are missing or unreadable, the
    hub cannot be reached, torch cannot use the GPU, or memory does not suffice.
    """
    check_device(spec.device)
    weights_gib = gib_of(card.transformer_parameters + card.vae_parameters, spec.dtype)
    pipe = _load(card, spec.dtype, weights_gib, text_encoder=None, tokenizer=None)
    merge_loras(pipe.transformer, spec)
    quantize(pipe.transformer, card.transformer, spec.quantization)
    if spec.compile:
        compile_blocks(pipe)
    place(pipe, spec.placement, spec.device, by_block=spec.compile)
    return pipe


def load_text_encoder(card: ModelCard, dtype: Dtype, device: Device, placement: Placement) -> CogVideoXPipeline:
    """Loads a pipeline that can encode text and nothing else. Raises CogxError as `load_pipeline` does."""
    check_device(device)
    pipe = _load(card, dtype, text_weights_gib(card, dtype), transformer=None, vae=None)
    place(pipe, placement, device)
    return pipe


def _load(card: ModelCard, dtype: Dtype, needed_gib: float, **left_out: None) -> CogVideoXPipeline:
    origin = _origin(card)
    _check_memory(card, needed_gib, dtype)
    try:
        with _quiet_bars():
            pipe = CogVideoXPipeline.from_pretrained(card.source, dtype=DTYPES[dtype], **origin, **left_out)
    except MemoryError as error:
        raise CogxError(f"{card.source}: not enough host memory to load it") from error
    except Exception as error:  # a folder can be damaged in more ways than these libraries have errors for
        raise CogxError(f"{card.source}: cannot be loaded: {first_line(error)}") from error
    _check_complete(card, [part for part in (pipe.transformer, pipe.vae, pipe.text_encoder) if part is not None])
    pipe.set_progress_bar_config(disable=True)
    return pipe


def load_vae(
    card: ModelCard, dtype: Dtype, device: Device, placement: Placement = "resident"
) -> AutoencoderKLCogVideoX:
    """Loads the VAE alone, to decode stored latents. Raises CogxError as `load_pipeline` does."""
    check_device(device)
    try:
        vae = AutoencoderKLCogVideoX.from_pretrained(
            card.source, subfolder="vae", dtype=DTYPES[dtype], **_origin(card, "vae/config.json")
        )
    except Exception as error:  # as above
        raise CogxError(f"{card.source}/vae: cannot be loaded: {first_line(error)}") from error
    _check_complete(card, [vae])
    place_vae(vae, placement, device)
    return vae


def set_scheduler(pipe: CogVideoXPipeline, scheduler: Scheduler) -> None:
    """Gives the pipeline the named scheduler, made from the configuration of its own."""
    if type(pipe.scheduler) is not SCHEDULERS[scheduler]:
        pipe.scheduler = SCHEDULERS[scheduler].from_config(pipe.scheduler.config)


def check_device(device: Device) -> None:
    """Raises CogxError where `cuda` is meant and torch cannot use it."""
    if device == "cuda" and not torch.cuda.is_available():
        raise CogxError(
            f"a GPU is here but torch {torch.__version__} cannot use it; install torch for your CUDA driver, "
            "or give --device cpu"
        )


def _origin(card: ModelCard, needed: str = "model_index.json") -> dict[str, object]:
    """Says to from_pretrained where to look. Raises CogxError where there is nothing to find."""
    if card.is_local:
        return {"local_files_only": True}
    hub.require(card.source, needed, card.revision)
    return {"revision": card.revision, "local_files_only": hub.unreachable() is not None}


def _check_memory(card: ModelCard, needed_gib: float, dtype: Dtype) -> None:
    available_gib = available_memory() / GIB
    if needed_gib > available_gib:
        raise CogxError(
            f"{card.source}: needs {gib_needed(needed_gib)} GiB of host memory in {dtype} and "
            f"{gib_available(available_gib)} GiB are free; close other programs"
        )


def _check_complete(card: ModelCard, parts: Iterable[torch.nn.Module]) -> None:
    """Raises CogxError where weights were not in the files: diffusers leaves them on the meta device."""
    for part in parts:
        missing = [name for name, values in part.named_parameters() if values.is_meta]
        if missing:
            raise CogxError(
                f"{card.source}: lacks the weights {missing[0]} of its {type(part).__name__}; copy or download it again"
            )


@contextmanager
def _quiet_bars() -> Iterator[None]:
    """Hides the bars that count components and tensors for a block; those of a download stay."""
    bars = (diffusers_logging, transformers_logging)
    for library in bars:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in bars:
            library.enable_progress_bar()
