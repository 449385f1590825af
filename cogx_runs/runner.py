"""Takes a plan through generation, metrics and tracking, cell by cell, and goes on after a failure."""

import errno
import shlex
import shutil
import tempfile
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from safetensors.torch import load_file, save_file

from cogx_runs.errors import CogxError, WeightsUnavailableError
from cogx_runs.generation.generate import Generation, decode_stored, generate, warm_up
from cogx_runs.generation.pipeline import PipelineKey, load_pipeline, load_vae
from cogx_runs.hardware import GIB
from cogx_runs.metrics.clip import ClipScore, ClipScorer
from cogx_runs.models import HUB_MODELS, ModelCard
from cogx_runs.outcomes import Outcome, Reporter
from cogx_runs.plan import Plan, PlannedRun, RunSpec
from cogx_runs.sweep import Parameters
from cogx_runs.tracking.provenance import provenance
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import contact_sheet, write_mp4
from cogx_runs.weights import weights_sha256

if TYPE_CHECKING:
    from diffusers import CogVideoXPipeline

_TAKEN_OVER = ("cogx.env.", "cogx.noise_sha256", "cogx.clip.")
"""Tags that go with the pixels and their scores when a cell is reused."""
_KEPT_ARTIFACTS = ("video.mp4", "contact_sheet.png", "latents.safetensors")
"""Artifacts that a reused cell takes over."""
FREE_DISK_GIB = 0.25
"""Below this much free space no further cell is begun."""


class DiskFullError(CogxError):
    """The disk is full: no further cell can be kept, and the sweep ends."""


