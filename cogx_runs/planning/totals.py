"""The cost of a whole plan: time, memory of each phase, downloads, disk."""

from collections.abc import Iterable, Sequence
from statistics import median

from cogx_runs.definitions.parameters import Dtype, Placement
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.download import GB, Download, missing_clip, missing_weights
from cogx_runs.models.gpus import device_key
from cogx_runs.models.memory import (
    Budget,
    choose_text_placement,
    gib_of,
    largest_needs,
    text_vram_gib,
    text_weights_gib,
)
from cogx_runs.planning.plan import ModelMemory, Plan, PlanCost, PlannedRun
from cogx_runs.system.hardware import GIB, Gpu, name_of
from cogx_runs.tracking.run import TrackedRun

MP4_BYTES = 0.2
"""Bytes of H.264 for a pixel of noise, which compresses worst: 3.25 MB for 49 frames of 480x720."""
PICTURES_BYTES = 2e5
"""Bytes of pictures for a frame, at most: animations, stills and a contact sheet."""
ENOUGH_RUNS = 20
"""Finished runs of one size whose files are counted."""
_Kind = tuple[tuple[str, str], Dtype, Placement]


def cost_of(plan: Plan, history: Sequence[TrackedRun], gpu: Gpu | None, budget: Budget | None) -> PlanCost:
    """Sums up what the cells of a plan take that are not finished."""
    waiting = [run for run in plan.runs if run.action.is_open]
    known = [run.estimate.seconds for run in waiting if run.estimate.seconds is not None]
    return PlanCost(
        device=device_key(name_of(gpu)),
        seconds=round(sum(known), 2) if known or not waiting else None,
        cells_without_estimate=len(waiting) - len(known),
        is_rough=any(run.estimate.is_rough for run in waiting),
        memory=tuple(_memory(plan, waiting, budget)),
        downloads=tuple(_downloads(plan, waiting)),
        disk_gb=round(_disk_bytes(plan, waiting, history) / GB, 3),
    )


def _memory(plan: Plan, waiting: Sequence[PlannedRun], budget: Budget | None) -> Iterable[ModelMemory]:
    """Estimates the phases of each model, precision and placement, by the largest of its cells."""
    kinds: dict[_Kind, list[RunSpec]] = {}
    for run in waiting:
        kinds.setdefault((run.spec.model_key, run.spec.dtype, run.spec.placement), []).append(run.spec)
    for (key, dtype, placement), specs in kinds.items():
        card = plan.cards[key]
        need = largest_needs(card, placement, {spec.workload for spec in specs})
        text_gib = text_vram_gib(card, dtype, choose_text_placement(card, dtype, budget).placement)
        on_cpu = specs[0].device == "cpu"
        phases = (text_gib, need.denoise_gib, need.decode_gib)
        host_gib = max(phases) if on_cpu else max(need.host_gib, text_weights_gib(card, dtype))
        yield ModelMemory(card.name, dtype, placement, specs[0].device, *(round(gib, 2) for gib in (*phases, host_gib)))


def _downloads(plan: Plan, waiting: Sequence[PlannedRun]) -> Iterable[Download]:
    """Lists the weights that the cells use and that are not here."""
    cards: list[ModelCard] = [plan.cards[key] for key in dict.fromkeys(run.spec.model_key for run in waiting)]
    clips = dict.fromkeys(run.spec.clip_model for run in waiting)
    found = [*map(missing_weights, cards), *map(missing_clip, clips)]
    return [download for download in found if download is not None]


def _disk_bytes(plan: Plan, waiting: Sequence[PlannedRun], history: Sequence[TrackedRun]) -> float:
    """Estimates the files of the cells: the median of finished runs of the same size, else what they take at most."""
    wanted = {_size_of(run.spec) for run in waiting}
    seen: dict[tuple[str, ...], list[int]] = {size: [] for size in wanted}
    for past in history:
        size = tuple(past.params.get(name, "") for name in _SIZE)
        if size in wanted and len(seen[size]) < ENOUGH_RUNS and past.state.is_finished and past.digests:
            seen[size].append(sum(digest.size_bytes for digest in past.digests.values()))
    total = 0.0
    for run in waiting:
        sizes = seen[_size_of(run.spec)]
        total += median(sizes) if sizes else _most_bytes(run.spec, plan.cards[run.spec.model_key])
    return total


_SIZE = ("model", "num_frames", "height", "width", "dtype", "fps")


def _size_of(spec: RunSpec) -> tuple[str, ...]:
    return tuple(str(getattr(spec, name)) for name in _SIZE)


def _most_bytes(spec: RunSpec, card: ModelCard) -> float:
    """Computes what the files of a cell take at most: mp4, latents, pictures."""
    pixels = spec.num_frames * spec.height * spec.width
    latent_frames = (spec.num_frames - 1) // card.temporal_compression + 1
    side = card.size_multiple // 2
    latents = latent_frames * card.latent_channels * (spec.height // side) * (spec.width // side)
    return MP4_BYTES * pixels + gib_of(latents, spec.dtype) * GIB + PICTURES_BYTES * spec.num_frames
