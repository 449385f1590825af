"""Promotion: the chosen candidates run again at many steps, once, with their lineage."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from cogx_runs import load_runs, plan_sweeps, promote
from cogx_runs.analysis.promotion.choice import Candidate
from cogx_runs.cli import cli
from cogx_runs.errors import CogxError
from cogx_runs.generation.generate import denoise
from cogx_runs.search.promotion import plan
from cogx_runs.search.promotion.configuration import read_config
from cogx_runs.search.promotion.finals import carry_out
from cogx_runs.search.promotion.lineage import lineage
from cogx_runs.search.promotion.plan import plan_promotion
from cogx_runs.tracking.artifacts import VIDEO
from cogx_runs.tracking.record import params, spec_metrics, write_definition
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import DEFINITIONS
from tests.support.claims import claim
from tests.support.promotions import OTHER
from tests.support.running import executor


def test_lineage_names_each_metric_that_chose_the_same_candidate() -> None:
    one = Candidate(
        prompt="fox", signature="s", run_id="r1", run_name="seed=1 fox", device="cpu", value=3, rank=1, of=4
    )
    first = lineage({}, one, "clip_score")
    second = lineage(first, replace(one, rank=3), OTHER)

    assert first == {
        "cogx.promoted_from": "r1", "cogx.promoted_by": "clip_score", "cogx.promoted_rank": "1 of 4",
    }  # fmt: skip
    assert second == {
        "cogx.promoted_from": "r1", "cogx.promoted_by": f"clip_score, {OTHER}", "cogx.promoted_rank": "1 of 4, 3 of 4",
    }  # fmt: skip
    assert lineage(second, replace(one, of=6), "clip_score")["cogx.promoted_rank"] == "1 of 6, 3 of 4"
    assert lineage(second, replace(one, run_id="r2"), OTHER)["cogx.promoted_by"] == OTHER


@pytest.fixture
def candidates(project: Path, tiny_model: Path, tiny_clip: Path) -> pd.DataFrame:
    """Three seeds of two prompts at 2 steps, as if they had run: the best are seed 2 of the fox, 3 of the owl."""
    (project / "prompts").mkdir()
    (project / "prompts" / "fox.txt").write_text("A fox runs.", encoding="utf-8")
    owl = {"name": "owl", "text": "An owl sits, and then it {does}.", "variables": {"does": "flies"}}
    content = {
        "name": "exp",
        "description": "Which seed?",
        "prompts": ["fox", owl],
        "base": {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9},
        "axes": {"seed": [1, 2, 3]},
    }
    (project / "seeds.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    make_finished({("fox", 1): 20.0, ("fox", 2): 22.0, ("fox", 3): 21.0, ("owl", 1): 5, ("owl", 2): 6, ("owl", 3): 7.5})
    return load_runs("exp")


def make_finished(scores: Mapping[tuple[str, int], float], steps: int = 2) -> None:
    """Runs of the sweep's cells with those CLIP scores; nothing is generated."""
    store = RunStore()
    whole = plan_sweeps(["seeds.yaml"], overrides={"num_inference_steps": steps}, device="cpu")
    experiment = store.open_experiment(whole.sweeps[0])
    for place, planned in enumerate(whole.runs):
        spec, folder = planned.spec, Path("artifacts")
        folder.mkdir(exist_ok=True)
        write_definition(spec, folder)
        (folder / VIDEO).write_bytes(b"a video")
        run_id = claim(store, experiment, spec, {"cogx.env.device_name": "A chip"})
        measured = {"clip_score": scores[spec.prompt_name, spec.seed], OTHER: 20.0 + place}
        store.finish(run_id, folder, params(spec), measured | spec_metrics(spec), {})


