"""Cells brought to their pixels: from latents that are kept, else generated."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cogx_runs.definitions.parameters import Placement
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, StoreUnavailableError
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.session import Session
from cogx_runs.generation.calibration import digest_of
from cogx_runs.generation.generate import Decoded, Denoised, decode, denoise
from cogx_runs.generation.measure import Peak
from cogx_runs.metrics.degenerate import refuse_degenerate
from cogx_runs.metrics.measured import CACHE_SKIPPED, CALIBRATION
from cogx_runs.models.cards import ModelCard
from cogx_runs.progress import Progress
from cogx_runs.system.hardware import Device
from cogx_runs.system.load import BUSY, LoadWatch
from cogx_runs.tracking import artifacts, tags
from cogx_runs.tracking.claims import is_device_shared
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.record import params, with_prefixes
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.thread import if_answered
from cogx_runs.video import Frames

_METRICS_OF_LATENTS = (
    "encode_text_s", "denoise_s", "step_s", "peak_vram_gib", "peak_vram_reserved_gib", "peak_ram_gib",
    "peak_vram_text_gib", "peak_vram_denoise_gib", "current_step", CACHE_SKIPPED.name, CALIBRATION.name,
)  # fmt: skip
"""Metrics that are known when a cell's latents are, and are kept with them."""
_UNKNOWN = "unknown: the tracking store did not answer"
"""Other work on the device at the same time, where nobody could be asked."""
TAGS_OF_LATENTS = (
    tags.ENV, tags.NOISE_SHA256, tags.BESIDE, tags.FINISHED_BESIDE, tags.NOT_BITWISE, tags.TEXT, tags.STEPPED_DOWN,
    tags.QUANTIZED, tags.LATENTS, tags.CACHE_SKIPPED, tags.CACHE_RATIOS,
)  # fmt: skip
"""Beginnings of the tags that go with latents when a cell is reused."""


@dataclass(frozen=True)
class GeneratedVideo:
    """The pixels of a cell, with what is known of how they were generated."""

    frames: Frames
    measured: dict[str, float]
    """Metrics that are known so far."""
    tags: dict[str, str]
    params: dict[str, Any]
    series: Mapping[str, Sequence[float]]
    """Values by step that are not in the store yet."""
    latents_kept: Future[dict[str, str]] | None = None
    """Done when new latents are kept; the tags that were found out with that."""


