"""Views and descriptions as MLflow keeps them, on a real SQLite store."""

import base64
import json
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cogx_runs.dashboard.board import Boards, refresh, show
from cogx_runs.dashboard.notes import LIMIT, RUN_LIMIT, escaped, experiment_note, run_note
from cogx_runs.dashboard.view import RunFilter
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.ranges import OptunaSearch
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError, StoreError
from cogx_runs.tracking.record import known_params, spec_metrics
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import MLFLOW_NOTE
from tests.support.claims import claim
from tests.support.specs import SPEC

SWEEP = Sweep(
    name="exp", file="exp.yaml", description="Does *guidance* | matter?", prompts=("panda",), base=Parameters(),
    axes={"guidance_scale": (1.0, 6.0, 12.0)}, vary="one_at_a_time",
)  # fmt: skip


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


def begin(store: RunStore, experiment: str, spec: RunSpec) -> str:
    run_id = claim(store, experiment, spec)
    store.describe(run_id, known_params(spec), spec_metrics(spec))
    return run_id


def finish(store: RunStore, experiment: str, spec: RunSpec, folder: Path, **metrics: float) -> str:
    run_id = begin(store, experiment, spec)
    folder.mkdir(exist_ok=True)
    store.finish(
        run_id, folder, {}, {"clip_score": 20 + spec.guidance_scale, **metrics}, {"cogx.picture": "images/a+b.webp"}
    )
    return run_id


def state(experiment: str, key: str) -> dict[str, Any]:
    tag = MlflowClient().get_experiment(experiment).tags[f"mlflow.sharedViewState.{key}"]
    deflated = json.loads(tag)["state"].removeprefix("deflate;")
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(deflated)))
    return found


def note(experiment: str) -> str:
    return str(MlflowClient().get_experiment(experiment).tags[MLFLOW_NOTE])


def test_a_view_sorts_by_the_swept_number_and_names_every_metric_in_a_card(store: RunStore, tmp_path: Path) -> None:
    experiment = store.open_experiment(SWEEP)
    for guidance in (1.0, 12.0, 6.0):
        finish(store, experiment, SPEC.replace(guidance_scale=guidance), tmp_path / "a", peak_ram_gib=2.0)

    refresh(store, "exp")

    charts, table = state(experiment, "cogx-clips"), state(experiment, "cogx-table")
    assert (charts["orderByKey"], charts["orderByAsc"]) == ("metrics.`axis.guidance_scale`", False)
    assert (table["orderByKey"], table["orderByAsc"]) == ("metrics.`axis.guidance_scale`", True)
    assert charts["searchFilter"] == "tags.`cogx.kind` = 'run'"
    assert table["selectedColumns"] == [
        f"metrics.`{name}`"
        for name in ("axis.guidance_scale", "clip_score", "wall_time_s", "step_s", "peak_vram_gib", "file_size_bytes",
                     "current_step")
    ]  # fmt: skip
    named = {card["metricKey"] for card in charts["compareRunCharts"] if "metricKey" in card}
    assert {"clip_score", "peak_ram_gib", "axis.guidance_scale"} <= named
    shown = [card["type"] for card in charts["compareRunCharts"] if not card["deleted"]]
    assert shown == ["IMAGE", "SCATTER", "SCATTER", "SCATTER", "LINE", "LINE", "LINE", "IMAGE"]


def test_the_description_asks_the_question_and_lists_the_results_in_the_order_of_the_swept_number(
    store: RunStore, tmp_path: Path
) -> None:
    experiment = store.open_experiment(SWEEP)
    for guidance in (12.0, 1.0):
        finish(store, experiment, SPEC.replace(guidance_scale=guidance), tmp_path / "a")
    open_run = begin(store, experiment, SPEC.replace(guidance_scale=6.0))

    refresh(store, "exp")

    lines = note(experiment).splitlines()
    assert lines[0] == r"Does \*guidance\* \| matter?"
    rows = [line for line in lines if line.startswith("|")]
    assert rows[0] == "|  | guidance_scale | CLIP score |  |"
    assert [row.split(" | ")[1:3] for row in rows[2:]] == [["1", "21.00"], ["6", ""], ["12", "32.00"]]
    assert "images%2Fa%2Bb.webp" in rows[2]
    assert f"running [run](#/experiments/{experiment}/runs/{open_run}?workflowType=machine_learning)" in rows[3]


