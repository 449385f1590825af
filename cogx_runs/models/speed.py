"""Seconds of a step and of decoding before anything has run: measured on some cards, by a stated model on others.

The model has three terms. Matrix products run at a share of the data sheet's peak. What lies between them (norms,
activations, residuals) reads and writes the GPU's own memory. Offloading copies weights over the PCIe link, fewer bytes
of quantised ones; that `fp8` multiplies faster is not in it. It was fitted to one H100;
docs/results/measurements.md has what it gives for other published figures.
"""

from dataclasses import dataclass

from cogx_runs.definitions.parameters import Attention, Placement
from cogx_runs.definitions.spec import RunSpec, Workload
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.gpus import KnownGpu, find_gpu
from cogx_runs.models.memory import count_tokens, gib_of, transformer_gib
from cogx_runs.system.hardware import GIB, Gpu, cpu_cores

SHARE_OF_PEAK = 0.55
"""Of the data sheet's peak, in matrix products and attention: one H100's own kernels come to 0.50 (240 TFLOP of a step
in 0.49 s), and 2b's 90 s a video on an A100, as published, take 0.55."""
OLD_ATTENTION = 0.5
"""Speed of attention on cards before compute capability 8.0, for which PyTorch has no flash attention, as a share of
the others': memory-efficient attention took 35 ms where flash took 15."""
FA4_ATTENTION = 0.66
"""Time of attention by FlashAttention 4, as a share of that by PyTorch: 2b's step on an H200 took 0.545 s instead of
0.637."""
STEP_BYTES = 245
"""Bytes read and written between the matrix products, for each token, unit of the hidden size and block: the 0.15 s of
an H100's step that are not its kernels."""
DECODE_FLOP = 18.6e6
"""Operations of decoding a pixel without tiles, for a VAE of MEASURED_CHANNELS: 315 TFLOP for 49 frames of 480x720."""
DECODE_BYTES = 365e3
"""Bytes read and written between the convolutions for a pixel: 1.7 s of the 2.3 that an H100 takes."""
DECODE_BYTES_FUSED = 37e3
"""The same with the fused decoder: 1.07 s in tiles on an H200."""
TILED = 1.4
"""Pixels decoded with tiles, which overlap, as a multiple of those without."""
MEASURED_CHANNELS = 128
SEQUENTIAL_DECODE_COPIES = 4.4e-6
"""Copies of the VAE to the GPU for each pixel, in sequential placement: 5.8 s of an H100's decoding."""
PAGEABLE_GB_S = 5.5
"""Speed of copies from memory that is not pinned, in sequential placement."""
COMPILED = 0.85
"""Time of a step with compiled blocks, as a share of that without: 0.544 of 0.642 s."""
CORE_TFLOPS = 0.05
"""Operations a second of a CPU core in float32: 37 to 57 GFLOP/s in matrix products and attention on one of an AMD
EPYC's."""
SLOW_S = 3600
"""Seconds of a video beyond which a CPU is no place for a model."""
ENCODE_S = 0.04e-6
"""Seconds of H.264 for a pixel."""


@dataclass(frozen=True)
class Timing:
    """What a cell's phases take; encoding its text, a few seconds once a prompt, is left out."""

    step_s: float
    decode_s: float
    encode_video_s: float
    is_rough: bool
    """Whether the model gave it; else it was measured on such a card."""

    def total_s(self, steps: int) -> float:
        """Sums up the phases of a video."""
        return steps * self.step_s + self.decode_s + self.encode_video_s


@dataclass(frozen=True)
class _Measured:
    step_s: float
    decode_s: float


MEASURED_ON = frozenset({"H100", "H200"})
"""The same chip; a step took 0.642 s on both."""
MEASURED: dict[tuple[int, Placement, bool], _Measured] = {
    (30, "resident", False): _Measured(0.661, 3.54),
    (30, "group", False): _Measured(0.673, 3.50),
    (30, "model", False): _Measured(0.643, 3.57),
    (30, "sequential", False): _Measured(1.249, 9.28),
    (30, "resident", True): _Measured(0.560, 3.5),
    (30, "group", True): _Measured(0.593, 3.48),
    (42, "resident", False): _Measured(1.880, 3.42),
    (42, "group", False): _Measured(1.871, 3.51),
    (42, "sequential", False): _Measured(3.715, 9.00),
}
"""By the transformer's blocks, placement and compilation: 2b and 5b at their own precision, 49 frames of 480x720,
guidance on, decoded in tiles (docs/results/measurements.md)."""
_FULL_SIZE = {(30, 1920): "float16", (42, 3072): "bfloat16"}
"""2b's and 5b's blocks and hidden size, with the precision in which they were measured; CogVideoX 1.5, which has those
of 5b and patches in time, was not."""


