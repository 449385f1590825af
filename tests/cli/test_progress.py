"""Progress as plain lines: each names its cell, also where a video ends after the next has begun."""

from io import StringIO

import pytest
from rich.console import Console

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


def test_each_of_several_workers_has_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(Plan((), ())) as progress:
        for name in ("worker 1", "worker 2"):
            worker = progress.of_worker(name)
            worker.cell_started(f"seed={name[-1]}", 50)
            worker.phase("denoising")
            worker.step(1, 50)

    assert capsys.readouterr().err.splitlines() == ["worker 1: seed=1", "worker 2: seed=2"]


def test_on_a_terminal_each_of_several_workers_has_a_bar_with_its_cell_below_the_sweeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr("cogx_runs.cli.progress.stderr", lambda: console)
    runs = (PlannedRun(SPEC, Decision(Action.RUN), Estimate(None, None, "")),)

    with show_progress(Plan((), runs)) as progress:
        for name in ("worker 1", "worker 2"):
            worker = progress.of_worker(name)
            worker.cell_started(f"seed={name[-1]}", 50)
            worker.phase("denoising")
            worker.step(7, 50)
        shown = Console(width=100, record=True, file=StringIO())
        shown.print(progress._progress.get_renderable())  # type: ignore[attr-defined]

    lines = shown.export_text().splitlines()
    assert [line.split("  ")[0].split(" \u2501")[0].strip() for line in lines] == [
        "sweep", "worker 1: seed=1 denoising", "worker 2: seed=2 denoising",
    ]  # fmt: skip
    assert " 7/50" in lines[1]
