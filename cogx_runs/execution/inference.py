"""Cells brought to their pixels: from latents that are kept, else generated."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cogx_runs.dashboard.board import Boards
from cogx_runs.definitions.parameters import Placement
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.execution.background import Finishing
from cogx_runs.execution.outcomes import Reporter
from cogx_runs.execution.session import Workbench
from cogx_runs.generation.generate import Decoded, Denoised, decode, denoise
from cogx_runs.generation.measure import Peak
from cogx_runs.metrics.degenerate import refuse_degenerate
from cogx_runs.models.cards import ModelCard
from cogx_runs.planning.plan import Plan
from cogx_runs.tracking.artifacts import LATENTS
from cogx_runs.tracking.record import beginning_with, params
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import Frames

_OF_THE_LATENTS = (
    "encode_text_s", "denoise_s", "step_s", "peak_vram_gib", "peak_vram_reserved_gib", "peak_ram_gib",
    "peak_vram_text_gib", "peak_vram_denoise_gib", "current_step",
)  # fmt: skip
"""Metrics that are known when a cell's latents are, and are kept with them."""
TAGS_OF_THE_LATENTS = (
    "cogx.env.", "cogx.noise_sha256", "cogx.beside", "cogx.finished_beside", "cogx.not_bitwise", "cogx.text",
    "cogx.stepped_down", "cogx.latents",
)  # fmt: skip
"""Beginnings of the tags that go with latents when a cell is reused."""
STEP_INTERVAL_S = 3.0
"""Between two reports of a run's current step to the store."""


@dataclass
class Cell:
    """A cell that this process has claimed."""

    spec: RunSpec
    run_id: str
    folder: Path
    """Where its artifacts are put together."""


@dataclass
class Made:
    """The pixels of a cell, however they were come by."""

    frames: Frames
    measured: dict[str, float]
    """Metrics that are known so far."""
    tags: dict[str, str]
    """What they were made from."""
    params: dict[str, Any]
    series: Mapping[str, Sequence[float]]
    """Values by step that are not in the store yet."""
    latents_kept: Future[None] | None = None
    """Done when new latents are in the store."""