class InferenceStage:
    """Brings cells to their pixels, on one device."""

    def __init__(
        self,
        session: Session,
        store: RunStore,
        delivery: Delivery,
        *,
        denoise: Callable[..., Denoised] = denoise,
        decode: Callable[..., Decoded] = decode,
        watch: Callable[[Device], LoadWatch] = LoadWatch,
    ) -> None:
        self._session = session
        self._store = store
        self._delivery = delivery
        self._denoise = denoise
        self._decode = decode
        self._watch = watch
        self._keeping = ThreadPoolExecutor(1, thread_name_prefix="latents")

    def close(self) -> None:
        """Waits until all latents are kept."""
        self._keeping.shutdown()

    def run(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> GeneratedVideo:
        """Brings a cell to its pixels: from the latents that a run of the same signature kept, else generated."""
        return self._from_kept(cell, card, progress) or self._generate(cell, card, progress)

    def _generate(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> GeneratedVideo:
        """Generates a cell. Its latents are kept before anything else can go wrong with it."""
        spec = cell.spec
        neighbour, watch = self._neighbour(cell), self._watch(spec.device)
        denoised, placement = self._session.within_memory(
            card, spec, partial(self._denoise_warm, card, progress), progress
        )
        load = watch.load()
        measured, about = self._measured(spec, denoised), self._about(cell, denoised, placement)
        text_s, text_peak = self._session.loader.texts.take_cost(spec)
        about[tags.TEXT] = "cache" if text_peak is None else "encoder"
        measured["encode_text_s"] = text_s
        if text_peak is not None and text_peak.vram_gib is not None:
            measured["peak_vram_text_gib"] = text_peak.vram_gib
        self._tell_cache(spec, denoised, measured, about, progress)
        kept = self._keeping.submit(
            self._write_latents, cell, denoised, dict(measured), dict(about), neighbour, load, progress
        )
        if spec.device == "cpu":  # which the writing would take from the decoding
            wait([kept])
        watch = self._watch(spec.device)
        try:
            decoded, decoded_at = self._decode_warm(card, spec.replace(placement=placement), denoised.latents, progress)
        except BaseException:
            wait([kept])  # no write of a run comes after its last one
            raise
        if decoded_under := watch.load():
            about[tags.BESIDE] = decoded_under
        if decoded_at != placement:
            about[tags.STEPPED_DOWN] = f"{spec.placement} to {decoded_at} in decoding: out of the GPU's memory"
        measured |= _peaks([("denoise", denoised.peak), ("decode", decoded.peak)]) | {"decode_s": decoded.decode_s}
        return GeneratedVideo(decoded.frames, measured, about, params(spec) | {"placement": placement}, {}, kept)

    def _denoise_warm(self, card: ModelCard, progress: Progress, spec: RunSpec) -> Denoised:
        """Denoises with a pipeline that is loaded and warm."""
        loader = self._session.loader
        pipe = loader.warm_pipeline(card, spec, progress)
        progress.phase("denoising")
        with loader.idle.busy():
            on_clean = refuse_degenerate if spec.abort_degenerate else None
            ratios = loader.ratios(spec)
            return self._denoise(pipe, spec, loader.texts.of(spec), progress.step, on_clean, ratios)

    def _tell_cache(
        self, spec: RunSpec, denoised: Denoised, measured: dict[str, float], about: dict[str, str], progress: Progress
    ) -> None:
        """Adds what a cell's cache skipped, and where its ratios come from, to its metrics and tags."""
        if denoised.skipped is None:
            return
        measured[CACHE_SKIPPED.name] = denoised.skipped.fraction
        about[tags.CACHE_SKIPPED] = str(denoised.skipped)
        if not denoised.skipped.fraction:
            progress.note(f"{spec.run_name}: cache {spec.cache} skipped nothing; the video is the exact one")
        loader = self._session.loader
        ratios = loader.ratios(spec)
        if ratios is not None:
            seconds = loader.take_calibration()
            about[tags.CACHE_RATIOS] = f"{digest_of(ratios)} {'kept' if seconds is None else 'calibrated'}"
            if seconds is not None:
                measured[CALIBRATION.name] = seconds

    def _neighbour(self, cell: ClaimedCell) -> str | None:
        """What else works on the cell's device; None where nothing does."""
        device_id = self._session.provenance(cell.spec.device)[tags.DEVICE_ID]
        try:
            return "another sweep" if is_device_shared(self._store, device_id, cell.holder) else None
        except StoreUnavailableError:
            return _UNKNOWN

    def _measured(self, spec: RunSpec, denoised: Denoised) -> dict[str, float]:
        """The metrics of a cell that has been denoised, but for those of its texts."""
        measured = {"denoise_s": denoised.denoise_s, "step_s": denoised.step_s, **_peaks([("denoise", denoised.peak)])}
        measured["current_step"] = spec.num_inference_steps
        if (idle_s := self._session.loader.idle.take()) is not None:
            measured["idle_before_s"] = idle_s
        return measured

    def _about(self, cell: ClaimedCell, denoised: Denoised, placement: Placement) -> dict[str, str]:
        """The tags of a cell that has been denoised."""
        spec = cell.spec
        about = {
            tags.NOISE_SHA256: denoised.noise_sha256,
            tags.LATENTS_DEVICE: spec.device,
            tags.LATENTS_PLACEMENT: placement,
        }
        if cell.beside:
            about[tags.FINISHED_BESIDE] = ", ".join(cell.beside)
        if spec.not_bitwise:
            about[tags.NOT_BITWISE] = ", ".join(spec.not_bitwise)
        if (quantized := denoised.quantized) is not None:
            about[tags.QUANTIZED_LAYERS] = f"{quantized.layers} of {quantized.linear_layers}"
            about[tags.QUANTIZED_BYTES] = f"{quantized.bytes_before} to {quantized.bytes_after}"
        if placement != spec.placement:
            about[tags.STEPPED_DOWN] = f"{spec.placement} to {placement}: out of the GPU's memory"
        return about

    def _write_latents(
        self,
        cell: ClaimedCell,
        denoised: Denoised,
        metrics: Mapping[str, float],
        about: Mapping[str, str],
        neighbour: str | None,
        load: str | None,
        progress: Progress,
    ) -> dict[str, str]:
        """Keeps latents: on this machine first, before the store is asked anything.

        Returns the tags that were found out with that. `neighbour` is what worked on the device at the beginning,
        `load` that of the machine while it denoised.
        """
        spec = cell.spec
        save_file({"latents": denoised.latents.contiguous()}, cell.spooled.latents_file)
        series = {"by_step.latent_std": denoised.latent_std}
        self._delivery.spool_latents(
            cell.spooled, metrics, {**about, tags.BESIDE: neighbour or load or _UNKNOWN}, series
        )
        neighbour = neighbour or self._neighbour(cell) or load
        found = {} if neighbour is None else {tags.BESIDE: neighbour}
        if neighbour is not None and neighbour != _UNKNOWN:
            device = self._session.provenance(spec.device)[tags.DEVICE_NAME]
            what = neighbour if neighbour.startswith(BUSY) else f"{neighbour} used {device} meanwhile"
            progress.note(f"{spec.run_name}: {what}; its times are compared with none")
        self._delivery.keep_latents(cell.spooled, {**about, **found})
        return found

    def _from_kept(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> GeneratedVideo | None:
        """Decodes the latents that a run of the same pixels kept, this one itself before others; None without any."""
        spec = cell.spec
        found = if_answered(lambda: self._store.find_latents(spec.signature)) or []
        problems = []
        for kept in sorted(found, key=lambda run: run.run_id != cell.run_id):
            try:
                latents = load_file(self._store.download(kept.run_id, artifacts.LATENTS, cell.spooled.files))["latents"]
                series = self._store.series(kept)
            except (CogxError, SafetensorError) as error:
                (cell.spooled.files / artifacts.LATENTS).unlink(missing_ok=True)  # not to be kept with the new run
                problems.append(str(error))
                continue
            for problem in problems:
                progress.note(f"{spec.run_name}: made from the latents of run {kept.run_id}, since {problem}")
            decoded, _ = self._decode_warm(card, spec, latents, progress)
            return self._with_values_of(kept, series, cell, decoded)
        for problem in problems:
            progress.note(f"{spec.run_name}: denoised again, since {problem}")
        return None

    def _with_values_of(
        self, kept: TrackedRun, series: Mapping[str, Sequence[float]], cell: ClaimedCell, decoded: Decoded
    ) -> GeneratedVideo:
        """Gives a decoded video what was measured while its latents were denoised, and on what that was."""
        measured = {name: kept.metrics[name] for name in _METRICS_OF_LATENTS if name in kept.metrics}
        for name, value in _peaks([("decode", decoded.peak)]).items():
            measured[name] = max(value, measured.get(name, 0))
        measured["decode_s"] = decoded.decode_s
        about = with_prefixes(kept.tags, TAGS_OF_LATENTS)
        if kept.run_id != cell.run_id:
            about[tags.LATENTS_FROM] = kept.tags.get(tags.LATENTS_FROM, kept.run_id)
        measured_on = {"device": kept.tags[tags.LATENTS_DEVICE], "placement": kept.tags[tags.LATENTS_PLACEMENT]}
        series = {key: values for key, values in series.items() if key.startswith("by_step.")}
        return GeneratedVideo(decoded.frames, measured, about, params(cell.spec) | measured_on, series)

    def _decode_warm(
        self, card: ModelCard, spec: RunSpec, latents: torch.Tensor, progress: Progress
    ) -> tuple[Decoded, Placement]:
        """Decodes latents: out of memory, the transformer makes room and nothing is denoised again."""

        def decode_warm(spec: RunSpec) -> Decoded:
            vae = self._session.loader.warm_vae(card, spec, progress)
            progress.phase("decoding")
            with self._session.loader.idle.busy():
                return self._decode(vae, spec, latents)

        return self._session.within_memory(card, spec, decode_warm, progress)


def _peaks(phases: Sequence[tuple[str, Peak]]) -> dict[str, float]:
    """The peaks of these phases, and of all of them together, as metrics."""
    whole = reduce(or_, (peak for _, peak in phases))
    named = {f"peak_vram_{name}_gib": peak.vram_gib for name, peak in phases}
    named |= {
        "peak_vram_gib": whole.vram_gib,
        "peak_vram_reserved_gib": whole.vram_reserved_gib,
        "peak_ram_gib": whole.ram_gib,
    }
    return {name: value for name, value in named.items() if value is not None}
