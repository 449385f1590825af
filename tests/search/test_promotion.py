"""Candidates at few steps, the best of them at many, and whether the choice holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from scipy import stats

from cogx_runs import load_runs, making, plan_sweeps, promote, promotion
from cogx_runs.analysis.agreement import Agreement, agreement
from cogx_runs.analysis.frame import _typed
from cogx_runs.analysis.intervals import Sample
from cogx_runs.analysis.previews import previews, ranked
from cogx_runs.analysis.promoted import compare, metric_to_check_by, promoted
from cogx_runs.analysis.promotion import Candidate, Choice, choose
from cogx_runs.analysis.promotion_wording import no_agreement, say_agreement, say_comparison
from cogx_runs.cli import cli
from cogx_runs.errors import CogxError
from cogx_runs.promotion import carry_out, lineage, plan_promotion
from cogx_runs.record import METRICS_TAG, params, spec_metrics, write_definition
from cogx_runs.tracking.store import RunStore
from tests.support.specs import SPEC

OTHER = "clip_score.other"


def row(
    prompt: str,
    seed: int,
    steps: int,
    clip_score: float | None,
    *,
    status: str = "FINISHED",
    tags: Mapping[str, str] | None = None,
    other: float | None = None,
    **given: Any,
) -> dict[str, Any]:
    """A run as the store gives it."""
    text = given.pop("text", f"A text of {prompt}.")
    start_time = given.pop("start_time", 0)
    spec = replace(SPEC, prompt_name=prompt, prompt=text, seed=seed, num_inference_steps=steps, axes=("seed",), **given)
    return {
        "run_id": f"{prompt}{seed}{steps}{spec.signature}{status}",
        "run_name": spec.run_name,
        "status": status,
        "start_time": start_time,
        **{f"params.{name}": str(value) for name, value in params(spec).items()},
        "metrics.clip_score": clip_score,
        f"metrics.{OTHER}": other,
        "tags.cogx.signature": spec.signature,
        "tags.cogx.prompt": spec.prompt,
        **{f"tags.{name}": value for name, value in (tags or {}).items()},
    }


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return _typed(pd.DataFrame.from_records([dict(one) for one in rows]))


def both(scores: Mapping[str, tuple[Sequence[float], Sequence[float | None]]]) -> list[dict[str, Any]]:
    """Seeds 0, 1, ... of each prompt with a score at 25 steps and, where it is not None, one at 50."""
    rows = []
    for prompt, (before, after) in scores.items():
        rows += [row(prompt, seed, 25, score) for seed, score in enumerate(before)]
        rows += [row(prompt, seed, 50, score) for seed, score in enumerate(after) if score is not None]
    return rows


def agree(scores: Mapping[str, tuple[Sequence[float], Sequence[float | None]]]) -> Agreement:
    found = agreement(frame_of(both(scores)), "clip_score", 25, 50)
    assert found is not None
    return found


def chosen(choice: Choice) -> list[tuple[str, str, int, int]]:
    return [(one.prompt, one.run_name, one.rank, one.of) for one in choice.promoted]


TWO = both({"fox": ([3.0, 5.0, 4.0], []), "owl": ([2.0, 1.0], [])})


def test_the_best_of_each_prompt_is_chosen_at_the_fewer_steps() -> None:
    frame = frame_of([*TWO, row("fox", 9, 50, 99.0), row("fox", 7, 100, 99.0)])

    choice = choose(frame, "clip_score", 50)

    assert (choice.from_steps, choice.steps, choice.direction) == (25, 50, "higher")
    assert chosen(choice) == [("fox", "seed=1 fox", 1, 3), ("owl", "seed=0 owl", 1, 2)]
    assert chosen(choose(frame, "clip_score", 50, top=2))[1] == ("fox", "seed=2 fox", 2, 3)
    assert chosen(choose(frame, "clip_score", 50, top=None)) == [
        ("fox", "seed=1 fox", 1, 3),
        ("fox", "seed=2 fox", 2, 3),
        ("fox", "seed=0 fox", 3, 3),
        ("owl", "seed=0 owl", 1, 2),
        ("owl", "seed=1 owl", 2, 2),
    ]


def test_equal_candidates_are_taken_by_seed_whatever_the_order_of_rows() -> None:
    rows = both({"fox": ([4.0, 5.0, 5.0], [])})

    assert chosen(choose(frame_of(rows), "clip_score", 50)) == chosen(choose(frame_of(rows[::-1]), "clip_score", 50))
    assert chosen(choose(frame_of(rows), "clip_score", 50))[0][1] == "seed=1 fox"


def test_where_lower_is_better_the_lowest_comes_first() -> None:
    rows = ranked(previews(frame_of(TWO), "clip_score", 25, 50), "lower")

    assert list(rows["run_name"]) == ["seed=0 fox", "seed=2 fox", "seed=1 fox", "seed=1 owl", "seed=0 owl"]


def test_candidates_may_differ_in_more_than_the_seed() -> None:
    rows = [
        row("fox", seed, 25, seed + guidance, guidance_scale=guidance) for seed in (1, 2) for guidance in (3.0, 6.0)
    ]

    (best,) = choose(frame_of(rows), "clip_score", 50).promoted

    assert (best.run_id, best.of, best.value) == (rows[3]["run_id"], 4, 8.0)


def test_candidates_that_have_not_finished_are_named_and_a_choice_of_one_is_said_to_be_none() -> None:
    rows = [
        *TWO,
        row("owl", 5, 25, None, status="FAILED"),
        row("owl", 0, 25, None, status="KILLED"),
        row("yak", 1, 25, 1.0),
    ]

    choice = choose(frame_of(rows), "clip_score", 50)

    assert choice.notes == (
        "owl: 1 candidate not finished, and so not chosen among",
        "yak: one candidate, so that there is no choice",
    )
    assert ("owl", "seed=0 owl", 1, 2) in chosen(choice)


def test_a_degenerate_candidate_is_never_chosen_and_a_prompt_of_nothing_else_is_not_promoted() -> None:
    noise, still = {"cogx.degenerate": "noise"}, {"cogx.degenerate": "frozen"}
    mixed = [
        row("fox", 1, 25, 99.0, tags=still),
        row("fox", 2, 25, 3.0),
        row("fox", 3, 25, 4.0),
        row("fox", 4, 25, None, status="FAILED", tags=noise),
        row("fox", 3, 25, None, status="FAILED", tags=noise),
    ]
    hopeless = [row("owl", seed, 25, 9.0 + seed, tags=noise) for seed in (1, 2)]
    finals = [row("fox", seed, 50, float(seed), tags=noise if seed == 3 else None) for seed in (1, 2, 3)]

    for top in (1, 2, None):
        choice = choose(frame_of([*mixed, *hopeless]), "clip_score", 50, top=top)
        assert chosen(choice) == [("fox", "seed=3 fox", 1, 2), ("fox", "seed=2 fox", 2, 2)][:top]
        assert choice.notes == (
            "fox: 2 of 4 candidates degenerate (frozen, noise), and so not chosen among",
            "owl: 2 of 2 candidates degenerate (noise), so that none is promoted",
        )
    with pytest.raises(CogxError) as raised:
        choose(frame_of(hopeless), "clip_score", 50)
    assert str(raised.value) == (
        "--from-steps 25: all 2 candidates are degenerate (noise), so that there is nothing to choose"
    )
    renewed = [row("fox", 1, 25, 3.0), row("fox", 1, 25, None, status="FAILED", text="A new text.", start_time=9)]
    with pytest.raises(CogxError, match="no video of the prompts' present texts is finished at that count"):
        choose(frame_of(renewed), "clip_score", 50)
    whole = frame_of([*mixed, *hopeless, *finals])
    found = agreement(whole, "clip_score", 25, 50)
    assert found is not None
    assert (found.prompts, found.by_prompt[0].candidates, found.hits, found.left_out) == (1, 2, 1, 0)
    best = promoted(whole, choose(whole, "clip_score", 50, from_steps=25, top=None), None)
    assert [(one.run_name, one.final_rank, one.final_is_degenerate) for one in best] == [
        ("seed=3 fox", 1, True), ("seed=2 fox", 2, False),
    ]  # fmt: skip


def test_a_prompt_whose_text_was_changed_is_its_newest_text() -> None:
    old = [row("fox", seed, 25, 100.0 + seed, text="An old text.", start_time=1) for seed in (1, 2)]
    new = [row("fox", seed, 25, float(seed), start_time=2) for seed in (1, 2, 3)]

    assert chosen(choose(frame_of([*old, *new]), "clip_score", 50)) == [("fox", "seed=3 fox", 1, 3)]


@pytest.mark.parametrize(
    ("rows", "asked", "message"),
    [
        (TWO, {"by": "wall_time_s"}, "--by wall_time_s: is of the machine and not of the video; use clip_score"),
        (
            TWO,
            {"by": "file_size_bytes"},
            "--by file_size_bytes: nobody knows which direction is better; use clip_score",
        ),
        (TWO, {"by": "clipscore"}, "--by clipscore: no run here has it; did you mean 'clip_score'?"),
        (TWO, {"steps": 25}, "--steps 25: no finished run has fewer steps, so that there is nothing to choose from"),
        (TWO, {"from_steps": 50}, "--from-steps 50: must be fewer than the 50 of --steps"),
        (TWO, {"from_steps": 10}, "--from-steps 10: no finished run has that many; there are 25"),
        ([*TWO, row("fox", 1, 10, 1.0)], {}, "--from-steps: there are finished runs at 10, 25 steps; name one count"),
        (
            [*TWO, row("owl", 8, 25, None)],
            {},
            "--by clip_score: 1 of 6 finished candidates have no value (seed=8 owl); "
            "`cogx-runs rescore SWEEP` may add it",
        ),
        (
            [*TWO, row("owl", 8, 25, None)],
            {"by": OTHER},
            "--by clip_score.other: 6 of 6 finished candidates have no value "
            "(seed=0 fox, seed=0 owl, seed=1 fox, ...); `cogx-runs rescore SWEEP --clip-model other` may add it",
        ),
        (
            [*TWO, row("owl", 8, 25, 1.0, clip_model="toy")],
            {},
            "--by clip_score: the candidates have values of 2 definitions: ViT-B-32:openai, toy",
        ),
        (
            [row("owl", seed, 25, 1.0, tags={"cogx.metrics": f'{{"clip_score": "{seed}"}}'}) for seed in (1, 2)],
            {},
            "--by clip_score: the candidates have values of 2 definitions: 1, 2",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_among_is_one_line(
    rows: list[dict[str, Any]], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(CogxError) as raised:
        choose(frame_of(rows), **{"by": "clip_score", "steps": 50, **asked})

    assert str(raised.value) == message


def test_a_metric_against_a_reference_neither_chooses_nor_checks() -> None:
    frame = frame_of([row("fox", seed, 25, float(seed)) | {"metrics.psnr": 30.0} for seed in (1, 2)])

    assert metric_to_check_by(frame, choose(frame, "clip_score", 50)) is None
    with pytest.raises(CogxError, match="compares a video with another and says nothing of it alone; use clip_score"):
        choose(frame, "psnr", 50)


def test_the_check_is_another_clips_score_then_the_first_that_is_registered() -> None:
    others = {"metrics.sharpness": 1.0, "metrics.temporal_flickering": 1.0, "metrics.clip_consistency": 1.0}
    there = [row("fox", seed, 25, float(seed)) | others for seed in (1, 2)]
    scored = frame_of([one | {f"metrics.{OTHER}": 1.0} for one in there])

    by_other = choose(scored, OTHER, 50)

    assert metric_to_check_by(frame_of(there), choose(frame_of(there), "clip_score", 50)) == "clip_consistency"
    assert metric_to_check_by(scored, choose(scored, "clip_score", 50)) == OTHER
    assert (by_other.direction, metric_to_check_by(scored, by_other)) == ("higher", "clip_score")
    without = frame_of(there).drop(columns="metrics.clip_consistency")
    assert metric_to_check_by(without, choose(without, "clip_score", 50)) == "temporal_flickering"


def test_the_same_order_agrees_wholly_and_the_reverse_not_at_all() -> None:
    before = [3.0, 1.0, 2.0]
    same = agree({prompt: (before, [10 * score for score in before]) for prompt in "abcd"})
    reverse = agree({prompt: (before, [-score for score in before]) for prompt in "abcd"})

    assert (same.tau, same.hits, same.prompts, same.regret, same.random_regret) == (1, 4, 4, 0, 10)
    assert (same.hit_low, same.hit_high) == pytest.approx((0.025 ** (1 / 4), 1))
    assert (reverse.tau, reverse.tau_low, reverse.tau_high) == (-1, -1, -1)
    assert (reverse.hits, reverse.regret, reverse.random_regret) == (0, 2, 1)
    assert (reverse.hit_low, reverse.hit_high) == pytest.approx((0, 1 - 0.025 ** (1 / 4)))
    assert same.chance == reverse.chance == pytest.approx(1 / 3)


def test_agreement_is_the_mean_over_prompts_with_their_interval() -> None:
    scores: dict[str, tuple[Sequence[float], Sequence[float | None]]] = {
        "a": ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]),
        "b": ([1.0, 2.0, 2.0, 4.0], [5.0, 6.0, 7.0, 8.0]),
        "c": ([1.0, 2.0, 3.0], [0.0, 9.0, 9.0]),
    }

    found = agree(scores)

    taus = [float(stats.kendalltau(*pair).statistic) for pair in scores.values()]
    assert taus == pytest.approx([2 / 3, 5 / np.sqrt(5 * 6), 2 / np.sqrt(2 * 3)])
    assert [prompt.tau for prompt in found.by_prompt] == pytest.approx(taus)
    assert found.tau == pytest.approx(np.mean(taus))
    low, high = Sample.of(taus).interval(0.95)
    assert (found.tau_low, found.tau_high) == pytest.approx((low, min(high, 1)))
    assert [prompt.hit for prompt in found.by_prompt] == [False, True, True]
    assert [prompt.regret for prompt in found.by_prompt] == [1, 0, 0]
    assert [prompt.chance for prompt in found.by_prompt] == pytest.approx([1 / 4, 1 / 4, 2 / 3])
    exact = (stats.beta.ppf(0.025, 2, 2), stats.beta.ppf(0.975, 3, 1))
    assert (found.hits, found.hit_low, found.hit_high) == (2, pytest.approx(exact[0]), pytest.approx(exact[1]))
    assert found.regret_low == 0
    assert say_agreement(found) == [
        "Agreement of 25 and 50 steps by clip_score: 3 prompts of 3 to 4 candidates.",
        f"Kendall's tau: 0.80 on average (95% interval {low:.3g} to 1; 1 is the same order, 0 is none).",
        "The best at 25 steps is the best at 50 in 2 of 3 (95% interval 9% to 99%; 39% by chance alone).",
        "Choosing at 25 steps loses 0.333 clip_score on average against the best at 50 (95% interval 0 to 1.77); "
        "choosing at random would lose 2.",
    ]


def test_prompts_whose_finals_are_not_all_there_say_nothing_of_agreement() -> None:
    scores: dict[str, tuple[Sequence[float], Sequence[float | None]]] = {
        "a": ([1.0, 2.0, 3.0], [None, 2.0, 3.0]),
        "b": ([1.0, 1.0], [3.0, 4.0]),
        "c": ([1.0], [1.0]),
    }

    found = agree(scores)

    assert (found.prompts, found.left_out, found.tau, found.tau_prompts) == (1, 1, None, 0)
    assert (found.hits, found.regret, found.regret_low) == (0, 1, None)
    winners = frame_of(both({"a": scores["a"]}))
    assert agreement(winners, "clip_score", 25, 50) is None
    assert "`--top all` makes them" in no_agreement(choose(winners, "clip_score", 50))
    with pytest.raises(CogxError, match="nobody knows which direction is better"):
        agreement(winners.assign(**{"metrics.file_size_bytes": 1.0}), "file_size_bytes", 25, 50)


def test_the_winners_are_compared_by_both_metrics() -> None:
    rows = [
        row(prompt, seed, steps, score + lift, other=10 * seed + lift)
        for prompt in "ab"
        for seed, score in enumerate([1.0, 5.0, 3.0])
        for steps, lift in ((25, 0.0), (50, 2.0 if prompt == "a" else 4.0))
        if steps == 25 or prompt == "a" or seed != 0
    ]
    frame = frame_of(rows)
    choice = choose(frame, "clip_score", 50)

    by = {one.what: (one.prompts, one.mean, one.verdict, one.chose) for one in compare(frame, choice, "clip_score")}
    check = {one.what: (one.prompts, one.mean, one.verdict, one.chose) for one in compare(frame, choice, OTHER)}

    assert by == {
        "change": (2, 3.0, "undecided", True),
        "lead": (2, 3.0, "better", True),
        "final lead": (1, 3.0, "one prompt", True),
    }
    assert check == {
        "change": (2, 3.0, "undecided", False),
        "lead": (2, 0.0, "undecided", False),
        "final lead": (1, 0.0, "one prompt", False),
    }
    assert metric_to_check_by(frame, choice) == OTHER
    assert metric_to_check_by(frame_of(TWO), choose(frame_of(TWO), "clip_score", 50)) is None
    best = promoted(frame, choice, OTHER)
    assert [(one.prompt, one.preview, one.final, one.final_rank, one.check_final) for one in best] == [
        ("a", 5.0, 7.0, 1, 12.0),
        ("b", 5.0, 9.0, None, 14.0),
    ]
    (change, lead, _), (_, held, _) = compare(frame, choice, "clip_score"), compare(frame, choice, OTHER)
    assert say_comparison(change, choice) == (
        "By clip_score, which chose: at 50 steps the best are 3 higher than at 25 (95% interval −9.71 to 15.7; "
        "2 prompts): this tends to be lower than what the steps do, since some of the value at 25 was the luck of "
        "being chosen."
    )
    assert say_comparison(lead, choice).endswith("they were chosen for it, and some of it may be luck.")
    assert say_comparison(held, choice) == (
        "By clip_score.other, which did not choose: at 25 steps the best are the same as the mean of the others "
        "(the same in each; 2 prompts): cannot be told apart."
    )


def test_luck_shows_as_a_lead_by_the_chooser_that_neither_the_final_nor_another_metric_has() -> None:
    rng = np.random.default_rng(7)
    rows = [
        row(f"p{prompt}", seed, steps, rng.normal(30, 1), other=rng.normal(30, 1))
        for prompt in range(40)
        for seed in range(5)
        for steps in (25, 50)
    ]
    frame = frame_of(rows)
    choice = choose(frame, "clip_score", 50)

    by = {one.what: one for one in compare(frame, choice, "clip_score")}
    check = {one.what: one for one in compare(frame, choice, OTHER)}
    found = agreement(frame, "clip_score", 25, 50)

    assert (by["lead"].verdict, by["change"].verdict) == ("better", "worse")
    assert [by["final lead"].verdict, check["lead"].verdict, check["final lead"].verdict] == ["undecided"] * 3
    assert found is not None
    assert found.hit_low < found.chance < found.hit_high
    assert found.tau_low < 0 < found.tau_high  # type: ignore[operator]


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
    """Three seeds of two prompts at 2 steps, as if they had been made: the best are seed 2 of the fox, 3 of the owl."""
    (project / "prompts").mkdir()
    for name, text in {"fox": "A fox runs.", "owl": "An owl sits, and then it flies."}.items():
        (project / "prompts" / f"{name}.txt").write_text(text, encoding="utf-8")
    content = {
        "name": "exp",
        "description": "Which seed?",
        "prompts": ["fox", "owl"],
        "base": {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9},
        "axes": {"seed": [1, 2, 3]},
    }
    (project / "seeds.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    make_finished({("fox", 1): 20.0, ("fox", 2): 22.0, ("fox", 3): 21.0, ("owl", 1): 5, ("owl", 2): 6, ("owl", 3): 7.5})
    return load_runs("exp")


def make_finished(scores: Mapping[tuple[str, int], float], steps: int = 2) -> None:
    """Runs of the sweep's cells with those CLIP scores; nothing is generated."""
    store = RunStore()
    plan = plan_sweeps(["seeds.yaml"], overrides={"num_inference_steps": steps}, device="cpu")
    experiment = store.open_experiment(plan.sweeps[0])
    for place, planned in enumerate(plan.runs):
        spec, folder = planned.spec, Path("artifacts")
        folder.mkdir(exist_ok=True)
        write_definition(spec, folder)
        run_id = store.claim(experiment, spec, {"cogx.env.device_name": "A chip"})
        assert run_id is not None
        measured = {"clip_score": scores[spec.prompt_name, spec.seed], OTHER: 20.0 + place}
        store.finish(run_id, folder, params(spec), measured | spec_metrics(spec), {})


