"""Takes a plan through generation, metrics and tracking, cell by cell, and goes on after a failure."""

import json
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cogx_runs.disk import DISK_FULL, check_disk, is_disk_full
from cogx_runs.errors import CogxError, first_line
from cogx_runs.finishing import Finishing, FinishingError
from cogx_runs.generation.generate import Decoded, Denoised, decode, denoise
from cogx_runs.generation.loader import Loader
from cogx_runs.generation.measure import IdleTime, Peak
from cogx_runs.generation.placement import cap_memory
from cogx_runs.generation.step_down import StepDown
from cogx_runs.hardware import Device
from cogx_runs.metrics.degenerate import judge_frames, measure_frames, refuse_degenerate
from cogx_runs.metrics.registry import card_of, cards
from cogx_runs.metrics.scoring import Scorer
from cogx_runs.metrics.temporal import frame_changes
from cogx_runs.models import ModelCard
from cogx_runs.outcomes import Outcome, Reporter
from cogx_runs.pictures import write_pictures
from cogx_runs.plan import Plan, PlannedRun
from cogx_runs.record import (
    METRICS_FILE,
    METRICS_TAG,
    command,
    degenerate_tags,
    failure_tags,
    identities,
    known_params,
    params,
    score_tags,
    shown,
    spec_metrics,
    write_cards,
    write_definition,
)
from cogx_runs.spec import RunSpec
from cogx_runs.sweep import Placement
from cogx_runs.tracking.board import Boards
from cogx_runs.tracking.images import IMAGES
from cogx_runs.tracking.provenance import provenance
from cogx_runs.tracking.store import LATENTS, RunStore, scalars
from cogx_runs.video import Frames, write_mp4

_T = TypeVar("_T")

PHASES = ("encode_text_s", "denoise_s", "decode_s", "encode_video_s")
"""The phases of a run; its `wall_time_s` is their sum."""
_OF_THE_LATENTS = (
    "encode_text_s", "denoise_s", "step_s", "peak_vram_gib", "peak_vram_reserved_gib", "peak_ram_gib",
    "peak_vram_text_gib", "peak_vram_denoise_gib", "current_step",
)  # fmt: skip
"""Metrics that are known when a cell's latents are, and are kept with them."""
_TAGS_OF_THE_LATENTS = (
    "cogx.env.", "cogx.noise_sha256", "cogx.beside", "cogx.finished_beside", "cogx.not_bitwise", "cogx.text",
    "cogx.stepped_down", "cogx.latents",
)  # fmt: skip
"""Beginnings of the tags that go with latents when a cell is reused."""
WAIT_S = 1.0
STEP_INTERVAL_S = 3.0
"""Between two reports of a run's current step to the store."""
_KEPT_ARTIFACTS = ("video.mp4", "contact_sheet.png", METRICS_FILE, IMAGES, LATENTS)
"""Artifacts that a reused cell takes over."""
VIDEOS_WAITING = 2
"""Videos that may wait for their encoding, scores and logging while the GPU goes on: one holds 50 MB of frames."""


@dataclass
class _Cell:
    """A cell that this process has claimed."""

    spec: RunSpec
    run_id: str
    folder: Path
    """Where its artifacts are put together."""


@dataclass
class _Made:
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


