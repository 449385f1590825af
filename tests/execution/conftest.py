"""The plan that the runner is tested on."""

from pathlib import Path

import pytest
import yaml

from cogx_runs import plan_sweeps
from cogx_runs.planning.plan import Plan


@pytest.fixture
def plan(project: Path, tiny_model: Path, tiny_clip: Path) -> Plan:
    """Four cells of one prompt."""
    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")
    content = {
        "name": "exp",
        "prompts": ["panda"],
        "base": {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9},
        "axes": {"seed": [1, 2, 3, 4]},
    }
    (project / "seed.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return plan_sweeps(["seed.yaml"], device="cpu")