def tracked(name: str, state: RunState = RunState.FINISHED, **params: Any) -> TrackedRun:
    """A run as the reader gives it; numbers among its `params` are swept."""
    numbers = {f"axis.{key}": value for key, value in params.items() if isinstance(value, int | float)}
    texts = {"prompt_name": "panda"} | {key: str(value) for key, value in params.items()}
    return TrackedRun(
        run_id=name, name=name, experiment="exp", experiment_id="1", state=state, start_time_ms=0,
        params=texts, metrics=numbers, tags={"cogx.signature": name, "cogx.output_hash": name},
    )  # fmt: skip


def test_a_description_is_within_mlflows_limit_and_says_how_much_it_leaves_out() -> None:
    runs = [tracked(f"{seed:032}", seed=seed) for seed in range(200)]
    links = [f"[prompt_{number}](#/experiments/1/runs?viewStateShareKey=cogx-{number:08})" for number in range(73)]

    many = experiment_note("exp", "Why?", ("seed",), runs, links[:3])
    long = experiment_note("exp", "*" * 30_000, ("seed",), runs, links)

    rows = many.count("[video](")
    assert 40 < rows < 200
    assert many.endswith(f"{200 - rows} more runs: `cogx-runs runs exp`\n")
    assert "and 13 more" in long
    assert max(len(many), len(long)) <= LIMIT


def test_of_two_models_the_view_shows_the_last_unless_another_is_asked_for(store: RunStore, tmp_path: Path) -> None:
    experiment = store.open_experiment(SWEEP)
    finish(store, experiment, SPEC.replace(model="5b"), tmp_path / "a")
    finish(store, experiment, SPEC.replace(model="it's", prompt_name="cat", prompt="A cat."), tmp_path / "a")

    address = refresh(store, "exp", RunFilter(model="5b", prompt="panda"))

    key = address.rpartition("=")[2]
    assert state(experiment, "cogx-clips")["searchFilter"] == "tags.`cogx.kind` = 'run' and params.`model` = \"it's\""
    assert state(experiment, key)["searchFilter"] == (
        "tags.`cogx.kind` = 'run' and params.`model` = '5b' and params.`prompt_name` = 'panda'"
    )
    with pytest.raises(CogxError, match="exp has no run of model '6b'; did you mean '5b'"):
        refresh(store, "exp", RunFilter(model="6b"))


def test_where_models_are_compared_the_view_shows_all_of_them(store: RunStore, tmp_path: Path) -> None:
    experiment = store.open_experiment(SWEEP.model_copy(update={"axes": {"model": ("2b", "5b")}}))
    for model in ("2b", "5b"):
        finish(store, experiment, SPEC.replace(model=model, model_revision=model, axes=("model",)), tmp_path / "a")

    refresh(store, "exp")

    assert state(experiment, "cogx-clips")["searchFilter"] == "tags.`cogx.kind` = 'run'"
    assert note(experiment).count("](#/experiments") == 6  # four views, two runs


