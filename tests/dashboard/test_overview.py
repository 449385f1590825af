"""The overview of an experiment: which cell stands where, and the animated pictures in a real store."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from cogx_runs.analysis.frame import load_runs
from cogx_runs.analysis.trials import searches_of
from cogx_runs.dashboard.board import DRAWING_INTERVAL_S, INTERVAL_S, Boards, refresh, show_several
from cogx_runs.dashboard.matrix import MOST_PAGES, pages_of
from cogx_runs.dashboard.notes import RUN_LIMIT, failed_tags, failures_note, run_tags
from cogx_runs.dashboard.overview import moments_of
from cogx_runs.dashboard.pictures import write_pictures
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError
from cogx_runs.tracking.record import failure_tags, known_params, params, spec_metrics
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.store import RunStore
from tests.support.claims import claim
from tests.support.specs import SPEC

SWEEP = Sweep(
    name="exp", file="exp.yaml", description="", prompts=("panda",), base=Parameters(),
    axes={"guidance_scale": (1.0, 6.0, 12.0)}, vary="grid",
)  # fmt: skip


def run_of(spec: RunSpec, **tags: str) -> TrackedRun:
    return TrackedRun(
        run_id=spec.output_hash, name=spec.run_name, experiment="exp", state=RunState.FINISHED, start_time_ms=0,
        params={name: str(value) for name, value in params(spec).items()},
        metrics={"clip_score": spec.guidance_scale, **spec_metrics(spec)},
        tags={"cogx.signature": spec.signature, "cogx.output_hash": spec.output_hash, **tags},
    )  # fmt: skip


def test_two_axes_stand_against_each_other_with_their_values_in_order() -> None:
    cells = [
        run_of(SPEC.replace(guidance_scale=guidance, num_inference_steps=steps))
        for steps in (50, 9) for guidance in (12.0, 1.0, 6.0)
    ]  # fmt: skip

    ((matrix,),) = pages_of("exp", cells, ("guidance_scale", "num_inference_steps"), [], {})

    assert matrix.columns == ("1", "6", "12")
    assert [row.head for row in matrix.rows] == ["steps 50", "steps 9"]
    shown = [[cell.config["guidance_scale"] for cell in row.cells if cell is not None] for row in matrix.rows]
    assert shown == [[1, 6, 12]] * 2


def test_a_page_holds_100_cells_and_an_overview_six_pages() -> None:
    cells = [
        run_of(SPEC.replace(guidance_scale=float(guidance), seed=seed)) for seed in range(30) for guidance in range(30)
    ]

    pages = pages_of("exp", cells, ("guidance_scale", "seed"), [], {})

    assert [len(matrix.cells) for page in pages for matrix in page] == [100] * MOST_PAGES
    assert [moments_of(100, 49), moments_of(12, 17), moments_of(3, 49)] == [8, 17, 24]


def test_the_trials_of_a_search_stand_with_the_best_first() -> None:
    cells = [
        run_of(SPEC.replace(guidance_scale=guidance), **{"cogx.trial": str(number), "cogx.trial.search": "a"})
        for number, guidance in enumerate((3.0, 9.0, 5.0), 1)
    ]
    objectives = {"clip_score": "maximize"}

    ((matrix,),) = pages_of("exp", cells, ("guidance_scale",), searches_of(cells, objectives), objectives)  # type: ignore[arg-type]

    assert [caption.partition(":")[0] for row in matrix.rows for caption in row.captions] == [
        "best, trial 2", "trial 3", "trial 1",
    ]  # fmt: skip


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


def finish(store: RunStore, experiment: str, spec: RunSpec, folder: Path, failure: str | None = None) -> str:
    run_id = claim(store, experiment, spec)
    store.describe(run_id, known_params(spec), spec_metrics(spec))
    folder.mkdir()
    if failure is not None:
        error = CogxError(failure)
        store.finish(run_id, folder, {}, {}, failure_tags(error) | failed_tags(spec, error), RunState.FAILED)
        return run_id
    frames = np.full((3, 16, 24, 3), 100 * spec.guidance_scale / 12, np.uint8)
    frames[1:, :8] += 100
    write_pictures(frames, spec.fps, folder)
    metrics = {"clip_score": spec.guidance_scale}
    store.finish(run_id, folder, {}, metrics, run_tags(spec, run_id, folder, metrics, {}))
    return run_id


def test_an_overview_shows_each_cell_moving_and_why_one_failed_and_is_no_cell(store: RunStore, tmp_path: Path) -> None:
    experiment = store.open_experiment(SWEEP)
    finish(store, experiment, SPEC.replace(guidance_scale=1.0), tmp_path / "a")
    failed = finish(store, experiment, SPEC.replace(guidance_scale=6.0), tmp_path / "b", "out of *memory*")

    refresh(store, "exp", cells=3)

    overview = store.find_overview(experiment)
    assert overview is not None
    assert (overview.name, overview.state) == ("1 of 3 finished, 1 failed", RunState.FINISHED)
    assert (
        f"runs/{failed}?workflowType=machine_learning): failed: out of \\*memory\\*"
        in overview.tags["mlflow.note.content"]
    )
    (picture,) = Path("mlruns").rglob("overview+*compressed.webp")
    with Image.open(picture) as animation:
        assert animation.n_frames > 1  # type: ignore[attr-defined]
        first = animation.convert("RGB")
        animation.seek(1)
        assert first.tobytes() != animation.convert("RGB").tobytes()
    assert len(load_runs("exp")) == len(list(store.runs())) == 2
    assert "out of \\*memory\\*" in store.run(failed, "exp").tags["mlflow.note.content"]
    note = MlflowClient().get_experiment(experiment).tags["mlflow.note.content"]
    assert "**1 of 3 finished, 1 failed**" in note
    assert f"run_uuid={overview.run_id}" in note

    picture.unlink()
    refresh(store, "exp")

    assert not picture.exists()  # what shows the same is not drawn again
    assert store.find_overview(experiment).name == "1 of 3 finished, 1 failed"  # type: ignore[union-attr]


def test_as_many_failures_are_listed_as_a_run_s_note_holds() -> None:
    reason = {"cogx.failure": "<&" * 100}
    failed = [replace(run_of(SPEC.replace(seed=seed), **reason), state=RunState.FAILED) for seed in range(25)]

    note = failures_note(failed)

    assert len(note) < RUN_LIMIT + 30
    assert note.endswith(f"- and {25 - note.count('](')} more\n")


def test_an_overview_is_drawn_less_often_than_a_board_is_written(store: RunStore, tmp_path: Path) -> None:
    experiment = store.open_experiment(SWEEP)
    now = 100.0
    boards = Boards(store, clock=lambda: now)
    boards.open({"exp": experiment}, {"exp": 1})
    finish(store, experiment, SPEC, tmp_path / "a")

    now += INTERVAL_S
    boards.changed("exp", beside=False)
    assert store.find_overview(experiment).name == "1 of 1 finished"  # type: ignore[union-attr]
    assert not list(Path("mlruns").rglob("overview+*"))
    now += DRAWING_INTERVAL_S
    boards.changed("exp", beside=False)
    assert list(Path("mlruns").rglob("overview+*"))


def test_several_sweeps_share_a_page_with_the_overview_of_each(store: RunStore, tmp_path: Path) -> None:
    for name in ("exp", "other"):
        experiment = store.open_experiment(SWEEP.model_copy(update={"name": name}))
        finish(store, experiment, SPEC.replace(sweep=name, seed=len(name)), tmp_path / name)

    page = show_several(store, ["exp", "other"])
    again = show_several(store, ["exp", "other"])

    assert page == again
    assert f"mlflow.sharedViewState.{page.rpartition('=')[2]}" in store.experiment_tags(store.experiment_id("exp"))
    for name in ("exp", "other"):
        assert len(list(Path("mlruns").rglob(f"{name}+*compressed.webp"))) == 1
    assert len(list(store.runs())) == 2
