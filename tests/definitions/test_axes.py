"""Axes that are tied together, and seeds that are counted."""

from pathlib import Path

import pytest

from cogx_runs.definitions.sweep import load_sweeps
from tests.support.planning import resolve, values_of
from tests.support.sweep_files import mistakes_in, write

TIED = "axes:\n  guidance_scale: [1, 6]\n  size: {zip: {width: [480, 720, 720], height: [320, 480, 320]}}\n"


def test_tied_axes_of_a_grid_take_their_values_together(tmp_path: Path) -> None:
    (sweep,) = load_sweeps([write(tmp_path / "a.yaml", f"name: a\nprompts: [p]\nvary: grid\n{TIED}")])

    assert sweep.configurations == 6
    assert values_of(resolve(sweep), "guidance_scale", "width", "height") == [
        (guidance, width, height) for guidance in (1, 6) for width, height in ((480, 320), (720, 480), (720, 320))
    ]
    assert sweep.where("width") == f"{tmp_path}/a.yaml:axes.size.zip.width"


def test_tied_axes_are_one_axis_where_each_is_varied_by_itself(tmp_path: Path) -> None:
    (sweep,) = load_sweeps([write(tmp_path / "a.yaml", f"name: a\nprompts: [p]\n{TIED}")])

    assert values_of(resolve(sweep), "guidance_scale", "width", "height") == [
        (1, 720, 480), (6, 720, 480), (6, 480, 320), (6, 720, 320),
    ]  # fmt: skip


@pytest.mark.parametrize("vary", ["vary: grid\n", "vary: optuna\noptuna: {trials: 2, objectives: [clip_score], "])
def test_seeds_are_counted_wherever_they_are_listed(tmp_path: Path, vary: str) -> None:
    seeds = "axes: {seed: {count: 3, start: 7}}\n" if "grid" in vary else "seeds: {count: 3}}\naxes: {fps: [4, 8]}\n"
    (sweep,) = load_sweeps([write(tmp_path / "a.yaml", f"name: a\nprompts: all\n{vary}{seeds}")])

    assert sweep.axes.get("seed", (7, 8, 9)) == (7, 8, 9)
    assert sweep.optuna is None or sweep.optuna.seeds == [42, 43, 44]


@pytest.mark.parametrize(
    ("axes", "place", "message"),
    [
        ("{a: {zip: {width: [480]}}}", "axes.a", "ties axes together as `{zip: {width: [480, 720], height: [320, 480"),
        ("{a: {zip: {width: [480], height: 320}}}", "axes.a.zip.height", "must be a list of values (got 320)"),
        ("{a: {zip: {width: [480], heigth: [320]}}}", "axes.a.zip.heigth", "unknown parameter; did you mean 'height'?"),
        ("{a: {zip: {width: [480, 720], height: [320]}}}", "axes.a.zip", "`zip` needs axes of one length, these have"),
        ("{a: {zip: {width: [480, 480], height: [320, 320]}}}", "axes.a.zip", "gives (480, 320) more than once"),
        (
            "{width: [480], a: {zip: {width: [480], seed: [1]}}}",
            "axes.a.zip.width",
            "is an axis already, as axes.width",
        ),
        ("{a: {zip: {width: [x], seed: [1]}}}", "axes.a.zip.width.0", "must be a whole number (got 'x')"),
        ("{seed: {count: 0}}", "axes.seed", "must be a list of seeds, or such as {count: 5, start: 42} (got {'count'"),
        ("{seed: {count: 5, end: 9}}", "axes.seed", "must be a list of seeds, or such as {count: 5, start: 42}"),
    ],
)
def test_a_mistake_in_axes_is_one_line(tmp_path: Path, axes: str, place: str, message: str) -> None:
    file = write(tmp_path / "a.yaml", f"name: a\nprompts: all\nvary: grid\naxes: {axes}\n")

    (mistake,) = mistakes_in(file)

    assert mistake.where == f"{file}:{place}"
    assert mistake.message.startswith(message)