class Maker:
    """Makes the pixels of one plan's cells."""

    def __init__(
        self,
        bench: Workbench,
        plan: Plan,
        store: RunStore,
        reporter: Reporter,
        boards: Boards,
        finishing: Finishing,
    ) -> None:
        self._bench = bench
        self._plan = plan
        self._store = store
        self._report = reporter
        self._boards = boards
        self._finishing = finishing

    def make(self, cell: Cell) -> Made:
        """The pixels of a cell: of the latents that a run of the same signature kept, else generated."""
        return self._decode_kept(cell) or self._generate(cell)

    def _generate(self, cell: Cell) -> Made:
        """A new generation. Its latents are in the store before anything else can go wrong with it."""
        spec = cell.spec
        device = self._bench.provenance(spec.device)["cogx.env.device_name"]
        beside = self._store.works_beside(device)
        finished_beside = [self._plan.runs[place].spec.run_name for place in self._finishing.at_work]

        told = time.monotonic()

        def on_step(done: int, total: int) -> None:
            nonlocal told
            self._report.step(done, total)
            if time.monotonic() - told > STEP_INTERVAL_S:
                told = time.monotonic()
                self._boards.step(cell.run_id, done)

        def denoise_warm(spec: RunSpec) -> Denoised:
            pipe = self._bench.loader.warm_pipeline(self._card(spec), spec)
            self._report.phase("denoising")
            with self._bench.loader.idle.busy():
                on_clean = refuse_degenerate if spec.abort_degenerate else None
                return denoise(pipe, spec, self._bench.loader.texts.of(spec), on_step, on_clean)

        denoised, placement = self._bench.within_memory(self._card(spec), spec, denoise_warm)
        idle_s = self._bench.loader.idle.take()
        text_s, text_peak = self._bench.loader.texts.take_cost(spec)
        measured = {
            "encode_text_s": text_s,
            "denoise_s": denoised.denoise_s,
            "step_s": denoised.step_s,
            **_peaks([("denoise", denoised.peak)]),
        }
        if text_peak is not None and text_peak.vram_gib is not None:
            measured["peak_vram_text_gib"] = text_peak.vram_gib
        if idle_s is not None:
            measured["idle_before_s"] = idle_s
        tags = {
            "cogx.noise_sha256": denoised.noise_sha256,
            "cogx.text": "cache" if text_peak is None else "encoder",
            "cogx.latents.device": spec.device,
            "cogx.latents.placement": placement,
        }
        if beside or self._store.works_beside(device):
            self._report.note(f"{spec.run_name}: another sweep used {device} meanwhile; the timings are not its own")
            tags["cogx.beside"] = "another sweep"
        if finished_beside:
            tags["cogx.finished_beside"] = ", ".join(finished_beside)
        if spec.compile:
            tags["cogx.not_bitwise"] = "compile"
        if placement != spec.placement:
            tags["cogx.stepped_down"] = f"{spec.placement} to {placement}: out of the GPU's memory"
        series = {"by_step.latent_std": denoised.latent_std}
        measured["current_step"] = spec.num_inference_steps
        kept = self._finishing.beside(
            partial(self._keep_latents, cell, denoised.latents, dict(measured), dict(tags), series)
        )
        decoded, decoded_at = self._decode(spec.replace(placement=placement), denoised.latents)
        if decoded_at != placement:
            tags["cogx.stepped_down"] = f"{spec.placement} to {decoded_at} in decoding: out of the GPU's memory"
        measured |= _peaks([("denoise", denoised.peak), ("decode", decoded.peak)]) | {"decode_s": decoded.decode_s}
        return Made(decoded.frames, measured, tags, params(spec) | {"placement": placement}, {}, kept)

    def _keep_latents(
        self,
        cell: Cell,
        latents: torch.Tensor,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        series: Mapping[str, Sequence[float]],
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
            file = Path(folder) / LATENTS
            save_file({"latents": latents.contiguous()}, file)
            self._store.keep_latents(cell.run_id, file, metrics, tags, series)

    def _decode_kept(self, cell: Cell) -> Made | None:
        """The latents that an earlier run of the same pixels kept, decoded again; None without one.

        What was measured while they were made is taken over with the device and placement that it was measured on.
        """
        spec = cell.spec
        kept = self._store.find_latents(spec.signature)
        if kept is None:
            return None
        try:
            latents = load_file(self._store.download(kept.run_id, LATENTS, cell.folder))["latents"]
        except (CogxError, SafetensorError) as error:
            self._report.note(f"{spec.run_name}: denoised again, since {error}")
            return None
        decoded, _ = self._decode(spec, latents)
        measured = {name: kept.metrics[name] for name in _OF_THE_LATENTS if name in kept.metrics}
        for name, value in _peaks([("decode", decoded.peak)]).items():
            measured[name] = max(value, measured.get(name, 0))
        tags = beginning_with(kept.tags, TAGS_OF_THE_LATENTS)
        tags["cogx.latents_from"] = kept.tags.get("cogx.latents_from", kept.run_id)
        measured["decode_s"] = decoded.decode_s
        measured_on = {name: kept.tags[f"cogx.latents.{name}"] for name in ("device", "placement")}
        series = {key: values for key, values in self._store.series(kept).items() if key.startswith("by_step.")}
        return Made(decoded.frames, measured, tags, params(spec) | measured_on, series)

    def _decode(self, spec: RunSpec, latents: torch.Tensor) -> tuple[Decoded, Placement]:
        """Decode new latents: out of memory, the transformer makes room and nothing is denoised again."""

        def decode_warm(spec: RunSpec) -> Decoded:
            vae = self._bench.loader.warm_vae(self._card(spec), spec)
            self._report.phase("decoding")
            with self._bench.loader.idle.busy():
                return decode(vae, spec, latents)

        return self._bench.within_memory(self._card(spec), spec, decode_warm)

    def _card(self, spec: RunSpec) -> ModelCard:
        return self._plan.cards[spec.model_key]


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