class Runner:
    """Runs cells on one pipeline at a time and tracks them."""

    def __init__(self, plan: Plan, store: RunStore, reporter: Reporter) -> None:
        self._plan = plan
        self._store = store
        self._report = reporter
        self._loaded: tuple[PipelineKey, CogVideoXPipeline] | None = None
        self._weights_sha256: str | None = None
        self._scorers: dict[str, ClipScorer | WeightsUnavailableError] = {}

    def run(self, fail_fast: bool = False) -> list[Outcome]:
        """Bring every cell of the plan to its end.

        A cell that fails is tracked as FAILED with its traceback and the next one begins, unless `fail_fast`.
        KeyboardInterrupt ends the cell at work as KILLED and passes on. Raises CogxError where no cell can run.
        """
        experiments = {sweep.name: self._store.open_experiment(sweep) for sweep in self._plan.sweeps}
        buried = self._store.bury_dead(list(experiments.values()))
        if buried:
            self._report.note(f"{buried} run{'s' * (buried > 1)} of a process that died marked as KILLED")
        todo = [planned for planned in self._plan.runs if planned.action in {"run", "reuse"}]
        self._prepare(todo)
        outcomes = []
        stopped = False
        for planned in self._plan.runs:
            if planned.action == "done":
                assert planned.finished is not None, "a done cell has its finished run"
                outcomes.append(Outcome(planned.spec, "done", planned.finished.run_id, planned.finished.metrics))
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
            self._pipeline(first)

    def _run_cell(self, spec: RunSpec, experiment_id: str) -> Outcome:
        tags = provenance(spec.device) | {"cogx.command": command(spec)}
        run_id = self._store.claim(experiment_id, spec, tags)
        if run_id is None:
            return Outcome(spec, "elsewhere", error="finished or being run by another process")
        with tempfile.TemporaryDirectory(prefix="cogx-runs-") as name:
            folder = Path(name)
            try:
                _check_disk(folder)
                _write_definition(spec, folder)
                return self._adopt(spec, run_id, folder) or self._make(spec, run_id, folder)
            except (KeyboardInterrupt, DiskFullError):
                self._store.kill(run_id)
                raise
            except Exception as error:
                if _is_disk_full(error):
                    # The run stays open: ending it needs the disk too. The next start finds its process gone.
                    raise DiskFullError("no space left on the disk; free some and start again") from error
                (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
                self._store.finish(run_id, folder, params(spec), spec_metrics(spec), {}, status="FAILED")
                return Outcome(spec, "failed", run_id, error=str(error).strip().split("\n")[0] or type(error).__name__)

    def _adopt(self, spec: RunSpec, run_id: str, folder: Path) -> Outcome | None:
        """Finish a cell with all that a finished run of it elsewhere has; None where there is no such run."""
        made = self._store.find_finished(output_hash=spec.output_hash)
        if made is None:
            return None
        self._report.phase("taking over")
        kept = folder / "kept"
        kept.mkdir()
        try:
            for name in _KEPT_ARTIFACTS:
                self._store.download(made.info.run_id, name, kept)
        except CogxError as error:
            self._report.note(f"{spec.run_name}: made again, since {error}")
            return None
        for name in ("prompt.txt", "config.yaml"):
            shutil.copy(folder / name, kept / name)
        metrics = {key: value for key, value in made.data.metrics.items() if not key.startswith("axis.")}
        metrics |= spec_metrics(spec)
        tags = {key: value for key, value in made.data.tags.items() if key.startswith(_TAKEN_OVER)}
        tags["cogx.reused_from"] = made.data.tags.get("cogx.reused_from", made.info.run_id)
        self._store.finish(run_id, kept, params(spec), metrics, tags)
        return Outcome(spec, "reused", run_id, metrics)

    def _make(self, spec: RunSpec, run_id: str, folder: Path) -> Outcome:
        """Generate a cell, or decode the latents that a run of the same signature kept, and track it."""
        generation, tags = self._decode_kept(spec, folder) or self._generate(spec)
        save_file({"latents": generation.latents.contiguous()}, folder / "latents.safetensors")
        self._report.phase("encoding video")
        start = time.perf_counter()
        write_mp4(generation.frames, folder / "video.mp4", spec.fps, spec.video_quality)
        encode_video_s = time.perf_counter() - start
        contact_sheet(generation.frames).save(folder / "contact_sheet.png")
        metrics = _measured(generation, encode_video_s, (folder / "video.mp4").stat().st_size) | spec_metrics(spec)
        scorer = self._scorers[spec.clip_model]
        if isinstance(scorer, ClipScorer):
            self._report.phase("scoring")
            score = scorer.score(generation.frames, spec.prompt)
            metrics["clip_score"] = score.value
            tags |= clip_tags(score)
        else:
            tags["cogx.clip.missing"] = str(scorer)
        self._store.finish(run_id, folder, params(spec), metrics, tags)
        return Outcome(spec, "finished", run_id, metrics)

    def _generate(self, spec: RunSpec) -> tuple[Generation, dict[str, str]]:
        """A new generation, and the tags that tell what it was made from."""
        pipe = self._pipeline(spec)
        self._report.phase("denoising")
        generation = generate(pipe, spec, self._report.step)
        tags = {"cogx.noise_sha256": str(generation.noise_sha256)}
        if self._weights_sha256 is not None:
            tags["cogx.env.model_weights_sha256"] = self._weights_sha256
        return generation, tags

    def _decode_kept(self, spec: RunSpec, folder: Path) -> tuple[Generation, dict[str, str]] | None:
        """The generation of a finished run with the same pixels, its latents decoded again; None without one."""
        kept = self._store.find_finished(signature=spec.signature)
        if kept is None:
            return None
        try:
            latents = load_file(self._store.download(kept.info.run_id, "latents.safetensors", folder))["latents"]
        except CogxError as error:
            self._report.note(f"{spec.run_name}: denoised again, since {error}")
            return None
        self._report.phase("decoding kept latents")
        vae = load_vae(self._card(spec), spec.dtype, spec.device)
        measured = {name: kept.data.metrics[name] for name in ("encode_text_s", "denoise_s", "step_s")}
        tags = {key: value for key, value in kept.data.tags.items() if key.startswith(_TAKEN_OVER[:2])}
        return replace(decode_stored(vae, spec, latents), **measured), tags | {"cogx.latents_from": kept.info.run_id}

    def _pipeline(self, spec: RunSpec) -> "CogVideoXPipeline":
        """The pipeline of a cell: the loaded one where it fits, else another in its place, warmed up."""
        key = PipelineKey.of(spec)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = self._weights_sha256 = None
            self._report.phase(f"loading {spec.model}")
            pipe = load_pipeline(self._card(spec), key)
            if self._card(spec).is_local:
                self._report.phase("hashing the weights (once)")
                self._weights_sha256 = weights_sha256(Path(spec.model_source))
            self._report.phase("warming up")
            warm_up(pipe, spec)
            self._loaded = (key, pipe)
        return self._loaded[1]

    def _card(self, spec: RunSpec) -> ModelCard:
        return self._plan.cards[spec.model_key]


def params(spec: RunSpec) -> dict[str, Any]:
    """What is logged as a run's parameters: all of them as resolved; the prompt is a tag and an artifact."""
    return {name: value for name, value in spec.config.items() if name != "prompt"}


def spec_metrics(spec: RunSpec) -> dict[str, float]:
    """Each swept number again as a metric, by which MLflow's UI can sort."""
    return {f"axis.{axis}": value for axis, value in spec.axis_values.items()}


def clip_tags(score: ClipScore) -> dict[str, str]:
    """What a CLIP score depends on, kept with it."""
    return {f"cogx.clip.{name}": str(value) for name, value in asdict(score).items() if name != "value"}


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
    for flag, value in short.items():
        parts += [flag, str(value)]
    for name in Parameters.model_fields:
        if name in given or (name == "revision" and Path(spec.model_source).is_absolute()):
            continue
        value = spec.model_revision if name == "revision" else getattr(spec, name)
        if value != Parameters.model_fields[name].default:
            parts += ["--set", f"{name}={yaml.safe_dump(value, default_flow_style=True, width=10**6).splitlines()[0]}"]
    return shlex.join(parts)


def _measured(generation: Generation, encode_video_s: float, file_size_bytes: int) -> dict[str, float]:
    g = generation
    values: dict[str, float | None] = {
        "wall_time_s": g.encode_text_s + g.denoise_s + g.decode_s + encode_video_s,
        "encode_text_s": g.encode_text_s,
        "denoise_s": g.denoise_s,
        "step_s": g.step_s,
        "decode_s": g.decode_s,
        "encode_video_s": encode_video_s,
        "peak_vram_gib": g.peak_vram_gib,
        "peak_vram_reserved_gib": g.peak_vram_reserved_gib,
        "peak_ram_gib": g.peak_ram_gib,
        "file_size_bytes": file_size_bytes,
    }
    return {name: float(value) for name, value in values.items() if value is not None}


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
            raise DiskFullError(f"{free:.2f} GiB left on the disk of {place}; free some and start again")


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that of a full disk: the system's, SQLite's or ffmpeg's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if any(text in str(error) for text in ("No space left on device", "database or disk is full")):
            return True
        error = error.__cause__ or error.__context__
    return False
