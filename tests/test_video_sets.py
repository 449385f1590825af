"""Sets of real videos, of a sweep of a tiny model, compared by its CLIP."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import cogx_runs
from cogx_runs.errors import CogxError

if TYPE_CHECKING:
    from click.testing import Result


def test_the_videos_of_a_sweep_are_compared_with_those_at_the_baseline(
    invoke: "Callable[..., Result]", project: Path
) -> None:
    file = project / "guidance.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**content, "prompts": "all"}), encoding="utf-8")
    swept = invoke("sweep", "guidance.yaml", "--device", "cpu")
    assert swept.exit_code == 0, swept.output
    runs = cogx_runs.load_runs("exp_guidance")

    found = cogx_runs.compare_sets(runs, "guidance_scale")

    assert found[["value", "baseline", "videos"]].values.tolist() == [[1, 6, 2]]
    assert 0 < found["p"][0] <= 1
    with pytest.raises(CogxError, match=r"no value has two videos with their pairs at 6"):
        cogx_runs.compare_sets(runs[runs["params.prompt_name"] == "cat"], "guidance_scale")
    with pytest.raises(CogxError, match=r"several runs of .*, seed 42 at [16].*; filter"):
        cogx_runs.compare_sets(runs.assign(**{"params.prompt_name": "cat"}), "guidance_scale")
    mixed = runs.assign(**{"params.model_revision": ["old" if place else "new" for place in range(len(runs))]})
    with pytest.raises(CogxError, match=r"the sets: runs of 2 values of model_revision \(new, old\) are not averaged"):
        cogx_runs.compare_sets(mixed, "guidance_scale")
