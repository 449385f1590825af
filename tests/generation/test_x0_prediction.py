"""The clean latents looked at in the middle of denoising, and runs whose numbers are not finite."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from diffusers import CogVideoXPipeline

from cogx_runs.definitions.parameters import Scheduler
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import DegenerateError
from cogx_runs.generation.generate import Denoised, denoise
from cogx_runs.generation.text import TextEncoding
from cogx_runs.generation.x0_prediction import OnX0Prediction
from cogx_runs.metrics.degenerate import refuse_degenerate
from cogx_runs.models.cards import resolve_model
from cogx_runs.progress import SilentProgress
from cogx_runs.tracking.record import failure_tags
from tests.support.pipelines import load, make_spec


def latents_of(spec: RunSpec, pipe: CogVideoXPipeline, on_x0_prediction: OnX0Prediction | None) -> Denoised:
    texts = TextEncoding()
    texts.encode_missing(resolve_model(spec.model), [spec], SilentProgress())
    return denoise(pipe, spec, texts.of(spec), None, on_x0_prediction)


@pytest.mark.slow
def test_looking_at_the_clean_latents_changes_no_bit_and_leaves_the_scheduler_as_it_was(tiny_model: Path) -> None:
    spec = make_spec(tiny_model, num_inference_steps=4)
    pipe = load(spec)
    for scheduler in get_args(Scheduler):
        same = spec.replace(scheduler=scheduler)
        plain = latents_of(same, pipe, None)
        seen: list[tuple[int, int, torch.Tensor]] = []

        watched = latents_of(same, pipe, lambda *told, seen=seen: seen.append(told))

        assert torch.equal(watched.latents, plain.latents)
        assert torch.equal(latents_of(same, pipe, None).latents, plain.latents)
        assert "step" not in vars(pipe.scheduler)
        assert [(done, total) for done, total, _ in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        # Past the end of the schedule nothing is left but the prediction.
        assert torch.allclose(seen[-1][2], watched.latents, atol=1e-5)
        assert not torch.allclose(seen[0][2], watched.latents, atol=1e-2)


def test_a_run_whose_numbers_are_not_finite_says_so_in_its_tags_ended_early_or_not(tiny_model: Path) -> None:
    spec = make_spec(tiny_model, num_inference_steps=5)
    pipe = load(spec)
    with torch.no_grad():
        pipe.transformer.proj_out.bias.fill_(float("nan"))

    with pytest.raises(DegenerateError, match="^the latents are not finite in float32; try") as late:
        latents_of(spec, pipe, None)
    with pytest.raises(DegenerateError, match="^degenerate: nan after step 2 of 5 ") as early:
        latents_of(spec, pipe, refuse_degenerate)

    found = {"cogx.degenerate": "nan", "cogx.degenerate.rule": "the latents are not finite; version 1"}
    assert failure_tags(late.value) == {**found, "cogx.failure": str(late.value)}
    assert failure_tags(early.value) == {**found, "cogx.failure": str(early.value)}
    assert failure_tags(ValueError("another")) == {"cogx.failure": "another"}
    assert "step" not in vars(pipe.scheduler)
