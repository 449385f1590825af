"""Memory that each phase of a cell needs, by a model fitted to measurements, and the placement that fits.

The text encoder is loaded, used and freed before transformer and VAE are loaded, so that they never share the GPU.
Each phase needs the weights that its placement keeps on the GPU, and its activations.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cogx_runs.definitions.caches import cache_of
from cogx_runs.definitions.parameters import Dtype, Placement
from cogx_runs.definitions.spec import Workload
from cogx_runs.formatting import gib_available, gib_needed
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.quantization import QUANTIZED_BYTES, quantized_parameters
from cogx_runs.system import hardware
from cogx_runs.system.hardware import GIB, Device, Gpu

# Fitted to peaks of torch's allocator on one H100 at 49 frames, 480x720 (docs/results/measurements.md). 2b in float16,
# VAE tiled, without the text encoder: resident 5.40 GiB while denoising and 7.61 while decoding, group 2.04 (1.25
# without guidance) and 4.22, sequential 4.08 while decoding; the VAE alone untiled 15.4; text encoder resident 10.84.
# 5b in bfloat16: resident 13.50 and 14.60, its blocks streamed 3.64 while denoising. What 2b takes beyond the fit when
# resident, 0.1 GiB, is in the margin.
DENOISE_VALUES = 13.5
"""Activations of denoising: values held at once for each token, video of the batch and unit of the hidden size."""
FP8_VALUES = 22
"""Values held besides with `fp8` that is not compiled, whose inputs are scaled in kernels of their own: 2b took 6.57
GiB on one H200, against 4.99 without quantisation, 1.24 of them weights. Compiled it takes no more than the others."""
DECODE_VALUES = 23_000
"""Activations of decoding: values held at once for each pixel of the tile, or of the frame without tiling. The `exact`
decoder took 0.8 GiB less than diffusers, whose this was; so much is in hand."""
DECODE_VALUES_FUSED = 11_800
"""The same with the fused decoder, fitted to 2.57 GiB tiled and 8.0 untiled on one H200."""
DECODED_COPIES = 3
"""Copies of the decoded video that are held at once while it is assembled."""
TEXT_GIB = 0.1
"""Activations of encoding a text."""
TEXT_FLOAT32_SHARE = 0.2114
"""Share of the text encoder's weights that transformers keeps in float32 in a float16 model: T5's `wo` layers."""
STREAMED_SHARE = 0.07
"""Share of a component's streamed weights on the GPU at once: two of the 30 blocks of 2b's transformer."""
MEASURED_CHANNELS = 128
"""Channels at the video's own size of the VAE that DECODE_VALUES was fitted to; one with fewer takes less."""
PIXEL_COPIES = 2
"""Copies of the video in 8 bits that are held in host memory while it is encoded and scored."""
PINNED_COPIES = 2
"""Host memory of a transformer in group placement, as a multiple of its size: its weights and their pinned copies."""

MARGIN_GIB = 0.3
"""Added to the needs of a phase, for fragmentation in the allocator."""
CONTEXT_GIB = 0.5
"""Subtracted from the GPU's free memory, for CUDA's context and kernels, which the allocator does not see."""
RAM_RESERVE_GIB = 2.0
"""Subtracted from the host's available memory, for Python, the libraries and the rest of the machine."""

AUTO: tuple[Placement, ...] = ("resident", "group", "sequential")
"""Placements from which `auto` chooses, fastest first."""
TextPlacement = Literal["resident", "sequential"]
_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}


@dataclass(frozen=True)
class Budget:
    """The memory available to weights and activations of a run on a GPU."""

    vram_gib: float
    ram_gib: float
    max_vram_gib: float | None = None
    """`--max-vram`, where it limits `vram_gib`."""

    @classmethod
    def of(cls, free_bytes: float, available_bytes: float, max_vram_gib: float | None = None) -> "Budget":
        """Subtracts the reserves from the GPU's free and the host's available memory."""
        vram, ram = free_bytes / GIB - CONTEXT_GIB, available_bytes / GIB - RAM_RESERVE_GIB
        if max_vram_gib is not None and max_vram_gib < vram:
            return cls(max_vram_gib, ram, max_vram_gib)
        return cls(vram, ram)

    @classmethod
    def here(cls, device: Device, max_vram_gib: float | None = None) -> "Budget | None":
        """Measures the memory of this machine now; None on a CPU, where everything is resident."""
        found = hardware.gpu() if device == "cuda" else None
        if found is None:
            return None
        return cls.of(hardware.free_vram(found), hardware.available_memory(), max_vram_gib)

    @classmethod
    def of_gpu(cls, gpu: Gpu, max_vram_gib: float | None = None) -> "Budget":
        """Assumes a GPU with nothing else on it, in a host with memory enough."""
        return cls.of(gpu.total_bytes, math.inf, max_vram_gib)

    def lacks(self, vram_gib: float, host_gib: float) -> str:
        """Describes the shortage for these needs, as a clause; empty where they fit."""
        if vram_gib > self.vram_gib:
            cap = "" if self.max_vram_gib is None else f" (--max-vram {self.max_vram_gib:g})"
            return f"needs {gib_needed(vram_gib)} GiB of VRAM and {gib_available(self.vram_gib)} can be used{cap}"
        if host_gib > self.ram_gib:
            return f"needs {gib_needed(host_gib)} GiB of host memory and {gib_available(self.ram_gib)} can be used"
        return ""


