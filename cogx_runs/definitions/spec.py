"""Cells, fully resolved, and what identifies their pixels, files and scores."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from cogx_runs.definitions.sweep import Dtype, Placement, Scheduler
from cogx_runs.formatting import write_exact
from cogx_runs.system.hardware import Device

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


@dataclass(frozen=True)
class Workload:
    """What of a cell decides how much memory it takes."""

    dtype: Dtype
    num_frames: int
    height: int
    width: int
    guided: bool
    vae_tiling: bool


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
            f"{SHORT_NAMES.get(axis, axis)}={write_exact(value)}" if _is_number(value) else str(value)
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


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
