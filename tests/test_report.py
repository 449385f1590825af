"""Reports: what they say, what they hold, what they refuse."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from report_runs import SMALL, make_axis, make_run

from cogx_runs.analysis.frame import load_runs
from cogx_runs.cli import cli
from cogx_runs.errors import CogxError
from cogx_runs.report.cells import Cell, cells_of
from cogx_runs.report.differences import differences_of
from cogx_runs.report.folder import write_report
from cogx_runs.report.grids import Grid, grids_of
from cogx_runs.report.quantities import CLIP, SIZE, WALL
from cogx_runs.report.sentences import about_grid, warnings_about
from cogx_runs.report.votes import report_id, tally, votes_in
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import tracking_uri

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


def cell(clip_score: float = 30.0, wall_time_s: float = 10.0, tags: dict[str, str] | None = None, **given: Any) -> Cell:
    """A finished cell with these parameters."""
    spec = replace(SMALL, **given)
    return Cell(
        run_id=spec.output_hash,
        experiment="exp",
        name=spec.run_name,
        is_finished=True,
        prompt_name=spec.prompt_name,
        prompt=spec.prompt,
        signature=spec.signature,
        output_hash=spec.output_hash,
        config=spec.config,
        metrics={"clip_score": clip_score, "wall_time_s": wall_time_s},
        tags={"env.device_name": "A chip", **(tags or {})},
    )


def grid_of(*cells: Cell, axis: str = "guidance_scale", baselines: dict[str, str] | None = None) -> Grid:
    (grid,) = grids_of("exp", cells, [axis], baselines or {})
    return grid


def ballot(votes: list[dict[str, Any]], report: str) -> str:
    content = json.dumps({"report": report, "votes": votes})
    return f'<html><script type="application/json" id="votes">{content}</script></html>'


def test_a_grid_has_a_row_a_prompt_and_the_values_by_size_and_compares_with_the_default() -> None:
    grid = grid_of(
        *(cell(guidance_scale=value, prompt_name=name, prompt=name) for name in "ba" for value in (12.0, 1.0, 6.0))
    )

    assert grid.values == (1.0, 6.0, 12.0)
    assert grid.baseline_value == 6.0
    assert [row.prompt_name for row in grid.rows] == ["b", "a"]
    assert [[found.config["guidance_scale"] for found in row.cells if found] for row in grid.rows] == [
        [1.0, 6.0, 12.0]
    ] * 2


def test_the_baseline_is_the_first_value_where_the_default_is_not_among_them_and_can_be_given() -> None:
    cells = [cell(guidance_scale=value) for value in (9.0, 3.0)]

    assert grid_of(*cells).baseline_value == 3.0
    assert grid_of(*cells, baselines={"guidance_scale": "9.0"}).baseline_value == 9.0


def test_rows_of_one_prompt_are_told_apart_by_what_differs_and_by_no_more() -> None:
    grid = grid_of(
        *(cell(guidance_scale=value, seed=seed) for seed in (42, 7) for value in (1.0, 6.0)),
        cell(model="5b", model_revision="other", dtype="bfloat16"),
    )

    assert [row.label for row in grid.rows] == ["model toy, seed 42", "model toy, seed 7", "model 5b, seed 42"]


def test_cells_varied_one_at_a_time_make_a_grid_an_axis_and_a_full_grid_shows_each_video_once() -> None:
    axes = ["guidance_scale", "num_inference_steps"]
    star = [cell(), cell(guidance_scale=1.0), cell(num_inference_steps=10), cell(num_inference_steps=25)]
    full = [cell(guidance_scale=g, num_inference_steps=s) for g in (1.0, 6.0) for s in (10, 25, 50)]

    by_axis = grids_of("exp", star, axes, {})
    both = grids_of("exp", full, axes, {})

    assert [(found.axis, len(found.cells), found.shows_videos) for found in by_axis] == [
        ("guidance_scale", 2, True),
        ("num_inference_steps", 3, True),
    ]
    assert [(found.axis, len(found.rows), found.shows_videos) for found in both] == [
        ("num_inference_steps", 2, True),
        ("guidance_scale", 3, False),
    ]


def test_differences_are_between_cells_that_differ_in_the_axis_alone() -> None:
    grid = grid_of(
        cell(30.0, guidance_scale=6.0, seed=1), cell(27.0, guidance_scale=1.0, seed=1),
        cell(20.0, guidance_scale=6.0, seed=2), cell(21.0, guidance_scale=1.0, seed=2),
        cell(99.0, guidance_scale=1.0, seed=2, model="5b", model_revision="other"),
    )  # fmt: skip

    (found,) = differences_of(grid, [CLIP])

    assert (found.value, found.baseline, found.by_pair) == (1.0, 6.0, (-3.0, 1.0))
    assert (found.mean, found.same_sign, found.prompts, found.seeds) == (-1.0, 1, 1, 2)


def test_wall_times_of_another_device_and_of_a_shared_one_are_not_compared() -> None:
    grid = grid_of(
        cell(wall_time_s=10.0, seed=1), cell(wall_time_s=4.0, guidance_scale=1.0, seed=1),
        cell(wall_time_s=10.0, seed=2),
        cell(wall_time_s=1.0, guidance_scale=1.0, seed=2, tags={"env.device_name": "Another chip"}),
        cell(wall_time_s=10.0, seed=3, tags={"beside": "another sweep"}),
        cell(wall_time_s=9.0, guidance_scale=1.0, seed=3, tags={"beside": "another sweep"}),
    )  # fmt: skip

    (found,) = differences_of(grid, [WALL])

    assert (found.by_pair, found.not_comparable) == ((-6.0,), 2)
    assert "2 pairs of wall times left out: not measured alike." in about_grid(grid, [found])


def test_one_prompt_and_seed_is_said_to_state_no_uncertainty() -> None:
    grid = grid_of(cell(30.0), cell(27.5, guidance_scale=12.0))

    said = about_grid(grid, differences_of(grid))

    assert said[0] == "At guidance_scale 12 the CLIP score is 2.50 lower than at 6, in the one pair there is."
    assert any(line.startswith("One prompt and one seed: no uncertainty can be stated.") for line in said)


def test_several_pairs_are_said_with_their_mean_range_and_direction() -> None:
    cells = [cell(score, guidance_scale=g, seed=seed) for seed, g, score in
             [(1, 6.0, 30.0), (1, 1.0, 27.0), (2, 6.0, 20.0), (2, 1.0, 21.0)]]  # fmt: skip
    grid = grid_of(*cells)

    assert about_grid(grid, differences_of(grid, [CLIP]))[0] == (
        "At guidance_scale 1 the CLIP score is on average 1.00 lower than at 6, over 2 pairs "
        "(from −3.00 to +1.00; lower in 1 of 2)."
    )


def test_file_sizes_across_frame_counts_are_said_to_mean_nothing() -> None:
    cells = [replace_size(cell(num_frames=frames), size) for frames, size in [(25, 100.0), (49, 200.0)]]
    grid = grid_of(*cells, axis="num_frames")

    (found,) = differences_of(grid, [SIZE])

    assert (found.baseline, found.by_pair) == (49, (-100.0,))
    assert any(line.startswith("More frames make a larger file") for line in about_grid(grid, [found]))


def replace_size(found: Cell, size: float) -> Cell:
    return replace(found, metrics={**found.metrics, "file_size_bytes": size})


def test_what_must_not_be_compared_is_warned_of() -> None:
    mixed = [
        cell(tags={"clip_score.model": "toy"}),
        cell(model="5b", model_revision="other", tags={"clip_score.model": "ViT", "env.device_name": "H100"}),
        cell(seed=1, tags={"clip_score.prompt_truncated": "True"}),
    ]

    said = warnings_about(mixed)

    assert [line.split(" (")[0] for line in said[:3]] == [
        "This report holds 2 models", "This report holds 2 devices", "This report holds 2 CLIP models",
    ]  # fmt: skip
    assert said[3].startswith("CLIP reads only the beginning of panda:")
    assert warnings_about([cell(), cell(seed=1)]) == []


def test_a_cell_that_failed_and_was_made_again_is_shown_once_and_finished(store: RunStore) -> None:
    make_run(store, SMALL, error="boom")
    make_run(store, SMALL)
    make_run(store, replace(SMALL, seed=1), error="boom")
    store.claim(store.experiment_id("exp"), replace(SMALL, seed=2), {})

    runs = load_runs("exp")
    cells, unfinished = cells_of(runs)
    turned, _ = cells_of(runs[::-1])

    assert [(found.config["seed"], found.is_finished) for found in cells] == [(42, True), (1, False)]
    assert sorted(found.run_id for found in turned) == sorted(found.run_id for found in cells)
    assert unfinished == 1


def test_a_failed_cell_shows_its_error_and_a_reused_one_says_so(store: RunStore, tmp_path: Path) -> None:
    trace = 'Traceback:\n  File "x.py", line 1, in f\n    f()\nValueError: 3 < 4 & so\nsecond line\n'
    make_axis(store, "guidance_scale", [1.0, 6.0], tags={"cogx.reused_from": "abc"})
    make_run(store, replace(SMALL, guidance_scale=12.0), error=trace)

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert "<code>ValueError: 3 &lt; 4 &amp; so</code>" in page
    assert "second line" not in page
    assert len(re.findall(r'class="badge"[^>]*>reused<', page)) == 2


def test_text_from_prompts_and_errors_is_escaped_everywhere(store: RunStore, tmp_path: Path) -> None:
    evil = replace(SMALL, prompt=EVIL, prompt_name=EVIL, negative_prompt=EVIL)
    make_axis(store, "guidance_scale", [1.0, 6.0], evil)
    make_axis(store, "guidance_scale", [1.0, 6.0], replace(evil, negative_prompt=""))
    make_run(store, replace(evil, guidance_scale=12.0), error=f"ValueError: {EVIL}")

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert EVIL not in page
    assert "<script>alert" not in page


def test_videos_are_in_the_page_below_the_limit_and_beside_it_above(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])

    inside = write_report(["exp"], tmp_path / "in", log=False)
    beside = write_report(["exp"], tmp_path / "beside", log=False, embed_limit_mb=0.001)

    assert (inside.embedded, inside.videos, list((tmp_path / "in").iterdir())) == (True, 2, [inside.page])
    assert inside.page.read_text(encoding="utf-8").count('json" data-embedded=') == 2
    assert not beside.embedded
    text = beside.page.read_text(encoding="utf-8")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', text)[0])
    assert sorted(data["files"].values()) == sorted(
        str(path.relative_to(tmp_path / "beside")) for path in (tmp_path / "beside/videos").iterdir()
    )
    assert 'json" data-embedded=' not in text
    assert "above 0.001 MB" in text


def test_mlflow_keeps_one_page_an_experiment_with_stills_where_the_videos_are_files(
    store: RunStore, tmp_path: Path
) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    before = len(load_runs())

    (first,) = write_report(["exp"], tmp_path / "out").logged
    (again,) = write_report(["exp"], tmp_path / "out", embed_limit_mb=0.001).logged

    assert first == again
    assert len(load_runs()) == before
    run = MlflowClient(tracking_uri()).get_run(again)
    assert (run.data.tags["cogx.kind"], run.info.status) == ("report", "FINISHED")
    kept = store.download(again, "report.html", tmp_path / "kept").read_text(encoding="utf-8")
    assert kept.count('src="data:image/jpeg;base64,') == 2
    assert "<video" not in kept


def test_a_video_that_is_gone_from_the_store_is_said_and_stops_nothing(store: RunStore, tmp_path: Path) -> None:
    runs = make_axis(store, "guidance_scale", [1.0, 6.0])
    folder = Path(MlflowClient(tracking_uri()).get_run(runs[0]).info.artifact_uri)
    (folder / "video.mp4").unlink()

    written = write_report(["exp"], tmp_path / "out", log=False)

    assert written.videos == 1
    assert "its video is not in the store any more" in written.page.read_text(encoding="utf-8")


def test_an_axis_of_words_and_what_the_sweep_is_for_are_shown(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "scheduler", ["dpm", "ddim"])

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert re.findall(r'<th scope="col">scheduler (\w+)', page) == ["ddim", "dpm"]
    assert "Why &lt;b&gt;so&lt;/b&gt;?" in page


def test_votes_are_counted_by_value_on_pairs_that_differ_in_the_axis_alone() -> None:
    low, base = cell(guidance_scale=1.0), cell()
    other = cell(seed=7)
    grid = grid_of(low, base, other)

    counted = tally(grid, [vote(low, base, low), vote(low, base, None), vote(base, other, other)])

    assert [(found.value, found.wins, found.losses, found.ties) for found in counted] == [
        ("1", 1, 0, 1),
        ("6", 0, 1, 1),
    ]


def vote(one: Cell, other: Cell, winner: Cell | None, voter: str = "v") -> Any:
    from cogx_runs.report.votes import Vote

    a, b = sorted((one.signature, other.signature))
    return Vote(a=a, b=b, winner=winner and winner.signature, voter=voter, at="2026-01-01T00:00:00.000Z")


def test_votes_of_all_pages_of_this_report_are_gathered_and_a_voter_counts_once_a_pair(tmp_path: Path) -> None:
    own = {"a": "1a", "b": "2b", "winner": "1a", "voter": "ann", "at": "2026-01-01T00:00:00.000Z"}
    later = own | {"winner": None, "at": "2026-01-02T00:00:00.000Z"}
    bobs = own | {"voter": "bob"}
    (tmp_path / "report.html").write_text(ballot([own], "of an earlier name"))
    (tmp_path / "saved.html").write_text(ballot([later, bobs], "same"))
    (tmp_path / "foreign.html").write_text(ballot([own | {"voter": "eve"}], "other"))
    (tmp_path / "no_report.html").write_text("<p>Hello</p>")

    found = votes_in(tmp_path, "same")

    assert sorted((one.voter, one.winner) for one in found) == [("ann", None), ("bob", "1a")]


def test_votes_that_cannot_be_read_stop_the_report_so_that_none_are_lost(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    (tmp_path / "report.html").write_text(ballot([{"a": "2b", "b": "1a"}], "x"))

    with pytest.raises(CogxError, match=r"report.html: its votes cannot be read \(.*\); move it away"):
        write_report(["exp"], tmp_path, log=False)
    assert (tmp_path / "report.html").read_text().startswith("<html><script")


def test_a_new_report_in_the_same_folder_keeps_the_votes_and_prints_them(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    low, base = cells_of(load_runs("exp"))[0]
    mine = vote(low, base, base).model_dump()
    (tmp_path / "saved.html").write_text(ballot([mine], report_id(["exp"])))

    first = write_report(["exp"], tmp_path, log=False)
    (tmp_path / "saved.html").unlink()
    second = write_report(["exp"], tmp_path, log=False)

    assert (first.votes, second.votes) == (1, 1)
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th><td>(\d)</td><td>(\d)</td><td>(\d)</td></tr>', second.page.read_text()
    )
    assert rows == [("1", "0", "1", "0"), ("6", "1", "0", "0")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["expp", "-o", "out"], r"no such sweep file|did you mean 'exp'\?"),
        (["failed", "-o", "out"], r"^Error: failed: has no finished run to report on$"),
        (["exp", "-o", "file"], r"^Error: file: is a file; name a folder$"),
        (["exp", "-o", "out", "--baseline", "guidance_scal=1"], r"have no axis .*; did you mean 'guidance_scale'\?$"),
        (["exp", "-o", "out", "--baseline", "guidance_scale=2"], r"not among the axis's values; valid: 1, 6$"),
        (["exp", "-o", "out", "--baseline", "guidance_scale"], r"write it as KEY=VALUE$"),
    ],
)
def test_what_cannot_be_reported_is_one_clear_line(store: RunStore, arguments: list[str], message: str) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    make_run(store, replace(SMALL, sweep="failed"), error="boom")
    Path("file").touch()

    done = CliRunner().invoke(cli, ["report", *arguments])

    assert done.exit_code == 2
    assert re.search(message, done.stderr.strip())
    assert len(done.stderr.strip().splitlines()) == 1
    assert not Path("out/report.html").exists()


def test_the_command_writes_one_page_on_several_sweeps_and_prints_its_place(store: RunStore) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    make_run(store, replace(SMALL, sweep="plain", axes=()))

    done = CliRunner().invoke(
        cli, ["report", "exp", "plain", "-o", "out", "--baseline", "guidance_scale=1", "--no-log"]
    )

    assert (done.exit_code, done.stdout) == (0, "out/report.html\n")
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "At guidance_scale 6 the CLIP score is the same to the digits shown as at 1" in page
    assert '<section class="experiment" id="s1"' in page
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