def test_a_search_has_its_objectives_its_trials_and_a_view_of_the_best_of_them(store: RunStore, tmp_path: Path) -> None:
    search = OptunaSearch(trials=3, objectives=["step_s", "clip_score"])
    axes = {"guidance_scale": (1.0, 6.0), "scheduler": ("ddim", "dpm")}
    experiment = store.open_experiment(SWEEP.model_copy(update={"vary": "optuna", "optuna": search, "axes": axes}))
    made = []
    for number, (guidance, step_s) in enumerate([(1.0, 2.0), (6.0, 1.0), (2.0, 3.0)], 1):
        spec = SPEC.replace(guidance_scale=guidance, axes=("guidance_scale", "scheduler"))
        made.append(finish(store, experiment, spec, tmp_path / "a", step_s=step_s))
        store.amend(made[-1], {}, {"cogx.trial": str(number), "cogx.trial.search": "a"})

    refresh(store, "exp")

    charts, table = state(experiment, "cogx-clips"), state(experiment, "cogx-table")
    assert (table["orderByKey"], table["orderByAsc"], charts["orderByAsc"]) == ("metrics.`step_s`", True, True)
    assert table["selectedColumns"] == [
        "metrics.`axis.guidance_scale`", "params.`scheduler`", "metrics.`step_s`", "metrics.`clip_score`",
        "metrics.`wall_time_s`", "metrics.`peak_vram_gib`", "metrics.`file_size_bytes`", "metrics.`current_step`",
        "tags.`cogx.trial`",
    ]  # fmt: skip
    (parallel,) = [card for card in charts["compareRunCharts"] if card["type"] == "PARALLEL"]
    assert parallel["selectedParams"] == ["guidance_scale", "scheduler"]
    assert parallel["selectedMetrics"] == ["step_s", "clip_score"]
    drawn = [(card["xaxis"]["key"], card["yaxis"]["key"]) for card in charts["compareRunCharts"] if "xaxis" in card]
    assert drawn[-1] == ("clip_score", "step_s")
    assert state(experiment, "cogx-best-trials")["searchFilter"] == (
        f"tags.`cogx.kind` = 'run' and attributes.run_id IN ('{made[1]}')"
    )
    rows = [line for line in note(experiment).splitlines() if line.startswith("|")]
    assert [row.split(" | ")[1] for row in rows[2:]] == ["2", "1", "3"]

    store.amend(made[1], {}, {"cogx.degenerate": "frozen"})
    refresh(store, "exp")

    assert f"IN ('{made[0]}', '{made[2]}')" in state(experiment, "cogx-best-trials")["searchFilter"]
    assert state(experiment, "cogx-clips")["selectedColumns"][-1] == "tags.`cogx.degenerate`"


def test_each_search_is_judged_by_itself_and_the_newest_ones_best_trial_comes_first(
    store: RunStore, tmp_path: Path
) -> None:
    search = OptunaSearch(trials=2, objectives=["clip_score"])
    experiment = store.open_experiment(SWEEP.model_copy(update={"vary": "optuna", "optuna": search}))

    def tried(key: str, number: int, guidance: float, *scores: float) -> list[str]:
        tags = {"cogx.trial": str(number), "cogx.trial.search": key}
        made = []
        for seed, score in enumerate(scores, int(10 * guidance)):
            spec = SPEC.replace(guidance_scale=guidance, seed=seed, axes=("guidance_scale",))
            made.append(finish(store, experiment, spec, tmp_path / "a", clip_score=score))
            store.amend(made[-1], {}, tags)
        return made

    two_seeds = tried("two seeds", 1, 1.0, 20.0, 21.0)
    tried("two seeds", 2, 2.0, 40.0)
    tried("one seed", 1, 3.0, 34.0)
    (best,) = tried("one seed", 2, 4.0, 35.0)

    refresh(store, "exp")

    assert state(experiment, "cogx-best-trials")["searchFilter"].endswith(f" IN ('{best}')")
    rows = [line for line in note(experiment).splitlines() if line.startswith("|")][2:]
    assert [re.findall(r"runs/(\w+)", row)[0] for row in rows[:3]] == [best, *two_seeds]


def test_promoted_runs_stand_with_what_they_were_made_from(store: RunStore, tmp_path: Path) -> None:
    experiment = store.open_experiment(SWEEP)
    few, _, many = (
        finish(store, experiment, SPEC.replace(num_inference_steps=steps, seed=seed), tmp_path / "a")
        for steps, seed in ((10, 1), (10, 2), (50, 1))
    )
    lineage = {"promoted_from": few, "promoted_by": "clip_score", "promoted_rank": "1 of 2"}
    store.amend(many, {}, {f"cogx.{name}": value for name, value in lineage.items()})

    refresh(store, "exp")

    promoted = state(experiment, "cogx-promoted")
    assert promoted["searchFilter"] == f"tags.`cogx.kind` = 'run' and attributes.run_id IN ('{few}', '{many}')"
    assert promoted["selectedColumns"][-2:] == ["tags.`cogx.promoted_by`", "tags.`cogx.promoted_rank`"]
    run = f"#/experiments/{experiment}/runs/{few}?workflowType=machine_learning"
    assert rf"promoted from [guidance=6 panda]({run}): 1 of 2 by clip\_score |" in note(experiment)


