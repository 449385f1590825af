"""Reports: what they show of runs and videos, where they are kept, and what they refuse."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from cogx_runs.analysis.frame import load_runs
from cogx_runs.cli import cli
from cogx_runs.definitions.ranges import OptunaSearch
from cogx_runs.report.cells import cells_of
from cogx_runs.report.folder import write_report
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import tracking_uri
from tests.support.claims import claim
from tests.support.reports import EVIL, rows_of
from tests.support.runs import SMALL, make_axis, make_run, sweep_of


def test_a_cell_that_failed_and_was_made_again_is_shown_once_and_finished(store: RunStore) -> None:
    make_run(store, SMALL, error="boom")
    make_run(store, SMALL)
    make_run(store, SMALL.replace(seed=1), error="boom")
    claim(store, store.experiment_id("exp"), SMALL.replace(seed=2))

    runs = list(store.runs(["exp"]))
    cells, unfinished = cells_of(runs)
    turned, _ = cells_of(runs[::-1])

    assert [(found.config["seed"], found.state.is_finished) for found in cells] == [(42, True), (1, False)]
    assert sorted(found.run_id for found in turned) == sorted(found.run_id for found in cells)
    assert unfinished == 1


def test_a_failed_cell_shows_its_error_and_a_reused_one_says_so(store: RunStore, tmp_path: Path) -> None:
    trace = 'Traceback:\n  File "x.py", line 1, in f\n    f()\nValueError: 3 < 4 & so\nsecond line\n'
    make_axis(store, "guidance_scale", [1.0, 6.0], tags={"cogx.reused_from": "abc"})
    make_run(store, SMALL.replace(guidance_scale=12.0), error=trace)

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert "<code>ValueError: 3 &lt; 4 &amp; so</code>" in page
    assert "second line" not in page
    assert len(re.findall(r'class="badge"[^>]*>reused<', page)) == 2


def test_a_report_is_written_also_where_the_store_takes_nothing_and_says_so(store: RunStore, tmp_path: Path) -> None:
    make_run(store, SMALL)
    with closing(sqlite3.connect("mlflow.db")) as database:
        database.execute("CREATE TRIGGER t BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'read only'); END")

    result = CliRunner().invoke(cli, ["report", "exp", "-o", str(tmp_path / "out")])

    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/out/report.html\n")
    assert result.stderr.splitlines()[-1].startswith(f"not kept in MLflow: tracking store {store.uri}: ")
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_report_on_nothing_leaves_no_folder(store: RunStore, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", "nothing", "-o", str(tmp_path / "out")])

    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_search_shows_its_trials_the_best_first_and_each_video_once(store: RunStore, tmp_path: Path) -> None:
    spec = SMALL.replace(axes=("guidance_scale",))
    for number, guidance in enumerate((1.0, 2.0, 3.0, 4.0), 1):
        tags = {"cogx.trial": str(number), "cogx.trial.search": "a"}
        tags["cogx.trial.parameters"] = json.dumps({"guidance_scale": guidance})
        for prompt in ("cat", "dog"):
            made = spec.replace(guidance_scale=guidance, prompt_name=prompt, prompt=f"A {prompt}.")
            failed = number == 4 and prompt == "dog"
            figures = {"clip_score": guidance + len(prompt), "denoise_s": 2.0 if guidance == 2 else 1.0}
            make_run(store, made, metrics=figures, tags=tags, error="ValueError: no" if failed else None)
    searched = sweep_of(spec).model_copy(
        update={"vary": "optuna", "optuna": OptunaSearch(trials=4, objectives=["clip_score", "denoise_s"])}
    )
    store.open_experiment(searched)

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert rows_of(page, "trials") == [
        ["3", "3", "6.00", "1.00", "2", "yes"],
        ["2", "2", "5.00", "2.00", "2", ""],
        ["1", "1", "4.00", "1.00", "2", ""],
        ["4", "4", "–", "–", "1", ""],
    ]
    assert page.count("<video muted") == 7 + 4  # and the two of the vote and of the enlargement
    assert "1 trial that no other beats in both (the Pareto front)." in page
    assert "1 trial without a value: not every cell of it is finished." in page
    assert page.count('aria-label="CLIP score against denoising, 3 trials') == 1

    winner = next(run for run in store.runs(["exp"]) if run.tags["cogx.trial"] == "3")
    store.amend(winner.run_id, {}, {"cogx.degenerate": "frozen", "cogx.degenerate.rule": "it stands still"})
    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert [(row[0], row[-1]) for row in rows_of(page, "trials")] == [("2", "yes"), ("1", "yes"), ("3", ""), ("4", "")]
    assert "Passed over, since more of their videos are degenerate: trial 3 (1)." in page


def test_a_promoted_video_and_the_one_it_was_made_from_say_so(store: RunStore, tmp_path: Path) -> None:
    few = make_run(store, SMALL.replace(num_inference_steps=10, axes=("num_inference_steps",)))
    tags = {"cogx.promoted_from": few, "cogx.promoted_by": "clip_score", "cogx.promoted_rank": "1 of 4"}
    make_run(store, SMALL.replace(axes=("num_inference_steps",)), tags=tags)

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert re.findall(r'class="badge chosen"[^>]*>([^<]*)<', page) == ["chosen", "promoted: 1 of 4 by clip_score"]


def test_text_from_prompts_and_errors_is_escaped_everywhere(store: RunStore, tmp_path: Path) -> None:
    evil = SMALL.replace(prompt=EVIL, prompt_name=EVIL, negative_prompt=EVIL)
    make_axis(store, "guidance_scale", [1.0, 6.0], evil)
    make_axis(store, "guidance_scale", [1.0, 6.0], evil.replace(negative_prompt=""))
    make_run(store, evil.replace(guidance_scale=12.0), error=f"ValueError: {EVIL}")

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


def test_a_video_that_is_gone_or_damaged_is_said_and_stops_nothing(store: RunStore, tmp_path: Path) -> None:
    runs = make_axis(store, "guidance_scale", [1.0, 6.0, 9.0])
    folder = Path(MlflowClient(tracking_uri()).get_run(runs[0]).info.artifact_uri)
    (folder / "video.mp4").unlink()
    damaged = Path(MlflowClient(tracking_uri()).get_run(runs[1]).info.artifact_uri, "video.mp4")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")

    written = write_report(["exp"], tmp_path / "out", log=False)

    page = written.page.read_text(encoding="utf-8")
    assert written.videos == 1
    assert "its video is missing from the store" in page
    assert "its video is damaged" in page
    assert written.missing == (
        "guidance=1 panda: its video is missing from the store", "guidance=6 panda: its video is damaged",
    )  # fmt: skip


def test_an_axis_of_words_and_what_the_sweep_is_for_are_shown(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "scheduler", ["dpm", "ddim"])

    page = write_report(["exp"], tmp_path / "out", log=False).page.read_text(encoding="utf-8")

    assert re.findall(r'<th scope="col">scheduler (\w+)', page) == ["dpm", "ddim"]
    assert "Why &lt;b&gt;so&lt;/b&gt;?" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["expp", "-o", "out"], r"no such sweep file|did you mean 'exp'\?"),
        (["failed", "-o", "out"], r"^Error: failed: has no finished run to report on$"),
        (["exp", "-o", "file"], r"^Error: file: is a file; name a folder$"),
        (["exp", "-o", "out", "--baseline", "guidance_scal=1"], r"have no such axis; did you mean 'guidance_scale'\?$"),
        (["exp", "-o", "out", "--baseline", "guidance_scale=2"], r"not among the axis's values; valid: 1, 6$"),
        (["exp", "-o", "out", "--baseline", "guidance_scale"], r"write it as KEY=VALUE$"),
        (["exp", "-o", "out", "--margin", "clip_scor=1"], r"reports do not compare it; did you mean 'clip_score'\?$"),
        (["exp", "-o", "out", "--margin", "clip_score=5 %%"], r"a margin of '5 %%': write a number above 0 .* as 5%$"),
    ],
)
def test_what_cannot_be_reported_is_one_clear_line(store: RunStore, arguments: list[str], message: str) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    make_run(store, SMALL.replace(sweep="failed"), error="boom")
    Path("file").touch()

    done = CliRunner().invoke(cli, ["report", *arguments])

    assert done.exit_code == 2
    assert re.search(message, done.stderr.strip())
    assert len(done.stderr.strip().splitlines()) == 1
    assert not Path("out/report.html").exists()


def test_the_command_writes_one_page_on_several_sweeps_and_prints_its_place(store: RunStore) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    make_axis(store, "guidance_scale", [1.0, 6.0], SMALL.replace(prompt_name="boat", prompt="A boat."))
    make_run(store, SMALL.replace(sweep="plain", axes=()))

    options = ["--baseline", "guidance_scale=1", "--margin", "clip_score=0.5", "--no-log"]
    done = CliRunner().invoke(cli, ["report", "exp", "plain", "-o", "out", *options])

    assert (done.exit_code, done.stdout) == (0, "out/report.html\n")
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "At guidance_scale 6 the CLIP score is on average the same as at 1 (2 prompts, 1 seed)." in page
    assert '<section class="experiment" id="s1"' in page
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
