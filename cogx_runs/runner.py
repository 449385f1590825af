"""Takes a plan through generation, metrics and tracking, cell by cell, and goes on after a failure."""

import errno
import json
import shlex
import shutil
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from cogx_runs.errors import CogxError, WeightsUnavailableError
from cogx_runs.generation.generate import decode_stored, generate
from cogx_runs.generation.loader import Loader
from cogx_runs.hardware import GIB, Device
from cogx_runs.metrics.clip import ClipScore, ClipScorer
from cogx_runs.models import HUB_MODELS, ModelCard
from cogx_runs.outcomes import Outcome, Reporter
from cogx_runs.plan import Plan, PlannedRun, RunSpec
from cogx_runs.sweep import Parameters
from cogx_runs.tracking.provenance import provenance
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import Frames, contact_sheet, write_mp4

PHASES = ("encode_text_s", "denoise_s", "decode_s", "encode_video_s")
"""The phases of a run; its `wall_time_s` is their sum."""
_MEASURED = (
    *PHASES[:3], "step_s", "peak_vram_gib", "peak_vram_reserved_gib", "peak_ram_gib",
)  # fmt: skip
"""Metrics that are measured while latents become frames; named as in a `Generation`."""
_OF_THE_PIXELS = ("cogx.env.", "cogx.noise_sha256", "cogx.beside")
_OF_THE_SCORES = ("cogx.clip_score.",)
"""Beginnings of the tags that go with pixels and scores when a cell is reused."""
WAIT_S = 1.0
_KEPT_ARTIFACTS = ("video.mp4", "contact_sheet.png", "latents.safetensors")
"""Artifacts that a reused cell takes over."""
FREE_DISK_GIB = 0.25
"""Below this much free space no further cell is begun."""


@dataclass(frozen=True)
class _Made:
    """The pixels of a cell, however they were come by."""

    latents: torch.Tensor
    frames: Frames
    measured: dict[str, float]
    """The metrics in `_MEASURED` that are known."""
    tags: dict[str, str]
    """What they were made from."""
    params: dict[str, Any]


