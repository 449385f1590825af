"""Cards of the measurements of a run itself: times, memory, the file."""

from cogx_runs.metrics.card import Dependence, MetricCard

_OURS = "cogx-runs"
_TIME = frozenset({Dependence.TIME})
_MEMORY = frozenset({Dependence.MEMORY})
_TIME_AND_FILE = frozenset({Dependence.TIME, Dependence.FILE})

WALL_TIME = MetricCard(
    name="wall_time_s",
    title="wall time",
    definition="text encoding, denoising, decoding and H.264 of this run alone, whatever ran beside it; "
    "encode_text_s + denoise_s + decode_s + encode_video_s",
    source=_OURS,
    direction="lower",
    unit="s",
    digits=1,
    depends_on=_TIME_AND_FILE,
    fooled_by="another program on the same device; a text encoded by an earlier run (`cogx.text`)",
)
STEP_TIME = MetricCard(
    name="step_s",
    title="time per step",
    definition="denoising time over the number of steps, warm-up left out",
    source=_OURS,
    direction="lower",
    unit="s",
    digits=3,
    depends_on=_TIME,
)
PEAK_VRAM = MetricCard(
    name="peak_vram_gib",
    title="peak VRAM",
    definition="the most that torch's allocator had given out on the GPU in denoising and decoding",
    source="torch.cuda.max_memory_allocated",
    direction="lower",
    unit="GiB",
    depends_on=_MEMORY,
    fooled_by="CUDA's context, about half a GiB, is not in it",
)
FILE_SIZE = MetricCard(
    name="file_size_bytes",
    title="file size",
    definition="of the mp4, H.264 at constant quality",
    source=_OURS,
    unit="kB",
    scale=1000.0,
    digits=1,
    depends_on=frozenset({Dependence.FILE}),
    fooled_by="it grows with frames, with motion, with detail and with noise",
)

CACHE_SKIPPED = MetricCard(
    name="cache_skipped_fraction",
    title="skipped by the cache",
    definition="evaluations of the blocks' attention and feed-forward layers that the cache skipped, of all that the "
    "steps have without a cache; each counts once for a text of the batch, and what is computed is counted",
    source=_OURS,
    unit="%",
    scale=0.01,
    digits=0,
    fooled_by="attention takes more of the time than its count says where the video has many tokens",
)


def _part(name: str, title: str, definition: str, depends_on: frozenset[Dependence] = _TIME) -> MetricCard:
    unit = "GiB" if depends_on == _MEMORY else "s"
    return MetricCard(
        name=name, title=title, definition=definition, source=_OURS, direction="lower", unit=unit, depends_on=depends_on
    )


ALWAYS_MEASURED = (
    WALL_TIME,
    STEP_TIME,
    PEAK_VRAM,
    FILE_SIZE,
    _part("encode_text_s", "text encoding", "of prompt and negative prompt, for the first run that needs them"),
    _part("denoise_s", "denoising", "all denoising steps, by CUDA events on a GPU"),
    _part("decode_s", "decoding", "the VAE, latents to frames"),
    _part("encode_video_s", "H.264", "frames to mp4", _TIME_AND_FILE),
    _part("peak_vram_reserved_gib", "reserved VRAM", "the most that torch's allocator held of the GPU", _MEMORY),
    _part("peak_ram_gib", "peak RAM", "the most host memory that the process had resident", _MEMORY),
)
"""Measured for every cell; the GPU's memory for every cell on a GPU."""
CALIBRATION = _part("calibrate_s", "calibration", "measuring MagCache's ratios, for the first run that needs them")
AT_TIMES_MEASURED = (
    CACHE_SKIPPED,
    CALIBRATION,
    _part("idle_before_s", "idle before", "between the last GPU work of the run before and the first of this"),
    _part("peak_vram_text_gib", "VRAM, text", "as peak_vram_gib, while the text was encoded", _MEMORY),
    _part("peak_vram_denoise_gib", "VRAM, denoising", "as peak_vram_gib, in denoising alone", _MEMORY),
    _part("peak_vram_decode_gib", "VRAM, decoding", "as peak_vram_gib, in decoding alone", _MEMORY),
)
"""Measured for some cells: a cell without a cache skips nothing, one whose text was encoded earlier has no text memory,
the first cell no idle time, and one that decodes kept latents no memory of phases that ran on a CPU."""
MEASURED = (*ALWAYS_MEASURED, *AT_TIMES_MEASURED)