def test_a_board_is_written_when_a_sweep_begins_at_most_every_10_s_and_at_its_end(
    store: RunStore, tmp_path: Path
) -> None:
    experiment = store.open_experiment(SWEEP)
    now = 100.0
    boards = Boards(store, clock=lambda: now)
    assert boards.open({"exp": experiment}, {"exp": 3}) is None
    begun = state(experiment, "cogx-clips")
    assert begun["orderByKey"] == "metrics.`axis.guidance_scale`"
    assert begun["compareRunSections"][0]["cardHeight"] == 120 + 306
    finish(store, experiment, SPEC, tmp_path / "a")

    now = 109.0
    boards.changed("exp", beside=False)
    assert "[video](" not in note(experiment)
    now = 110.0
    boards.changed("exp", beside=False)
    assert note(experiment).count("[video](") == 1
    finish(store, experiment, SPEC.replace(seed=7), tmp_path / "a")

    assert boards.close() == []
    assert note(experiment).count("[video](") == 2


class RefusingStore(RunStore):
    """Takes no tag of an experiment and no step."""

    def tag_experiment(self, *_: Any) -> None:
        raise StoreError("no space\nat all")

    def log_step(self, *_: Any) -> None:
        raise StoreError("no space\nat all")


def test_a_board_that_cannot_be_written_stops_nothing_and_is_told_at_the_end(project: Path) -> None:
    experiment = RunStore().open_experiment(SWEEP)
    store = RefusingStore()
    boards = Boards(store)

    assert boards.open({"exp": experiment}, {"exp": 1}) is None
    boards.step("a run", 1)
    assert boards.close() == ["the view of exp could not be written: no space"]
    with pytest.raises(CogxError, match="the view of exp cannot be written: no space"):
        show(store, "exp", RunFilter())


def test_a_description_that_a_user_wrote_is_left_alone(store: RunStore) -> None:
    experiment = store.open_experiment(SWEEP)
    refresh(store, "exp")
    MlflowClient().set_experiment_tag(experiment, MLFLOW_NOTE, "My own words.")

    refresh(store, "exp")

    assert note(experiment) == "My own words."


def test_boards_written_by_two_at_once_are_both_written(store: RunStore) -> None:
    experiment = store.open_experiment(SWEEP)
    with ThreadPoolExecutor(4) as pool:
        pages = [found.result() for found in [pool.submit(refresh, RunStore(), "exp") for _ in range(4)]]

    assert len(set(pages)) == 1
    assert state(experiment, "cogx")


def test_a_series_written_twice_is_read_once(store: RunStore, tmp_path: Path) -> None:
    run_id = claim(store, store.open_experiment(SWEEP), SPEC)
    (tmp_path / "latents").write_bytes(b"")
    for values in ([1.0, 0.9], [1.0, 0.8]):
        store.keep_latents(run_id, tmp_path / "latents", {}, {}, series={"by_step.latent_std": values})

    (run,) = store.runs(["exp"])
    assert store.series(run) == {"by_step.latent_std": [1.0, 0.8]}
    (row,) = store.rows(["exp"])
    assert not any(key.startswith("metrics.by_") for key in row)
    assert all(past.metrics == {} for past in store.history())


def test_text_of_a_user_stands_for_itself_in_markdown() -> None:
    assert escaped("<script>alert(1)</script>\n| *a* [b](c)") == (
        r"&lt;script&gt;alert\(1\)&lt;/script&gt; \| \*a\* \[b\]\(c\)"
    )
    long = run_note("what", "<b>" * 4000, "7" * 32, {"clip_score": 30.0}, "cogx-runs generate '```'")
    assert len(long) <= RUN_LIMIT
    assert "<b>" not in long
