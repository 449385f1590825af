"""A cell of a small model, and the pipeline that makes it."""

from pathlib import Path

from diffusers import CogVideoXPipeline

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.prompts import Prompt
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.generation.pipeline import load_pipeline
from cogx_runs.models.cards import resolve_model
from cogx_runs.planning.cells import resolve_cell, with_loras

TEXT = "A panda plays the guitar in a bamboo forest."


def make_spec(model: Path, **changes: object) -> RunSpec:
    base = Parameters.model_validate({"model": str(model), "num_inference_steps": 3, "num_frames": 9, **changes})
    card = resolve_model(str(model))
    base = with_loras(base, card)
    sweep = Sweep(name="exp", file="exp.yaml", description="", prompts=None, base=base, axes={}, vary="one_at_a_time")
    return resolve_cell(sweep, base, Prompt("p", TEXT, ""), card, "cpu", {})


def load(spec: RunSpec) -> CogVideoXPipeline:
    return load_pipeline(resolve_model(spec.model), spec)
