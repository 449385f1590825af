"""Cells without a model, tracked in the real store, to look at the dashboard with."""

import colorsys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cogx_runs.dashboard.notes import failed_tags, run_tags
from cogx_runs.dashboard.pictures import write_pictures
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.tracking import artifacts
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.record import failure_tags, known_params, params, spec_metrics, write_definition
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import Frames, write_mp4

SIDE_PX = 64


def write_cells(
    store: RunStore,
    name: str,
    prompts: Sequence[str],
    axes: Mapping[str, tuple[Any, ...]],
    *,
    description: str = "",
    finished: int | None = None,
    failing: Mapping[int, str] | None = None,
) -> int:
    """Tracks the first `finished` cells of a grid, by default all of them, and opens the next one; those at the places
    `failing` fail, each with its message. Returns how many cells the grid has."""
    base = Parameters(model="toy", num_frames=17)
    sweep = Sweep(
        name=name, file=f"{name}.yaml", description=description, prompts=tuple(prompts), base=base, axes=dict(axes),
        vary="grid",
    )  # fmt: skip
    specs = resolve_cells([sweep], PromptLibrary.find(), "cpu", {}).specs
    experiment = store.open_experiment(sweep)
    with Claims(store) as claims:
        for place, spec in enumerate(specs[: len(specs) if finished is None else finished + 1]):
            claim = claims.claim(experiment, spec, {})
            assert claim is not None, "no other process is at these cells"
            store.describe(claim.run_id, known_params(spec), spec_metrics(spec))
            if place == finished:
                store.log_step(claim.run_id, spec.num_inference_steps // 2)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    _end(store, claim.run_id, spec, Path(folder), (failing or {}).get(place))
    return len(specs)


def _end(store: RunStore, run_id: str, spec: RunSpec, folder: Path, failure: str | None) -> None:
    write_definition(spec, folder)
    if failure is not None:
        error = CogxError(failure)
        (folder / artifacts.TRACEBACK).write_text(f"{failure}\n")
        about = failure_tags(error) | failed_tags(spec, error)
        store.finish(run_id, folder, params(spec), spec_metrics(spec), about, RunState.FAILED)
        return
    frames = scene(spec)
    write_mp4(frames, folder / artifacts.VIDEO, spec.fps)
    write_pictures(frames, spec.fps, folder)
    score = 32 - 25 / spec.num_inference_steps - abs(spec.guidance_scale - 6) / 4 + spec.seed % 7 / 7
    seconds = spec.num_inference_steps * (2 if spec.is_guided else 1) * spec.num_frames / 1000
    metrics = {"clip_score": score, "wall_time_s": seconds, "step_s": seconds / spec.num_inference_steps,
               "file_size_bytes": float((folder / artifacts.VIDEO).stat().st_size)} | spec_metrics(spec)  # fmt: skip
    store.finish(run_id, folder, params(spec), metrics, run_tags(spec, run_id, folder, metrics, {}))


def scene(spec: RunSpec) -> Frames:
    """A ball that crosses a dusk: its colour is the prompt's, its way the seed's, noise falls with the steps, contrast
    rises with guidance."""
    across, down = np.meshgrid(np.linspace(-1, 1, SIDE_PX), np.linspace(-1, 1, SIDE_PX))
    random = np.random.default_rng(spec.seed)
    hue = sum(map(ord, spec.prompt_name)) % 7 / 7
    ball, sky = (np.array(colorsys.hsv_to_rgb(at % 1, 0.7, light)) for at, light in ((hue, 0.95), (hue + 0.55, 0.45)))
    slope, noise = random.uniform(-0.5, 0.5), 0.2 / spec.num_inference_steps
    frames = []
    for moment in np.linspace(-0.7, 0.7, spec.num_frames):
        distance = np.hypot(across - moment, down - slope * moment)
        cover = np.clip((0.34 - distance) * 12, 0, 1)[..., None]
        picture = ball * cover + sky * (1 - cover) * (0.75 - 0.35 * down[..., None])
        picture = 0.45 + (picture - 0.45) * (0.5 + min(spec.guidance_scale, 12) / 12)
        frames.append(picture + random.normal(0, noise, picture.shape))
    levels: Frames = np.clip(255 * np.stack(frames), 0, 255).astype(np.uint8)
    return levels