@dataclass(frozen=True)
class Needs:
    """The memory that transformer and VAE take in one placement."""

    denoise_gib: float
    """VRAM while denoising, as torch's allocator counts it."""
    decode_gib: float
    """VRAM while decoding, likewise."""
    host_gib: float

    @property
    def vram_gib(self) -> float:
        """VRAM for both phases, one after the other, with a margin."""
        return max(self.denoise_gib, self.decode_gib) + MARGIN_GIB

    def shortage(self, budget: Budget) -> str:
        """Describes the shortage of the budget, as a clause; empty where everything fits."""
        return budget.lacks(self.vram_gib, self.host_gib)


@dataclass(frozen=True)
class Choice:
    """The placement chosen for `auto`, with the reason."""

    placement: Placement
    reason: str
    needs: Needs
    shortage: str
    """Shortage that remains; empty where it fits."""


@dataclass(frozen=True)
class TextChoice:
    """The placement of the text encoder's weights while texts are encoded."""

    placement: TextPlacement
    shortage: str
    """Shortage that remains, as a clause; empty where it fits."""


def needs(card: ModelCard, placement: Placement, workload: Workload) -> Needs:
    """Estimates the memory that one cell's transformer and VAE take in this placement."""
    dtype = workload.dtype
    transformer, vae = transformer_gib(card, workload), gib_of(card.vae_parameters, dtype)
    denoising = gib_of(_values_while_denoising(card, workload), dtype)
    decoding = gib_of(_values_while_decoding(card, workload), dtype)
    both = transformer + vae
    loaded = gib_of(card.transformer_parameters, dtype) + vae
    match placement:
        case "resident":
            return Needs(both + denoising, both + decoding, loaded)
        case "model":
            return Needs(transformer + denoising, vae + decoding, loaded)
        case "group":
            host = max(PINNED_COPIES * transformer, loaded)
            return Needs(STREAMED_SHARE * transformer + vae + denoising, vae + decoding, host)
        case "sequential":
            return Needs(STREAMED_SHARE * transformer + denoising, STREAMED_SHARE * vae + decoding, loaded)
        case "auto":
            raise AssertionError("auto is resolved before its needs are asked for")


def largest_needs(card: ModelCard, placement: Placement, workloads: Iterable[Workload]) -> Needs:
    """Estimates the memory that suffices for each of several cells."""
    each = [needs(card, placement, workload) for workload in workloads]
    return Needs(
        max(need.denoise_gib for need in each),
        max(need.decode_gib for need in each),
        max(need.host_gib for need in each),
    )


def choose_placement(card: ModelCard, workloads: Iterable[Workload], budget: Budget) -> Choice:
    """Chooses the fastest placement in which each of several cells fits; where none does, `sequential` with its
    shortage.

    Host memory does not exclude `resident`, which frees it after loading: where it is too little for that, it is too
    little for every placement.
    """
    workloads = list(workloads)
    passed_over: list[str] = []
    for placement in AUTO:
        need = largest_needs(card, placement, workloads)
        shortage = need.shortage(budget)
        fits = not shortage or (placement == "resident" and need.vram_gib <= budget.vram_gib)
        if fits or placement == AUTO[-1]:
            break
        passed_over.append(f"{placement} {shortage}")
    fits_in = f"it needs {gib_needed(need.vram_gib)} of {gib_available(budget.vram_gib)} GiB of VRAM"
    return Choice(placement, "; ".join(passed_over) or fits_in, need, shortage)


def choose_text_placement(card: ModelCard, dtype: Dtype, budget: Budget | None) -> TextChoice:
    """Chooses the placement of the text encoder, which is loaded alone; `resident` on a CPU, where `budget` is None.

    The whole encoder is loaded into host memory first.
    """
    if budget is None:
        return TextChoice("resident", "")
    fits = text_vram_gib(card, dtype, "resident") <= budget.vram_gib
    placement: TextPlacement = "resident" if fits else "sequential"
    shortage = budget.lacks(text_vram_gib(card, dtype, placement), text_weights_gib(card, dtype))
    return TextChoice(placement, shortage)


