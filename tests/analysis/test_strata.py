"""Strata of runs, which are not compared with each other."""

import json
from typing import Any

import pytest

from cogx_runs.analysis.effects import effects
from cogx_runs.analysis.ranking import rank_parameters
from cogx_runs.analysis.strata import strata_of
from cogx_runs.analysis.wording import sentence
from cogx_runs.errors import CogxError
from tests.support.frames import frame_of, run
from tests.support.studies import study


def test_runs_of_several_models_have_effects_of_their_own_in_one_family() -> None:
    small = study([1.0, 1.2, 0.9] * 3)
    large = study([-2.0, -1.5, -1.0] * 3, model="5b", model_revision="other", dtype="bfloat16")
    frame = frame_of(small + large)

    with pytest.raises(CogxError, match="runs of 2 values of model_revision"):
        effects(frame, ["guidance_scale"], ["clip_score"])
    found = effects(frame, ["guidance_scale"], ["clip_score"], apart=True)

    assert [(one.kind, one.mean, one.comparisons) for one in found] == [
        ("model 2b", pytest.approx(3.1 / 3), 2),
        ("model 5b", pytest.approx(-1.5), 2),
    ]
    assert [(one.rank, one.effect.kind) for one in rank_parameters(found)] == [(1, "model 2b"), (1, "model 5b")]
    assert sentence(found[1]).startswith("At guidance_scale 12 (model 5b) the CLIP score is on average 1.50 lower than")


def test_strata_are_named_by_their_differences_and_clips_only_where_they_gave_a_score() -> None:
    rows = [run(), run(height=240, width=360), run(clip_model="ViT-L-14:openai"), run(model_revision="later")]
    frame = frame_of([{**row, "metrics.clip_score": 1.0, "metrics.wall_time_s": 1.0} for row in rows])

    assert [kind for kind, _ in strata_of(frame, ["wall_time_s"])] == [
        "model 2b@1137dacf, height 240", "model 2b@1137dacf, height 480", "model 2b@later, height 480",
    ]  # fmt: skip
    assert len(strata_of(frame, ["clip_score"])) == 4
    assert [(kind, len(runs)) for kind, runs in strata_of(frame[:1], ["clip_score"])] == [("", 1)]
    assert [kind for kind, _ in strata_of(frame[:2], ["wall_time_s"], ["height", "width"])] == [""]


def test_runs_without_a_metric_are_no_stratum_and_a_comparison_names_its_reference() -> None:
    def of(identity: str, **given: Any) -> dict[str, Any]:
        return run({"cogx.metrics": json.dumps({"psnr": identity})}, psnr=30.0, clip_score=25.0, **given)

    rows = [of("1 against num_inference_steps=50"), run(seed=1, clip_score=25.0)]
    more = [*rows, of("1 against num_inference_steps=30", seed=2), of("2", seed=3)]
    both = frame_of(rows)

    assert [(kind, len(runs)) for kind, runs in strata_of(both, ["psnr"])] == [("", 1)]
    assert [(kind, len(runs)) for kind, runs in strata_of(both[:1], ["psnr"], among=both)] == [("", 1)]
    assert strata_of(both[1:], ["psnr"], among=both) == []
    assert [(kind, len(runs)) for kind, runs in strata_of(both, ["clip_score"])] == [("", 2)]
    assert [kind for kind, _ in strata_of(both, ["clip_score", "psnr"])] == [""]
    assert [kind for kind, _ in strata_of(frame_of(more), ["psnr"])] == [
        "psnr 1 against num_inference_steps=30", "psnr 1 against num_inference_steps=50", "definition 2",
    ]  # fmt: skip


def test_runs_whose_definition_is_unknown_are_a_stratum() -> None:
    rows = [run({"cogx.metrics": '{"clip_score": "1"}'}, clip_score=25.0), run(seed=1, clip_score=25.0)]

    assert [kind for kind, _ in strata_of(frame_of(rows), ["clip_score"])] == ["definition 1", "definition unknown"]