class Runner:
    """Runs cells on one pipeline at a time and tracks them."""

    def __init__(self, plan: Plan, store: RunStore, reporter: Reporter) -> None:
        self._plan = plan
        self._store = store
        self._report = reporter
        self._loader = Loader(reporter.phase)
        self._provenance: dict[Device, dict[str, str]] = {}
        self._scorers: dict[str, ClipScorer | WeightsUnavailableError] = {}

    def run(self, fail_fast: bool = False) -> list[Outcome]:
        """Bring every cell of the plan to its end.

        A cell that fails is tracked as FAILED with its traceback and the next one begins, unless `fail_fast`.
        KeyboardInterrupt ends the cell at work as KILLED and passes on. Raises CogxError where no cell can run.
        """
        todo = [planned for planned in self._plan.runs if planned.action in {"run", "reuse"}]
        self._prepare(todo)
        experiments = {sweep.name: self._store.open_experiment(sweep) for sweep in self._plan.sweeps}
        buried = self._store.bury_dead(list(experiments.values()))
        if buried:
            self._report.note(f"{buried} run{'s' * (buried > 1)} of a process that died marked as KILLED")
        outcomes = []
        stopped = False
        for planned in self._plan.runs:
            if planned.action == "done":
                made = planned.decision.finished
                assert made is not None, "a done cell has its finished run"
                outcomes.append(Outcome(planned.spec, "done", made.run_id, made.metrics))
                continue
            if planned.action == "failed":
                outcomes.append(Outcome(planned.spec, "failed", error="failed before; --retry-failed tries it again"))
                continue
            if stopped:
                outcomes.append(Outcome(planned.spec, "skipped"))
                continue
            self._report.run_started(planned.spec)
            outcome = self._run_cell(planned.spec, experiments[planned.spec.sweep])
            self._report.run_ended(outcome)
            outcomes.append(outcome)
            stopped = fail_fast and outcome.status == "failed"
        return outcomes

    def _prepare(self, todo: list[PlannedRun]) -> None:
        """Find out what can be known before the first cell, and load what it needs."""
        if not todo:
            return
        self._store.check_writable()
        _check_disk(Path(tempfile.gettempdir()))
        for clip_model in dict.fromkeys(planned.spec.clip_model for planned in todo):
            self._report.phase(f"loading CLIP {clip_model}")
            try:
                self._scorers[clip_model] = ClipScorer(clip_model)
            except WeightsUnavailableError as error:
                self._scorers[clip_model] = error
                self._report.note(
                    f"no CLIP score: {error}; the runs finish without it, and `cogx-runs rescore` adds it later"
                )
        first = next((planned.spec for planned in todo if planned.action == "run"), None)
        if first is not None:
            self._loader.load(self._card(first), first)
        self._provenance = {device: provenance(device) for device in {planned.spec.device for planned in todo}}

    def _run_cell(self, spec: RunSpec, experiment_id: str) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="cogx-runs-") as name:
            folder = Path(name)
            _check_disk(folder)
            tags = self._provenance[spec.device] | {
                "cogx.command": command(spec),
                "cogx.env.model": f"{spec.model_source}@{spec.model_revision}",
            }
            run_id = None
            try:
                run_id = self._store.claim(experiment_id, spec, tags)
                if run_id is None:
                    return Outcome(spec, "elsewhere", error="finished or being run by another process")
                _write_definition(spec, folder)
                self._wait_for_others(run_id)
                return self._adopt(spec, run_id, folder) or self._make(spec, run_id, folder)
            except KeyboardInterrupt:
                if run_id is not None:
                    self._store.kill(run_id)
                raise
            except Exception as error:
                if _is_disk_full(error):
                    if run_id is not None:
                        self._store.abandon(run_id)  # ending it would need the disk too
                    raise CogxError("no space left on the disk; free some and start again") from error
                if run_id is None:
                    raise
                (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
                self._store.finish(run_id, folder, params(spec), spec_metrics(spec), {}, status="FAILED")
                return Outcome(spec, "failed", run_id, error=str(error).strip().split("\n")[0] or type(error).__name__)

    def _wait_for_others(self, run_id: str) -> None:
        """Let a sweep of another process finish the same pixels, so that they can be taken over."""
        while self._store.is_being_made(run_id):
            self._report.phase("waiting for another sweep that makes the same video")
            time.sleep(WAIT_S)

    def _adopt(self, spec: RunSpec, run_id: str, folder: Path) -> Outcome | None:
        """Finish a cell with all that a finished run of it elsewhere has; None where there is no such run."""
        made = self._store.find_finished(output_hash=spec.output_hash)
        if made is None:
            return None
        self._report.phase("taking over")
        try:
            for name in _KEPT_ARTIFACTS:
                self._store.download(made.info.run_id, name, folder)
        except CogxError as error:
            self._report.note(f"{spec.run_name}: made again, since {error}")
            return None
        metrics = {key: value for key, value in made.data.metrics.items() if not key.startswith("axis.")}
        metrics |= spec_metrics(spec)
        tags = {key: value for key, value in made.data.tags.items() if key.startswith(_OF_THE_PIXELS + _OF_THE_SCORES)}
        tags["cogx.reused_from"] = made.data.tags.get("cogx.reused_from", made.info.run_id)
        self._store.finish(run_id, folder, params(spec) | _measured_on(made.data.params), metrics, tags)
        return Outcome(spec, "reused", run_id, metrics)

    def _make(self, spec: RunSpec, run_id: str, folder: Path) -> Outcome:
        """Generate a cell, or decode the latents that a run of the same signature kept, and track it."""
        made = self._decode_kept(spec, folder) or self._generate(spec)
        save_file({"latents": made.latents.contiguous()}, folder / "latents.safetensors")
        self._report.phase("encoding video")
        start = time.perf_counter()
        write_mp4(made.frames, folder / "video.mp4", spec.fps, spec.video_quality)
        measured = made.measured | {"encode_video_s": time.perf_counter() - start}
        contact_sheet(made.frames).save(folder / "contact_sheet.png")
        metrics = measured | spec_metrics(spec)
        metrics["wall_time_s"] = sum(measured[phase] for phase in PHASES)
        metrics["file_size_bytes"] = (folder / "video.mp4").stat().st_size
        tags = made.tags
        scorer = self._scorers[spec.clip_model]
        if isinstance(scorer, ClipScorer):
            self._report.phase("scoring")
            score = scorer.score(made.frames, spec.prompt)
            metrics["clip_score"] = score.value
            tags = tags | score_tags("clip_score", score)
        else:
            tags = tags | {"cogx.clip_score.missing": str(scorer)}
        self._store.finish(run_id, folder, made.params, metrics, tags)
        return Outcome(spec, "finished", run_id, metrics)

    def _generate(self, spec: RunSpec) -> _Made:
        """A new generation."""
        pipe = self._loader.warm_pipeline(self._card(spec), spec)
        self._report.phase("denoising")
        device = self._provenance[spec.device]["cogx.env.device_name"]
        beside = self._store.works_beside(device)
        made = generate(pipe, spec, self._report.step)
        tags = {"cogx.noise_sha256": made.noise_sha256}
        if beside or self._store.works_beside(device):
            self._report.note(f"{spec.run_name}: another sweep used {device} meanwhile; the timings are not its own")
            tags["cogx.beside"] = "another sweep"
        if self._loader.weights_sha256 is not None:
            tags["cogx.env.model_weights_sha256"] = self._loader.weights_sha256
        measured = {name: value for name in _MEASURED if (value := getattr(made, name)) is not None}
        return _Made(made.latents, made.frames, measured, tags, params(spec))

    def _decode_kept(self, spec: RunSpec, folder: Path) -> _Made | None:
        """The latents of a finished run with the same pixels, decoded again; None without one.

        What was measured while they were made is taken over with the device and placement that it was measured on.
        """
        kept = self._store.find_finished(signature=spec.signature)
        if kept is None:
            return None
        try:
            latents = load_file(self._store.download(kept.info.run_id, "latents.safetensors", folder))["latents"]
        except CogxError as error:
            self._report.note(f"{spec.run_name}: denoised again, since {error}")
            return None
        vae = self._loader.warm_vae(self._card(spec), spec)
        self._report.phase("decoding kept latents")
        decoding = decode_stored(vae, spec, latents)
        measured = {name: kept.data.metrics[name] for name in _MEASURED if name in kept.data.metrics}
        tags = {key: value for key, value in kept.data.tags.items() if key.startswith(_OF_THE_PIXELS)}
        tags["cogx.latents_from"] = kept.info.run_id
        measured["decode_s"] = decoding.decode_s
        return _Made(latents, decoding.frames, measured, tags, params(spec) | _measured_on(kept.data.params))

    def _card(self, spec: RunSpec) -> ModelCard:
        return self._plan.cards[spec.model_key]


def params(spec: RunSpec) -> dict[str, Any]:
    """What is logged as a run's parameters: all of them as resolved; the prompt is a tag and an artifact."""
    return {name: value for name, value in spec.config.items() if name != "prompt"}


def spec_metrics(spec: RunSpec) -> dict[str, float]:
    """Each swept number again as a metric, by which MLflow's UI can sort."""
    return {f"axis.{axis}": value for axis, value in spec.axis_values.items()}


def score_tags(metric: str, score: ClipScore) -> dict[str, str]:
    """What the value of a CLIP score depends on, kept with it."""
    return {f"cogx.{metric}.{name}": str(value) for name, value in asdict(score).items() if name != "value"}


def command(spec: RunSpec) -> str:
    """The command line that makes this cell again, with nothing left to a default."""
    short = {
        "--model": spec.model if spec.model in HUB_MODELS else spec.model_source,
        "--steps": spec.num_inference_steps,
        "--guidance": repr(spec.guidance_scale).removesuffix(".0"),
        "--frames": spec.num_frames,
        "--fps": spec.fps,
        "--seed": spec.seed,
        "--device": spec.device,
    }
    given = {"model", "num_inference_steps", "guidance_scale", "num_frames", "fps", "seed"}
    parts = ["cogx-runs", "generate", spec.prompt]
    if " " not in spec.prompt:
        parts.append("--as-text")
    for flag, value in short.items():
        parts += [flag, str(value)]
    for name in Parameters.model_fields:
        if name in given or (name == "revision" and spec.model not in HUB_MODELS):
            continue
        value = spec.model_revision if name == "revision" else getattr(spec, name)
        if value != Parameters.model_fields[name].default:
            parts += ["--set", f"{name}={json.dumps(value)}"]
    return shlex.join(parts)


def _measured_on(params: Mapping[str, str]) -> dict[str, str]:
    """Where a reused run's figures were measured, which is not where this sweep would have run it."""
    return {name: params[name] for name in ("device", "placement")}


def _write_definition(spec: RunSpec, folder: Path) -> None:
    (folder / "prompt.txt").write_text(spec.prompt + "\n", encoding="utf-8")
    definition = {"sweep": spec.sweep, "axes": list(spec.axes), "signature": spec.signature, **spec.config}
    (folder / "config.yaml").write_text(
        yaml.safe_dump(definition, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )


def _check_disk(folder: Path) -> None:
    for place in (folder, Path.cwd()):
        free = shutil.disk_usage(place).free / GIB
        if free < FREE_DISK_GIB:
            raise CogxError(f"{free:.2f} GiB left on the disk of {place}; free some and start again")


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that of a full disk: the system's, SQLite's or ffmpeg's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if any(text in str(error) for text in ("No space left on device", "database or disk is full")):
            return True
        error = error.__cause__ or error.__context__
    return False