def predict(card: ModelCard, spec: RunSpec, gpu: Gpu | None) -> Timing | str:
    """Predicts a cell's seconds on a GPU, or on this machine's CPU where the cell runs on one; else says, as a clause,
    why nothing is known. What a cache skips is not known before: with one they are those without, at most."""
    workload = spec.workload
    if spec.device == "cpu":
        return predict_on_cpu(card, workload)
    known = None if gpu is None else find_gpu(gpu.name)
    if known is None:
        return f"{'the GPU' if gpu is None else gpu.name} is not among the known cards"
    if spec.dtype == "float32":
        return "a GPU's speed in float32 is not in the table"
    if spec.dtype == "bfloat16" and known.compute_capability < (8, 0):
        return f"{known.name} has no native bfloat16"
    step_s, decode_s = _model(card, workload, spec.placement, spec.attention, known)
    measured = None
    is_full_size = _FULL_SIZE.get((card.num_layers, card.hidden_size)) == spec.dtype
    if known.name in MEASURED_ON and is_full_size and card.transformer.patch_size_t is None:
        measured = MEASURED.get((card.num_layers, spec.placement, spec.compile))
    if measured is not None:
        own = Workload(spec.dtype, 49, 480, 720, is_guided=True, vae_tiling=True, compile=spec.compile)
        own_step_s, own_decode_s = _model(card, own, spec.placement, "sdpa", known)
        step_s *= measured.step_s / own_step_s
        decode_s *= measured.decode_s / own_decode_s
    is_rough = measured is None or not set(spec.not_bitwise) <= {"compile"}
    return Timing(step_s, decode_s, ENCODE_S * _pixels(workload), is_rough)


def predict_on_cpu(card: ModelCard, workload: Workload) -> Timing | str:
    """Predicts a cell's seconds on this machine's CPU; else says, as a clause, why nothing is known."""
    if workload.dtype != "float32":
        return f"a CPU's speed in {workload.dtype} is not in the table"
    rate = cpu_cores() * CORE_TFLOPS * 1e12
    decode_s = DECODE_FLOP * _decoded_pixels(card, workload) / rate
    return Timing(step_flop(card, workload) / rate, decode_s, ENCODE_S * _pixels(workload), is_rough=True)


def step_flop(card: ModelCard, workload: Workload, attention_weight: float = 1) -> float:
    """Counts the operations of one step: 12 products of hidden by hidden a token and block, and attention over all
    tokens of a video. 240 TFLOP for 2b with guidance, 146 of them attention."""
    batch = 2 if workload.is_guided else 1
    tokens = count_tokens(card, workload)
    linear = 2 * tokens * 12 * card.hidden_size**2
    attention = 4 * (tokens / batch) * tokens * card.hidden_size
    return card.num_layers * (linear + attention_weight * attention)


def _model(
    card: ModelCard, workload: Workload, placement: Placement, attention: Attention, gpu: KnownGpu
) -> tuple[float, float]:
    """Computes the seconds of a step and of decoding."""
    rate, bandwidth = SHARE_OF_PEAK * gpu.tflops * 1e12, gpu.bandwidth_gb_s * 1e9
    weight = 1 if gpu.compute_capability >= (8, 0) else 1 / OLD_ATTENTION
    weight *= FA4_ATTENTION if attention == "fa4" else 1
    moved = STEP_BYTES * count_tokens(card, workload) * card.hidden_size * card.num_layers
    step_s = (step_flop(card, workload, weight) / rate + moved / bandwidth) * (COMPILED if workload.compile else 1)
    pixels = _decoded_pixels(card, workload)
    between = DECODE_BYTES_FUSED if workload.decoder == "fused" else DECODE_BYTES
    decode_s = DECODE_FLOP * pixels / rate + between * pixels / bandwidth
    transformer = transformer_gib(card, workload) * GIB / 1e9
    vae = gib_of(card.vae_parameters, workload.dtype) * GIB / 1e9
    match placement:
        case "sequential":
            copies = SEQUENTIAL_DECODE_COPIES * _pixels(workload)
            return step_s + transformer / PAGEABLE_GB_S, decode_s + copies * vae / PAGEABLE_GB_S
        case "group":
            return max(step_s, transformer / gpu.link_gb_s), decode_s
        case "model":  # each part is copied once a video
            return step_s, decode_s + (transformer + vae) / PAGEABLE_GB_S
        case _:
            return step_s, decode_s


def _pixels(workload: Workload) -> int:
    return workload.num_frames * workload.height * workload.width


def _decoded_pixels(card: ModelCard, workload: Workload) -> float:
    """Counts the pixels that a VAE of MEASURED_CHANNELS would decode in the same time; work grows with the channels'
    square."""
    is_tiled = workload.vae_tiling and (workload.height > card.tile_height or workload.width > card.tile_width)
    return _pixels(workload) * (card.vae_channels / MEASURED_CHANNELS) ** 2 * (TILED if is_tiled else 1)