@dataclass(frozen=True)
class Least:
    """The memory that a cell takes in any placement, on a machine with nothing else on it."""

    device_gib: float
    """Of the GPU; of the host where it runs on a CPU."""
    host_gib: float
    phase: str
    """When it takes most of the device's: `denoising` or `decoding`."""

    def excess(self, device: Device, gpu: Gpu | None) -> str:
        """Describes, as a clause, that the whole memory of this GPU, or of this host, does not suffice; empty where it
        does."""
        host_gib = hardware.total_memory() / GIB
        vram_gib = gpu.total_bytes / GIB if gpu else math.inf if device == "cuda" else host_gib
        kind = "VRAM" if device == "cuda" else "host memory"
        if self.device_gib > vram_gib:
            return f"needs {gib_needed(self.device_gib)} GiB of {kind} while {self.phase} and there are {vram_gib:.1f}"
        if self.host_gib > host_gib:
            return f"needs {gib_needed(self.host_gib)} GiB of host memory for its frames and there are {host_gib:.1f}"
        return ""


def least(card: ModelCard, workload: Workload) -> Least:
    """Estimates the memory without which no machine makes a cell of this size, whatever becomes of the weights."""
    share = min(card.vae_channels / MEASURED_CHANNELS, 1)
    video = DECODED_COPIES * 3 * workload.num_frames * workload.height * workload.width
    phases = {
        "denoising": gib_of(_values_while_denoising(card, workload), workload.dtype),
        "decoding": gib_of(share * _decode_values(workload) * _tile(card, workload) + video, workload.dtype),
    }
    phase = max(phases, key=lambda name: phases[name])
    pixels = PIXEL_COPIES * 3 * workload.num_frames * workload.height * workload.width
    return Least(phases[phase], pixels / GIB, phase)


def transformer_gib(card: ModelCard, workload: Workload) -> float:
    """Computes the size of the transformer's weights while it denoises, quantised or not."""
    quantized = 0 if workload.quantization == "none" else quantized_parameters(card.transformer)
    return gib_of(card.transformer_parameters - quantized, workload.dtype) + quantized * QUANTIZED_BYTES / GIB


def text_vram_gib(card: ModelCard, dtype: Dtype, placement: TextPlacement) -> float:
    """Estimates the VRAM that encoding texts needs."""
    share = 1 if placement == "resident" else STREAMED_SHARE
    return share * text_weights_gib(card, dtype) + TEXT_GIB + MARGIN_GIB


def text_weights_gib(card: ModelCard, dtype: Dtype) -> float:
    """Computes the size of the loaded text encoder."""
    wider = TEXT_FLOAT32_SHARE if dtype == "float16" else 0
    return (1 + wider) * gib_of(card.text_encoder_parameters, dtype)


def count_tokens(card: ModelCard, workload: Workload) -> int:
    """Counts the tokens of all videos in the batch, which guidance doubles."""
    patches = (workload.height // card.size_multiple) * (workload.width // card.size_multiple)
    video = card.patches_in_time(workload.num_frames) * patches
    return (video + card.max_sequence_length) * (2 if workload.is_guided else 1)


def _values_while_denoising(card: ModelCard, workload: Workload) -> float:
    """Counts the values held at once: those of a step, and those that a cache keeps for the next."""
    cache = cache_of(workload.cache)
    kept = 0 if cache is None else cache.held(card.num_layers)
    scaled = FP8_VALUES if workload.quantization == "fp8" and not workload.compile else 0
    return (DENOISE_VALUES + scaled + kept) * card.hidden_size * count_tokens(card, workload)


def _values_while_decoding(card: ModelCard, workload: Workload) -> float:
    """Counts the values held at once: a few latent frames are decoded at a time, tile by tile."""
    video = 3 * workload.num_frames * workload.height * workload.width
    return _decode_values(workload) * _tile(card, workload) + DECODED_COPIES * video


def _decode_values(workload: Workload) -> int:
    return DECODE_VALUES_FUSED if workload.decoder == "fused" else DECODE_VALUES


def _tile(card: ModelCard, workload: Workload) -> int:
    """Counts the pixels that are decoded at once."""
    height, width = workload.height, workload.width
    if workload.vae_tiling:
        height, width = min(height, card.tile_height), min(width, card.tile_width)
    return height * width


def gib_of(values: float, dtype: Dtype) -> float:
    """Computes the size of a number of values."""
    return values * _BYTES[dtype] / GIB
