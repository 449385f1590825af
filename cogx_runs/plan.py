"""Plans: every cell of the sweeps, resolved, with what is to be done for it."""

import hashlib
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from cogx_runs.errors import CogxError, InputError, Mistake
from cogx_runs.hardware import Device
from cogx_runs.memory import Budget, Workload, choose_placement
from cogx_runs.models import ModelCard, resolve_model
from cogx_runs.prompts import Prompt, PromptLibrary
from cogx_runs.sweep import Dtype, Placement, Scheduler, Sweep

Action = Literal["run", "reuse", "done", "failed"]

PIXEL_FIELDS = (
    "model_revision",
    "prompt",
    "negative_prompt",
    "num_inference_steps",
    "guidance_scale",
    "seed",
    "num_frames",
    "height",
    "width",
    "scheduler",
    "use_dynamic_cfg",
    "max_sequence_length",
    "dtype",
    "vae_tiling",
    "compile",
)
"""What changes the pixels."""
SHORT_NAMES = {"num_inference_steps": "steps", "guidance_scale": "guidance", "num_frames": "frames"}
"""Of axes in the names of runs; those of the command line."""
TRIAL = "cogx.trial"
"""The tag with the number of a run's trial in a search, and the beginning of the other tags of that trial."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A cell: one fully resolved configuration, one prompt, one seed, one video."""

    sweep: str
    prompt_name: str
    prompt: str
    negative_prompt: str
    model: str
    model_source: str
    model_revision: str
    num_inference_steps: int
    guidance_scale: float
    num_frames: int
    fps: int
    seed: int
    height: int
    width: int
    scheduler: Scheduler
    use_dynamic_cfg: bool
    max_sequence_length: int
    device: Device
    dtype: Dtype
    vae_tiling: bool
    vae_slicing: bool
    placement: Placement
    compile: bool
    video_quality: float
    clip_model: str
    abort_degenerate: bool
    """Changes no pixel: the run ends early or is as without it."""
    metric_versions: tuple[tuple[str, str], ...] = ()
    """Definition version of each metric that is measured."""
    axes: tuple[str, ...] = ()
    """The parameters that the sweep varies."""

    @cached_property
    def signature(self) -> str:
        """Identity of the pixels: a short SHA-256 over the canonical form of all that changes them."""
        return _digest({name: getattr(self, name) for name in PIXEL_FIELDS})

    @cached_property
    def output_hash(self) -> str:
        """Identity of pixels, file and scores."""
        return output_hash(self.signature, self.fps, self.video_quality, self.clip_model, dict(self.metric_versions))

    @property
    def model_key(self) -> tuple[str, str]:
        """Source and revision, by which a plan keeps the model's card."""
        return self.model_source, self.model_revision

    @property
    def config(self) -> dict[str, Any]:
        """Every resolved parameter, under diffusers' names."""
        return {name: value for name, value in asdict(self).items() if name not in {"sweep", "axes", "metric_versions"}}

    @property
    def run_name(self) -> str:
        """`guidance=6 panda_guitar`: short, and what differs first, since MLflow's UI cuts long names."""
        values = {axis: getattr(self, axis) for axis in self.axes}
        varied = [
            f"{SHORT_NAMES.get(axis, axis)}={str(value).removesuffix('.0')}" if _is_number(value) else str(value)
            for axis, value in values.items()
        ]
        return " ".join([*varied, self.prompt_name])

    @property
    def shape(self) -> tuple[object, ...]:
        """What a denoising step is warmed up, or compiled, for."""
        return self.num_frames, self.height, self.width, self.guidance_scale > 1, self.scheduler

    @property
    def workload(self) -> Workload:
        """What decides how much memory it takes."""
        return Workload(self.dtype, self.num_frames, self.height, self.width, self.guidance_scale > 1, self.vae_tiling)

    @property
    def axis_values(self) -> dict[str, float]:
        """The swept values that are numbers."""
        values = {axis: getattr(self, axis) for axis in self.axes}
        return {axis: float(value) for axis, value in values.items() if _is_number(value)}


def output_hash(
    signature: str, fps: int, video_quality: float, clip_model: str, metric_versions: Mapping[str, str]
) -> str:
    """Identity of pixels, file and scores."""
    return _digest(
        {
            "signature": signature,
            "fps": fps,
            "video_quality": video_quality,
            "clip_model": clip_model,
            "metrics": metric_versions,
        }
    )


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """What a tracking store remembers of one run."""

    run_id: str
    experiment: str
    status: str
    signature: str
    output_hash: str
    start_time_ms: int
    reused_from: str | None
    """The run that this one took its pixels from; None where it made them."""
    beside: str | None
    """What ran on the device at the same time; None where it had the device to itself."""
    device_name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    trial_tags: Mapping[str, str] = field(default_factory=dict)
    """Those of its tags, beginning with TRIAL, that say of which trial of a search it is."""


@dataclass(frozen=True)
class Estimate:
    """What a cell will cost, learned from finished runs."""

    seconds: float | None
    """Wall time of the run's own phases; None where there is nothing to learn it from."""
    peak_vram_gib: float | None
    basis: str
    """What the figures rest on, or why there are none."""