@pytest.mark.slow
def test_winners_are_made_again_once_with_their_lineage_wherever_it_was_stopped(
    candidates: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = candidates[candidates["metrics.clip_score"].isin([22.0, 7.5])].set_index("params.prompt_name")
    denoise, made = making.denoise, []

    def stopped_at_the_second(pipe: Any, spec: Any, *others: Any) -> Any:
        made.append(spec.run_name)
        if len(made) == 2:
            raise KeyboardInterrupt
        return denoise(pipe, spec, *others)

    Path("prompts/fox.txt").write_text("Another text than the candidates had.", encoding="utf-8")
    monkeypatch.setattr(making, "denoise", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        promote("exp", by="clip_score", steps=4, device="cpu")
    done = promote("exp", by="clip_score", steps=4, device="cpu")
    store = RunStore()
    (scored, *_) = store.runs(["exp"], finished_only=True)
    definition = {METRICS_TAG: scored.data.tags[METRICS_TAG]}
    for run_id in candidates["run_id"]:
        store.amend(run_id, {}, definition)
    again = promote("seeds.yaml", by="clip_score", steps=4, device="cpu")

    assert [outcome.status for outcome in done.outcomes] == ["done", "finished"]
    assert [outcome.status for outcome in again.outcomes] == ["done", "done"]
    assert made == ["seed=2 steps=4 fox", "seed=3 steps=4 owl", "seed=3 steps=4 owl"]
    finals = load_runs("exp", where=["num_inference_steps=4", "status=FINISHED"]).set_index("params.prompt_name")
    assert len(finals) == 2
    for name, preview in best.iterrows():
        final = finals.loc[name]
        assert [final[f"tags.cogx.promoted_{tag}"] for tag in ("from", "by", "rank")] == [
            preview["run_id"], "clip_score", "1 of 3",
        ]  # fmt: skip
        same = [column for column in candidates.columns if column.startswith("params.")]
        differ = {column for column in same if final.get(column, name) != preview.get(column, name)}
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
    assert again.sentences[-2].startswith("Agreement of 2 and 4 steps cannot be told")
    assert again.sentences[-1] == (
        "2 of the finals have no clip_score.other yet; `cogx-runs rescore exp --clip-model other` adds it, and then "
        "the same command shows it."
    )


def test_all_candidates_at_the_final_steps_tell_the_agreement_and_finished_ones_get_their_lineage(
    candidates: pd.DataFrame,
) -> None:
    make_finished({(prompt, seed): 30.0 + seed for prompt in ("fox", "owl") for seed in (1, 2, 3)}, steps=4)

    command = ["promote", "exp", "--by", "clip_score", "--steps", "4", "--top", "all", "--device", "cpu"]
    result = CliRunner().invoke(cli, [*command, "--json"])
    table = CliRunner().invoke(cli, command)

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [run["status"] for run in told["runs"]] == ["done"] * 6
    found = told["agreement"]
    assert (told["check"], found["prompts"], found["hits"], found["chance"]) == (OTHER, 2, 1, pytest.approx(1 / 3))
    assert [one["what"] for one in told["comparisons"]] == ["change", "lead", "final lead"] * 2
    ranks = load_runs("exp", where=["num_inference_steps=4"]).groupby("params.prompt_name")["tags.cogx.promoted_rank"]
    assert [sorted(group) for _, group in ranks] == [["1 of 3", "2 of 3", "3 of 3"]] * 2
    assert [line.split()[:3] for line in table.stdout.splitlines()[1:7]] == [
        [prompt, f"seed={seed}", prompt] for prompt, seeds in (("fox", (2, 3, 1)), ("owl", (3, 2, 1))) for seed in seeds
    ]
    assert "The best at 2 steps is the best at 4 in 1 of 2" in table.stdout


def test_a_candidate_that_cannot_be_made_as_it_was_is_refused_and_another_device_is_said(
    candidates: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_promotion("exp", by="clip_score", steps=4, device="cpu")
    choice = replace(planned.choice, candidates=tuple(replace(one, device="cuda") for one in planned.choice.candidates))
    assert [advice.message for advice in promotion._advice(planned.plan, choice) if advice.where == "--device"] == [
        "the candidates were made on cuda, and these are on cpu: their pixels differ in rounding too, and not by the "
        "steps alone"
    ]
    with pytest.raises(CogxError, match="--steps: 7 steps end at timestep 0"):
        carry_out(plan_promotion("exp", by="clip_score", steps=7, device="cpu"))
    with pytest.raises(CogxError, match="--check clip_score: is the metric that chooses"):
        plan_promotion("exp", by="clip_score", steps=4, check="clip_score")

    config = promotion._config
    monkeypatch.setattr(promotion, "_config", lambda *given: config(*given) | {"model_revision": "old"})
    with pytest.raises(CogxError, match="fox .*: cannot be made again as it was: model_revision was old and is now "):
        plan_promotion("exp", by="clip_score", steps=4, device="cpu")
    store = RunStore()
    Path("config.yaml").write_text("prompt: A fox.\n", encoding="utf-8")
    for run_id in candidates["run_id"]:
        store._client.log_artifact(run_id, "config.yaml")
    monkeypatch.setattr(promotion, "_config", config)
    with pytest.raises(
        CogxError, match="its config.yaml has no clip_model, dtype, height, model, .*, so that it cannot"
    ):
        plan_promotion("exp", by="clip_score", steps=4, device="cpu")
