"""Finished and failed runs for the tests of reports: real ones in the store, with small real videos."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.tracking.record import params, spec_metrics
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import contact_sheet, write_mp4
from tests.support.claims import claim
from tests.support.specs import SPEC

SMALL = SPEC.replace(height=32, width=48, num_frames=9, device="cpu", placement="resident", model="toy")


def sweep_of(spec: RunSpec) -> Sweep:
    return Sweep(
        name=spec.sweep, file=f"{spec.sweep}.yaml", description="Why <b>so</b>?", prompts=(spec.prompt_name,),
        base=Parameters(), axes={axis: (getattr(spec, axis),) for axis in spec.axes},
        vary="one_at_a_time",
    )  # fmt: skip


def make_run(
    store: RunStore,
    spec: RunSpec,
    *,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    error: str | None = None,
) -> str:
    """A run of this cell that finished or, with `error`, failed of it. Returns its id."""
    run_id = claim(store, store.open_experiment(sweep_of(spec)), spec, {"cogx.env.device_name": "A chip"})
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        measured = {"clip_score": 30.0, "wall_time_s": 10.0, "file_size_bytes": 5000.0, **(metrics or {})}
        if error is None:
            for name, content in _video(spec.num_frames, spec.fps).items():
                (folder / name).write_bytes(content)
        else:
            (folder / "traceback.txt").write_text(error, encoding="utf-8")
            measured = {}
        logged: dict[str, Any] = {key: value for key, value in params(spec).items() if value is not None}
        store.finish(
            run_id, folder, logged, {**measured, **spec_metrics(spec)}, dict(tags or {}),
            status=RunState.FINISHED if error is None else RunState.FAILED,
        )  # fmt: skip
    return run_id


def make_axis(store: RunStore, axis: str, values: Sequence[Any], spec: RunSpec = SMALL, **given: Any) -> list[str]:
    """A finished run of each value."""
    return [make_run(store, spec.replace(axes=(axis,), **{axis: value}), **given) for value in values]


@cache
def _video(num_frames: int, fps: int) -> dict[str, bytes]:
    frames = np.zeros((num_frames, 32, 48, 3), dtype=np.uint8)
    frames += np.linspace(0, 255, num_frames).astype(np.uint8)[:, None, None, None]
    with TemporaryDirectory() as temporary:
        write_mp4(frames, Path(temporary) / "video.mp4", fps)
        contact_sheet(frames).save(Path(temporary) / "contact_sheet.png")
        return {path.name: path.read_bytes() for path in Path(temporary).iterdir()}