@dataclass(frozen=True)
class Advice:
    """What the model's own rules say of a plan."""

    level: Literal["error", "warning", "note"]
    where: str
    """`file:dotted.path`"""
    message: str


@dataclass(frozen=True)
class Decision:
    """What is to be done for a cell."""

    action: Action
    finished: PastRun | None = None
    """The finished run of a cell that is done."""
    decodes: bool = False
    """Whether a reused cell's kept latents are decoded again, for another file or other scores."""


@dataclass(frozen=True)
class PlannedRun:
    """A cell, what is to be done for it, and what that costs."""

    spec: RunSpec
    decision: Decision
    estimate: Estimate
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of its run, beside those that every run has."""

    @property
    def action(self) -> Action:
        return self.decision.action


@dataclass(frozen=True)
class Conditions:
    """What sweeps are planned under, beside what the tracking store remembers."""

    library: PromptLibrary
    device: str
    """`auto`, `cuda` or `cpu`, as it was asked for."""
    retry_failed: bool = False
    max_vram_gib: float | None = None


@dataclass(frozen=True)
class Plan:
    """The cells of one or more sweeps in execution order."""

    sweeps: tuple[Sweep, ...]
    runs: tuple[PlannedRun, ...]
    advice: tuple[Advice, ...] = ()
    cards: Mapping[tuple[str, str], ModelCard] = field(default_factory=dict)
    """Model cards by source and revision."""
    max_vram_gib: float | None = None
    """What torch may take of the GPU; None for all that is free."""
    conditions: Conditions | None = None
    """By which the later trials of its searches are planned."""
    cells_to_come: int = 0
    """Of trials that only the results of earlier ones will tell."""

    @property
    def searches(self) -> tuple[Sweep, ...]:
        """Those of its sweeps that propose their cells trial by trial."""
        return tuple(sweep for sweep in self.sweeps if sweep.optuna is not None)

    @property
    def errors(self) -> list[Advice]:
        return [advice for advice in self.advice if advice.level == "error"]

    def count(self, action: Action) -> int:
        return sum(run.action == action for run in self.runs)

    def as_dict(self) -> dict[str, Any]:
        """The object that `plan --json` prints."""
        return {
            "runs": [
                {
                    "sweep": run.spec.sweep,
                    "signature": run.spec.signature,
                    "action": run.action,
                    "config": run.spec.config,
                    "estimated_s": run.estimate.seconds,
                    "estimated_vram_gib": run.estimate.peak_vram_gib,
                    "estimate_basis": run.estimate.basis,
                }
                for run in self.runs
            ],
            "advice": [asdict(advice) for advice in self.advice],
        }


def resolve_cells(
    sweeps: Sequence[Sweep],
    library: PromptLibrary,
    device: Device,
    metric_versions: Mapping[str, str],
    budget: Budget | None = None,
) -> tuple[list[RunSpec], dict[tuple[str, str], ModelCard]]:
    """Every cell of the sweeps, resolved, in execution order; one that a sweep names twice appears once.

    Cells of one model come together, so that nothing is loaded or compiled twice; else the order is the files'.

    Placement `auto` becomes one placement for all cells of a model, since another means loading it again: that in
    which the largest of them fits `budget`, `resident` where that is None. Also returns the cards of the models used.
    Raises InputError naming every prompt and model that cannot be had.
    """
    mistakes: list[Mistake] = []
    cards: dict[str, ModelCard] = {}
    specs: list[RunSpec] = []
    for sweep in sweeps:
        try:
            prompts = library.select(sweep.prompts, f"{sweep.file}:prompts")
        except InputError as error:
            mistakes += error.mistakes
            prompts = []
        seen: set[str] = set()
        for parameters in _configurations(sweep):
            key = f"{parameters['model']}@{parameters['revision']}"
            if key not in cards:
                try:
                    cards[key] = resolve_model(parameters["model"], parameters["revision"])
                except CogxError as error:
                    where = sweep.where("model")
                    if not any(mistake.where == where and mistake.message == str(error) for mistake in mistakes):
                        mistakes.append(Mistake(where, str(error)))
                    continue
            for prompt in prompts:
                spec = resolve_cell(sweep, parameters, prompt, cards[key], device, metric_versions)
                if spec.output_hash not in seen:
                    seen.add(spec.output_hash)
                    specs.append(spec)
    if mistakes:
        raise InputError(mistakes)
    by_key = {(card.source, card.revision): card for card in cards.values()}
    return _neighbours(_placed(specs, by_key, budget)), by_key


def resolve_cell(
    sweep: Sweep,
    parameters: Mapping[str, Any],
    prompt: Prompt,
    card: ModelCard,
    device: Device,
    metric_versions: Mapping[str, str],
) -> RunSpec:
    """One cell with every null of its `parameters` replaced by what the model or the device makes of it.

    Placement `auto` stays on a GPU, for `resolve_cells` to choose for all cells together.
    """
    p = parameters
    return RunSpec(
        sweep=sweep.name,
        prompt_name=prompt.name,
        prompt=prompt.text,
        negative_prompt=p["negative_prompt"],
        model=card.name,
        model_source=card.source,
        model_revision=card.revision,
        num_inference_steps=p["num_inference_steps"],
        guidance_scale=p["guidance_scale"],
        num_frames=p["num_frames"],
        fps=p["fps"],
        seed=p["seed"],
        height=p["height"] or card.height,
        width=p["width"] or card.width,
        scheduler=p["scheduler"] or card.scheduler,
        use_dynamic_cfg=p["use_dynamic_cfg"],
        max_sequence_length=card.max_sequence_length,
        device=device,
        dtype=p["dtype"] or (card.dtype if device == "cuda" else "float32"),
        vae_tiling=p["vae_tiling"],
        vae_slicing=p["vae_slicing"],
        placement="resident" if p["placement"] == "auto" and device == "cpu" else p["placement"],
        compile=p["compile"],
        video_quality=p["video_quality"],
        clip_model=resolve_clip(p["clip_model"] or card.clip_model),
        abort_degenerate=p["abort_degenerate"],
        metric_versions=tuple(sorted(metric_versions.items())),
        axes=tuple(sweep.axes),
    )


def _neighbours(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """The cells with those of one loaded model, then of one compiled shape, side by side; groups keep their order."""

    def group(spec: RunSpec) -> list[tuple[object, ...]]:
        loaded = (spec.model_key, spec.device, spec.dtype, spec.placement, spec.compile)
        return [loaded, (*loaded, spec.shape)] if spec.compile else [loaded]

    first: dict[tuple[object, ...], int] = {}
    for number, spec in enumerate(specs):
        for key in group(spec):
            first.setdefault(key, number)
    return sorted(specs, key=lambda spec: [first[key] for key in group(spec)])


def _placed(
    specs: Sequence[RunSpec], cards: Mapping[tuple[str, str], ModelCard], budget: Budget | None
) -> list[RunSpec]:
    """The cells with `auto` replaced by the one placement of all cells of a model in a precision."""
    workloads: dict[tuple[tuple[str, str], Dtype], set[Workload]] = {}
    for spec in specs:
        if spec.placement == "auto":
            workloads.setdefault((spec.model_key, spec.dtype), set()).add(spec.workload)
    chosen: dict[tuple[tuple[str, str], Dtype], Placement] = {
        (key, dtype): "resident" if budget is None else choose_placement(cards[key], alike, budget).placement
        for (key, dtype), alike in workloads.items()
    }
    return [
        replace(spec, placement=chosen[spec.model_key, spec.dtype]) if spec.placement == "auto" else spec
        for spec in specs
    ]


def choose_actions(specs: Sequence[RunSpec], history: Sequence[PastRun], retry_failed: bool = False) -> list[Decision]:
    """What is to be done for each cell, given what the tracking store remembers."""
    finished_here = {(run.experiment, run.output_hash): run for run in history if run.status == "FINISHED"}
    failed_here = {(run.experiment, run.output_hash) for run in history if run.status == "FAILED"}
    outputs = {run.output_hash for run in history if run.status == "FINISHED"}
    pixels = {run.signature for run in history if run.status == "FINISHED"}
    decisions = []
    for spec in specs:
        cell = (spec.sweep, spec.output_hash)
        if cell in finished_here:
            decisions.append(Decision("done", finished=finished_here[cell]))
        elif cell in failed_here and not retry_failed:
            decisions.append(Decision("failed"))
        else:
            known = spec.signature in pixels
            decisions.append(Decision("reuse" if known else "run", decodes=known and spec.output_hash not in outputs))
            pixels.add(spec.signature)
            outputs.add(spec.output_hash)
    return decisions


def _configurations(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """The base with each combination of axis values that `vary` asks for."""
    base = sweep.base.model_dump()
    names, values = list(sweep.axes), list(sweep.axes.values())
    if not names and sweep.vary != "random":
        yield base
    elif sweep.vary == "one_at_a_time":
        for name in names:
            for value in sweep.axes[name]:
                yield {**base, name: value}
    elif sweep.vary == "zip":
        for combination in zip(*values, strict=True):
            yield {**base, **dict(zip(names, combination, strict=True))}
    elif sweep.vary == "grid":
        for combination in itertools.product(*values):
            yield {**base, **dict(zip(names, combination, strict=True))}
    else:
        assert sweep.random is not None, "a sweep file with `vary: random` has its draw"
        grid = list(itertools.product(*values))
        if sweep.random.count > len(grid):
            raise InputError.single(
                f"{sweep.file}:random.count", f"{sweep.random.count} is more than the {len(grid)} cells of the grid"
            )
        for combination in random.Random(sweep.random.seed).sample(grid, sweep.random.count):
            yield {**base, **dict(zip(names, combination, strict=True))}


def resolve_clip(name: str) -> str:
    """A CLIP's folder or checkpoint made absolute; any other name as it is."""
    if name == "toy":
        return name
    architecture, _, weights = name.rpartition(":")
    if not Path(weights).exists():
        return name
    return f"{architecture}:{Path(weights).absolute()}" if architecture else str(Path(weights).absolute())


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
