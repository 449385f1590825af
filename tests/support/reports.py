"""Cells and pages of reports, without a store."""

import re
from html import unescape
from typing import Any

from cogx_runs.analysis.effects import Margin
from cogx_runs.analysis.grids import Grid, grids_of
from cogx_runs.report.cells import cells_of
from cogx_runs.report.content import Experiment, content_of
from cogx_runs.report.page import Media, render_page
from cogx_runs.tracking.run import TrackedRun
from tests.support.frames import frame_of
from tests.support.runs import SMALL
from tests.support.tracked_runs import tracked, tracked_in

EVIL = "<script>alert(1)</script>"


def cell(
    clip_score: float = 30.0, wall_time_s: float = 10.0, tags: dict[str, str] | None = None, **given: Any
) -> TrackedRun:
    """A finished cell with these parameters."""
    spec = SMALL.replace(**given)
    return tracked(
        spec,
        run_id=spec.output_hash,
        tags={"cogx.env.device_name": "A chip", **(tags or {})},
        metrics={"clip_score": clip_score, "wall_time_s": wall_time_s},
    )


def grid_of(*cells: TrackedRun, axis: str = "guidance_scale", baselines: dict[str, str] | None = None) -> Grid:
    (grid,) = grids_of("exp", cells, [axis], baselines or {})
    return grid


def page_of(rows: list[dict[str, Any]], *axes: str, margins: dict[str, Margin] | None = None, **given: str) -> str:
    """A report on one experiment without videos; `given` are baselines."""
    content = content_of("id", [experiment_of(rows, *axes)], given, margins or {}, [])
    return render_page(content, Media({}, 1.0, True))


def experiment_of(rows: list[dict[str, Any]], *axes: str) -> Experiment:
    runs = frame_of(rows)
    return Experiment("exp", "", tuple(cells_of(tracked_in(runs))[0]), 0, axes, runs)


def rows_of(page: str, table: str) -> list[list[str]]:
    """What the rows of a table with this data attribute say."""
    found = re.search(rf"<table[^>]* data-{table}[^>]*>.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert found, f"no table {table}"
    rows = found.group(1).split("</tr>")[:-1]
    return [
        [unescape(re.sub(r"<[^>]+>", "", part)).strip() for part in re.split(r"</t[hd]>", row)[:-1]] for row in rows
    ]
