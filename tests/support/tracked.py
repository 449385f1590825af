"""A cell, a sweep and a finished run for the tests of the store."""

from pathlib import Path

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.tracking.store import RunStore
from tests.support import specs

SPEC = specs.SPEC.replace(prompt="A panda plays.")
SWEEP = Sweep(
    name="exp", file="exp.yaml", description="Why.", prompts=("panda",), base=Parameters(), axes={},
    vary="one_at_a_time",
)  # fmt: skip


def finish(store: RunStore, run_id: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "video.mp4").write_bytes(b"video")
    store.finish(run_id, folder, {"seed": 42}, {"clip_score": 30.0}, {"cogx.clip_score.model": "tiny"})
