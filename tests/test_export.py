"""Exports of sweeps of which some videos are gone or damaged."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result

from cogx_runs import export_runs
from cogx_runs.errors import IncompleteExportError
from cogx_runs.tracking.store import RunStore
from tests.support.runs import SMALL, make_axis


def _damage() -> None:
    """Three runs, of which the first has lost its video and the second has a damaged one."""
    lost, damaged, _ = make_axis(RunStore(), "guidance_scale", [1.0, 6.0, 9.0], SMALL)
    next(Path("mlruns").rglob(f"{lost}/artifacts/video.mp4")).unlink()
    video = next(Path("mlruns").rglob(f"{damaged}/artifacts/video.mp4"))
    video.write_bytes(video.read_bytes()[:-1] + b"?")


def test_what_is_there_is_written_before_the_rest_is_told(project: Path) -> None:
    _damage()

    with pytest.raises(IncompleteExportError, match="exp: 2 videos could not be exported; the rest is written") as told:
        export_runs("exp", Path("out"))

    assert sorted(path.name for path in Path("out/exp").iterdir()) == ["panda_gs9.mp4", "runs.csv"]
    assert [path.name for path in told.value.written] == ["panda_gs9.mp4", "runs.csv"]
    assert told.value.missing.keys() == {"exp/panda_gs1.mp4", "exp/panda_gs6.mp4"}
    assert "it is damaged (SHA-256 " in told.value.missing["exp/panda_gs6.mp4"]
    table = pd.read_csv("out/exp/runs.csv").set_index("params.guidance_scale")
    assert table["file"].dropna().to_dict() == {9.0: "panda_gs9.mp4"}
    assert len(table) == 3


def test_the_command_lists_what_is_not_there(invoke: Callable[..., Result]) -> None:
    _damage()

    result = invoke("export", "exp", "out")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["out/exp/panda_gs9.mp4", "out/exp/runs.csv"]
    assert sorted(line.split(": run ")[0] for line in result.stderr.splitlines()) == [
        "missing: exp/panda_gs1.mp4",
        "missing: exp/panda_gs6.mp4",
    ]