class Runner:
    """Runs cells on one pipeline at a time and tracks them.

    On a GPU a video is encoded, scored and logged by other threads while the next one is denoised. On a CPU that
    would take the time from the next run's own, so that it is done in turn.
    """

    def __init__(self, plan: Plan, store: RunStore, reporter: Reporter, finish_beside: bool | None = None) -> None:
        """`finish_beside` is whether videos are finished by other threads; None is as the device asks for."""
        todo = [planned.spec for planned in plan.runs if planned.action in {"run", "reuse"}]
        self._plan = plan
        self._store = store
        self._report = reporter
        self._idle = IdleTime()
        new = [planned.spec for planned in plan.runs if planned.action == "run"]
        self._loader = Loader(reporter.phase, new, self._idle, plan.max_vram_gib)
        self._within_memory = StepDown(self._loader, plan.cards, reporter.note)
        self._todo = todo
        self._beside = any(spec.device == "cuda" for spec in todo) if finish_beside is None else finish_beside
        self._provenance: dict[Device, dict[str, str]] = {}
        self._scorers: dict[str, Scorer] = {}
        self._boards = Boards(store)

    def run(self, fail_fast: bool = False) -> list[Outcome]:
        """Bring every cell of the plan to its end. Outcomes come in the plan's order.

        A cell that fails is tracked as FAILED with its traceback and the next one begins, unless `fail_fast`.
        KeyboardInterrupt ends the cell at work as KILLED, finishes the videos that wait, and passes on. Raises
        CogxError where no cell can run.
        """
        outcomes: dict[int, Outcome] = {}
        experiments: dict[str, str] = {}
        elsewhere: list[int] = []
        stopped = False

        def ended(place: int, outcome: Outcome) -> None:
            nonlocal stopped
            stopped |= fail_fast and outcome.status == "failed"
            outcomes[place] = outcome
            self._report.run_ended(outcome)
            self._boards.changed(outcome.spec.sweep, self._beside)

        try:
            self._prepare()
            experiments = self._open_experiments()
            cells = Counter(planned.spec.sweep for planned in self._plan.runs)
            self._report.shown_at(list(experiments), self._boards.open(experiments, cells))
            with Finishing(VIDEOS_WAITING if self._beside else 0, ended) as finishing:
                self._loader.before_loading = finishing.drain
                for place, planned in enumerate(self._plan.runs):
                    known = _known(planned)
                    if known is not None:
                        outcomes[place] = known
                    elif stopped:
                        outcomes[place] = Outcome(planned.spec, "skipped")
                    else:
                        finishing.collect()
                        self._report.run_started(planned.spec)
                        if not self._run_cell(planned.spec, experiments[planned.spec.sweep], place, finishing):
                            elsewhere.append(place)
                for place in elsewhere:
                    spec = self._plan.runs[place].spec
                    self._take_up(spec, experiments[spec.sweep], place, finishing)
        except BaseException as error:
            self._store.give_up(list(experiments.values()))
            if isinstance(error, FinishingError):
                raise error.__cause__ or error from None
            raise
        finally:
            self._loader.close()
            for problem in self._boards.close():
                self._report.note(problem)
        return [outcomes[place] for place in sorted(outcomes)]

    def _prepare(self) -> None:
        """Find out what can be known before the first cell, and load what it needs."""
        if not self._todo:
            return
        self._store.check_writable()
        check_disk(Path(tempfile.gettempdir()))
        for clip_model in dict.fromkeys(spec.clip_model for spec in self._todo):
            self._report.phase(f"loading CLIP {clip_model}")
            self._scorers[clip_model] = Scorer(clip_model)
            for reason, names in self._scorers[clip_model].reasons.items():
                titles = ", ".join(card.title for name in names if (card := card_of(name)) is not None)
                self._report.note(
                    f"no {titles}: {reason}; the runs finish without, and `cogx-runs rescore` adds what is missing"
                )
        cap_memory(self._plan.max_vram_gib)
        first = next((planned.spec for planned in self._plan.runs if planned.action == "run"), None)
        if first is not None:
            self._within_memory(first, lambda spec: self._loader.load(self._card(spec), spec))
        self._provenance = {device: provenance(device) for device in {spec.device for spec in self._todo}}

    def _open_experiments(self) -> dict[str, str]:
        """The id of each sweep's experiment, with the runs of dead processes ended."""
        experiments = {sweep.name: self._store.open_experiment(sweep) for sweep in self._plan.sweeps}
        buried = self._store.bury_dead(list(experiments.values()))
        if buried:
            self._report.note(f"{buried} run{'s' * (buried > 1)} of a process that died marked as KILLED")
        return experiments

    def _run_cell(self, spec: RunSpec, experiment_id: str, place: int, finishing: Finishing) -> bool:
        """Claim a cell, bring it to its pixels, and hand it on to be finished; False where another process has it."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cogx-runs-")))
            check_disk(folder)
            tags = self._provenance[spec.device] | {
                "cogx.command": command(spec),
                "cogx.env.model": f"{spec.model_source}@{spec.model_revision}",
                **self._plan.runs[place].tags,
            }
            try:
                run_id = self._store.claim(experiment_id, spec, tags)
            except Exception as error:
                if is_disk_full(error):
                    raise CogxError(DISK_FULL) from error
                raise
            if run_id is None:
                return False
            cell = _Cell(spec, run_id, folder)
            made = self._settled(cell, lambda: self._adopt(cell, finishing) or self._make(cell, finishing))
            if isinstance(made, Outcome):
                finishing.ended(place, made)
            else:
                finishing.make_room()
                finishing.submit(place, partial(self._finish_apart, cell, made, stack.pop_all()))
            return True

    def _take_up(self, spec: RunSpec, experiment_id: str, place: int, finishing: Finishing) -> None:
        """A cell that another process had: what that came to, or made here where the process has died."""
        told = False
        while True:
            run = self._store.last_run(experiment_id, spec.output_hash)
            if run is not None and run.info.status == "FINISHED":
                finishing.ended(place, Outcome(spec, "done", run.info.run_id, scalars(run)))
                return
            if run is not None and run.info.status == "FAILED":
                finishing.ended(place, Outcome(spec, "failed", run.info.run_id, error="failed in another process"))
                return
            if run is not None and run.info.status == "RUNNING" and not self._store.is_of_this_host(run):
                finishing.ended(place, Outcome(spec, "elsewhere", error="being run by another host"))
                return
            if self._run_cell(spec, experiment_id, place, finishing):
                return
            if not told:
                self._report.note(f"waiting for another process that makes {spec.run_name}")
                told = True
            time.sleep(WAIT_S)

    def _settled(self, cell: _Cell, work: Callable[[], _T]) -> _T | Outcome:
        """The result of a piece of work on a cell; where it fails, the cell's outcome, tracked with its traceback.

        Raises CogxError where the disk is full: no other cell could be tracked either.
        """
        try:
            return work()
        except FinishingError:
            raise  # another cell's
        except Exception as error:
            if is_disk_full(error):
                raise CogxError(DISK_FULL) from error
            (cell.folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
            tags = failure_tags(error)
            self._store.finish(
                cell.run_id, cell.folder, params(cell.spec), spec_metrics(cell.spec), tags, status="FAILED"
            )
            return Outcome(cell.spec, "failed", cell.run_id, error=first_line(error))

    def _finish_apart(self, cell: _Cell, made: _Made, left: ExitStack) -> Outcome:
        """Finish a cell whose folder is given back with `left`, in whichever thread this is called."""
        with left:
            return self._settled(cell, lambda: self._finish(cell, made))

    def _adopt(self, cell: _Cell, finishing: Finishing) -> Outcome | None:
        """Finish a cell with all that a finished run of it elsewhere has; None where there is no such run."""
        self._store.describe(cell.run_id, known_params(cell.spec), spec_metrics(cell.spec))
        write_definition(cell.spec, cell.folder)
        if any(self._plan.runs[place].spec.signature == cell.spec.signature for place in finishing.at_work):
            finishing.drain()
        while self._store.is_being_made(cell.run_id):
            self._report.phase("waiting for another sweep that makes the same video")
            time.sleep(WAIT_S)
        made = self._store.find_finished(cell.spec.output_hash)
        if made is None:
            return None
        self._report.phase("taking over")
        try:
            for name in _KEPT_ARTIFACTS:
                self._store.download(made.info.run_id, name, cell.folder)
        except CogxError as error:
            self._report.note(f"{cell.spec.run_name}: made again, since {error}")
            return None
        metrics = {key: value for key, value in scalars(made).items() if not key.startswith("axis.")}
        metrics |= spec_metrics(cell.spec)
        of_scores = tuple(f"cogx.{name}." for name in cards())
        tags = _beginning_with(made.data.tags, (*_TAGS_OF_THE_LATENTS, METRICS_TAG, "cogx.degenerate", *of_scores))
        tags["cogx.reused_from"] = made.data.tags.get("cogx.reused_from", made.info.run_id)
        self._store.finish(
            cell.run_id,
            cell.folder,
            params(cell.spec) | _measured_on(made.data.params),
            metrics,
            tags | shown(cell.spec, cell.run_id, cell.folder, metrics, tags),
            series=self._store.series(made),
        )
        return Outcome(cell.spec, "reused", cell.run_id, metrics)

    def _make(self, cell: _Cell, finishing: Finishing) -> _Made:
        """The pixels of a cell: of the latents that a run of the same signature kept, else generated."""
        return self._decode_kept(cell) or self._generate(cell, finishing)

    def _finish(self, cell: _Cell, made: _Made) -> Outcome:
        """Encode, score and track a cell whose frames are there."""
        write_started = time.perf_counter()
        write_mp4(made.frames, cell.folder / "video.mp4", cell.spec.fps, cell.spec.video_quality)
        measured = made.measured | {"encode_video_s": time.perf_counter() - write_started}
        write_pictures(made.frames, cell.spec.fps, cell.folder)
        metrics = measured | spec_metrics(cell.spec)
        metrics["wall_time_s"] = sum(measured[phase] for phase in PHASES)
        metrics["file_size_bytes"] = (cell.folder / "video.mp4").stat().st_size
        scores = self._scorers[cell.spec.clip_model].score(made.frames, cell.spec.prompt)
        metrics |= {name: score.value for name, score in scores.measured.items()}
        series = {**made.series, "by_frame.change": frame_changes(made.frames).tolist()}
        series |= {f"by_frame.{name}": score.by_frame for name, score in scores.measured.items() if score.by_frame}
        tags = made.tags | score_tags(scores.measured)
        tags |= {f"cogx.{name}.missing": reason for name, reason in scores.missing.items()}
        meant = identities(metrics, cell.spec.clip_model)
        tags[METRICS_TAG] = json.dumps(meant)
        write_cards(cell.folder, meant, scores.measured)
        weights_sha256 = self._loader.weights_sha256(self._card(cell.spec))
        if weights_sha256 is not None:
            tags = tags | {"cogx.env.model_weights_sha256": weights_sha256}
        tags = tags | self._judged(cell.spec, made.frames)
        if made.latents_kept is not None:
            made.latents_kept.result()
        tags = tags | shown(cell.spec, cell.run_id, cell.folder, metrics, tags)
        self._store.finish(cell.run_id, cell.folder, made.params, metrics, tags, series=series)
        return Outcome(cell.spec, "finished", cell.run_id, metrics)

    def _judged(self, spec: RunSpec, frames: Frames) -> dict[str, str]:
        """The tags that say what degenerate frames are, the reporter told; empty for all others."""
        found = judge_frames(measure_frames(frames))
        if found is None:
            return {}
        self._report.note(f"{spec.run_name}: degenerate: {found.kind} ({found.reason})")
        return degenerate_tags(found.kind, found.reason)

    def _generate(self, cell: _Cell, finishing: Finishing) -> _Made:
        """A new generation. Its latents are in the store before anything else can go wrong with it."""
        spec = cell.spec
        device = self._provenance[spec.device]["cogx.env.device_name"]
        beside = self._store.works_beside(device)
        finished_beside = [self._plan.runs[place].spec.run_name for place in finishing.at_work]

        told = time.monotonic()

        def on_step(done: int, total: int) -> None:
            nonlocal told
            self._report.step(done, total)
            if time.monotonic() - told > STEP_INTERVAL_S:
                told = time.monotonic()
                self._boards.step(cell.run_id, done)

        def denoise_warm(spec: RunSpec) -> Denoised:
            pipe = self._loader.warm_pipeline(self._card(spec), spec)
            self._report.phase("denoising")
            with self._idle.busy():
                on_clean = refuse_degenerate if spec.abort_degenerate else None
                return denoise(pipe, spec, self._loader.texts.of(spec), on_step, on_clean)

        denoised, placement = self._within_memory(spec, denoise_warm)
        idle_s = self._idle.take()
        text_s, text_peak = self._loader.texts.take_cost(spec)
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
        kept = finishing.beside(partial(self._keep_latents, cell, denoised.latents, dict(measured), dict(tags), series))
        decoded, decoded_at = self._decode(replace(spec, placement=placement), denoised.latents)
        if decoded_at != placement:
            tags["cogx.stepped_down"] = f"{spec.placement} to {decoded_at} in decoding: out of the GPU's memory"
        measured |= _peaks([("denoise", denoised.peak), ("decode", decoded.peak)]) | {"decode_s": decoded.decode_s}
        return _Made(decoded.frames, measured, tags, params(spec) | {"placement": placement}, {}, kept)

    def _keep_latents(
        self,
        cell: _Cell,
        latents: torch.Tensor,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        series: Mapping[str, Sequence[float]],
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
            file = Path(folder) / LATENTS
            save_file({"latents": latents.contiguous()}, file)
            self._store.keep_latents(cell.run_id, file, metrics, tags, series)

    def _decode_kept(self, cell: _Cell) -> _Made | None:
        """The latents that an earlier run of the same pixels kept, decoded again; None without one.

        What was measured while they were made is taken over with the device and placement that it was measured on.
        """
        spec = cell.spec
        kept = self._store.find_latents(spec.signature)
        if kept is None:
            return None
        try:
            latents = load_file(self._store.download(kept.info.run_id, LATENTS, cell.folder))["latents"]
        except (CogxError, SafetensorError) as error:
            self._report.note(f"{spec.run_name}: denoised again, since {error}")
            return None
        decoded, _ = self._decode(spec, latents)
        measured = {name: kept.data.metrics[name] for name in _OF_THE_LATENTS if name in kept.data.metrics}
        for name, value in _peaks([("decode", decoded.peak)]).items():
            measured[name] = max(value, measured.get(name, 0))
        tags = _beginning_with(kept.data.tags, _TAGS_OF_THE_LATENTS)
        tags["cogx.latents_from"] = kept.data.tags.get("cogx.latents_from", kept.info.run_id)
        measured["decode_s"] = decoded.decode_s
        measured_on = {name: kept.data.tags[f"cogx.latents.{name}"] for name in ("device", "placement")}
        series = {key: values for key, values in self._store.series(kept).items() if key.startswith("by_step.")}
        return _Made(decoded.frames, measured, tags, params(spec) | measured_on, series)

    def _decode(self, spec: RunSpec, latents: torch.Tensor) -> tuple[Decoded, Placement]:
        """Decode new latents: out of memory, the transformer makes room and nothing is denoised again."""

        def decode_warm(spec: RunSpec) -> Decoded:
            vae = self._loader.warm_vae(self._card(spec), spec)
            self._report.phase("decoding")
            with self._idle.busy():
                return decode(vae, spec, latents)

        return self._within_memory(spec, decode_warm)

    def _card(self, spec: RunSpec) -> ModelCard:
        return self._plan.cards[spec.model_key]


def _known(planned: PlannedRun) -> Outcome | None:
    """The outcome of a cell that is not to be made; None of any other."""
    if planned.action == "done":
        made = planned.decision.finished
        assert made is not None, "a done cell has its finished run"
        return Outcome(planned.spec, "done", made.run_id, made.metrics)
    if planned.action == "failed":
        return Outcome(planned.spec, "failed", error="failed before; --retry-failed tries it again")
    return None


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


def _beginning_with(tags: Mapping[str, str], beginnings: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.startswith(beginnings)}


def _measured_on(params: Mapping[str, str]) -> dict[str, str]:
    """Where a reused run's figures were measured, which is not where this sweep would have run it."""
    return {name: params[name] for name in ("device", "placement")}