@pytest.mark.slow
def test_winners_run_again_once_with_their_lineage_wherever_the_promotion_was_stopped(
    candidates: pd.DataFrame,
) -> None:
    best = candidates[candidates["metrics.clip_score"].isin([22.0, 7.5])].set_index("params.prompt_name")
    made: list[str] = []

    def stopped_at_the_second(pipe: Any, spec: Any, *others: Any) -> Any:
        made.append(spec.run_name)
        if len(made) == 2:
            raise KeyboardInterrupt
        return denoise(pipe, spec, *others)

    Path("prompts/fox.txt").write_text("Another text than the candidates had.", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), executor(denoise=stopped_at_the_second) as used:
        promote("exp", by="clip_score", steps=4, device="cpu", executor=used)
    with executor(denoise=stopped_at_the_second) as used:
        done = promote("exp", by="clip_score", steps=4, device="cpu", executor=used)
    store = RunStore()
    (scored, *_) = store.runs(["exp"], finished_only=True)
    definition = {DEFINITIONS: scored.tags[DEFINITIONS]}
    for run_id in candidates["run_id"]:
        store.amend(run_id, {}, definition)
    again = promote("seeds.yaml", by="clip_score", steps=4, device="cpu")

    assert [outcome.status for outcome in done.outcomes] == ["done", "finished"]
    assert [outcome.status for outcome in again.outcomes] == ["done", "done"]
    assert made == ["seed=2 steps=4 fox", "seed=3 steps=4 owl", "seed=3 steps=4 owl"]
    finals = load_runs("exp", where=["num_inference_steps=4", "status=FINISHED"]).set_index("params.prompt_name")
    assert len(finals) == 2
    for name, preview in best.iterrows():
        final = finals.loc[str(name)]
        assert [final[f"tags.cogx.promoted_{tag}"] for tag in ("from", "by", "rank")] == [
            preview["run_id"], "clip_score", "1 of 3",
        ]  # fmt: skip
        same = [column for column in candidates.columns if column.startswith("params.")]
        of_both = final.reindex(same).fillna(""), preview.reindex(same).fillna("")
        differ = {column for column in same if of_both[0][column] != of_both[1][column]}
        assert differ == {"params.num_inference_steps"}
        assert final["tags.cogx.prompt"] == preview["tags.cogx.prompt"]
        assert final["metrics.axis.num_inference_steps"] == 4
    tags = store.experiment_tags(store.experiment_id("exp"))
    assert json.loads(tags["cogx.axes"]) == {"seed": "number", "num_inference_steps": "number"}
    assert (tags["cogx.question"], tags["cogx.file"]) == ("Which seed?", "seeds.yaml")
    assert [(one.prompt, one.final_rank) for one in done.promoted] == [("fox", None), ("owl", None)]
    assert done.sentences[-1] == (
        "2 of the finals have no clip_score, or one by another definition than the candidates', and are not compared; "
        "where it is missing, `cogx-runs rescore exp` adds it."
    )
    assert [(one.prompt, one.final_rank) for one in again.promoted] == [("fox", None), ("owl", None)]
    assert (again.agreement, again.planned.check) == (None, OTHER)
    assert again.sentences[-2].startswith("What a lead at 2 steps is worth at 4 is unknown")
    assert again.sentences[-1] == (
        "2 of the finals have no clip_score.other yet; `cogx-runs rescore exp --clip-model other` adds it, and then "
        "the same command shows it."
    )


def test_all_candidates_at_the_final_steps_give_the_agreement_and_finished_ones_get_their_lineage(
    candidates: pd.DataFrame,
) -> None:
    make_finished({(prompt, seed): 30.0 + seed for prompt in ("fox", "owl") for seed in (1, 2, 3)}, steps=4)

    command = ["promote", "exp", "--by", "clip_score", "--steps", "4", "--top", "all", "--device", "cpu"]
    result = CliRunner().invoke(cli, [*command, "--json"])
    table = CliRunner().invoke(cli, command)

    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert [run["status"] for run in printed["runs"]] == ["done"] * 6
    assert printed["gains"]["finished"] == [[2, 2]]
    assert any("is unknown: 2 prompts of two candidates or more" in one for one in printed["sentences"])
    found = printed["agreement"]
    assert (printed["check"], found["prompts"], found["hits"], found["chance"]) == (OTHER, 2, 1, pytest.approx(1 / 3))
    assert [one["what"] for one in printed["comparisons"]] == ["change", "lead", "final lead"] * 2
    ranks = load_runs("exp", where=["num_inference_steps=4"]).groupby("params.prompt_name")["tags.cogx.promoted_rank"]
    assert [sorted(group) for _, group in ranks] == [["1 of 3", "2 of 3", "3 of 3"]] * 2
    assert [line.split()[:3] for line in table.stdout.splitlines()[1:7]] == [
        [prompt, f"seed={seed}", prompt] for prompt, seeds in (("fox", (2, 3, 1)), ("owl", (3, 2, 1))) for seed in seeds
    ]
    assert "The best at 2 steps is the best at 4 in 1 of 2" in table.stdout


def test_a_candidate_that_cannot_be_reproduced_is_refused_and_another_device_is_warned_of(
    candidates: pd.DataFrame,
) -> None:
    planned = plan_promotion("exp", by="clip_score", steps=4, device="cpu")
    assert [run.spec.variables for run in planned.plan.runs] == [{}, {"prompt.template": "owl", "prompt.does": "flies"}]
    choice = replace(planned.choice, candidates=tuple(replace(one, device="cuda") for one in planned.choice.candidates))
    assert [advice.message for advice in plan._advice(planned.plan, choice) if advice.where == "--device"] == [
        "the candidates ran on cuda, the finals run on cpu: their pixels differ by rounding too, not by the steps alone"
    ]
    with pytest.raises(CogxError, match="--steps: ddim leaves noise at 7 steps"):
        carry_out(plan_promotion("exp", by="clip_score", steps=7, device="cpu"))
    with pytest.raises(CogxError, match="--check clip_score: is the metric that chooses"):
        plan_promotion("exp", by="clip_score", steps=4, check="clip_score")

    store = RunStore()
    for candidate in planned.choice.candidates:
        config = read_config(store, candidate) | {"model_revision": "old"}
        Path("changed").mkdir(exist_ok=True)
        Path("changed/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        store.amend(candidate.run_id, {}, {}, artifacts=Path("changed"))
    with pytest.raises(CogxError, match="fox .*: cannot be reproduced: model_revision was old and is now "):
        plan_promotion("exp", by="clip_score", steps=4, device="cpu")
    Path("changed/config.yaml").write_text("prompt: A fox.\n", encoding="utf-8")
    for run_id in candidates["run_id"]:
        store.amend(run_id, {}, {}, artifacts=Path("changed"))
    with pytest.raises(
        CogxError, match="cannot be reproduced: its config.yaml has no clip_model, dtype, fps, height, model, "
    ):
        plan_promotion("exp", by="clip_score", steps=4, device="cpu")
