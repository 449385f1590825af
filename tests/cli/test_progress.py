"""Progress as plain lines: each names its cell, also where a video ends after the next has begun."""

import pytest

from cogx_runs.cli.progress import show_progress
from cogx_runs.planning.actions import Action, Decision
from cogx_runs.planning.plan import Estimate, Plan, PlannedRun
from tests.support.specs import SPEC


def test_a_video_that_ends_after_the_next_has_begun_is_named_in_its_own_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    specs = [SPEC.replace(seed=seed, axes=("seed",)) for seed in (1, 2)]
    runs = tuple(PlannedRun(spec, Decision(Action.RUN), Estimate(None, None, "")) for spec in specs)

    with show_progress(Plan((), runs)) as progress:
        for spec in specs:
            progress.cell_started(spec.run_name, spec.num_inference_steps)
        progress.cell_ended(specs[0].run_name, "failed", "broken")
        progress.cell_ended(specs[1].run_name, "finished")

    first, second, third, fourth = capsys.readouterr().err.splitlines()
    assert (first, second) == ("[1/2] seed=1 panda", "[2/2] seed=2 panda")
    assert third.startswith("1 of 2 ended, seed=1 panda: failed: broken; 0 s gone")
    assert fourth.startswith("2 of 2 ended, seed=2 panda: finished; 0 s gone, about 0 s left")
