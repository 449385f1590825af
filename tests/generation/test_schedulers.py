"""The matched schedulers: diffusers' own bits where those are right, and no noise left anywhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXPipeline

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.generate import denoise
from cogx_runs.generation.pipeline import set_scheduler
from cogx_runs.generation.schedulers import MatchedDDIMScheduler, MatchedDPMScheduler
from cogx_runs.generation.text import TextEncoding
from cogx_runs.models.cards import resolve_model
from cogx_runs.progress import SilentProgress
from tests.support.pipelines import load, make_spec

CONFIG = {
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True, "snr_shift_scale": 3.0, "timestep_spacing": "trailing", "clip_sample": False,
}  # fmt: skip
PAIRS = {"ddim": (CogVideoXDDIMScheduler, MatchedDDIMScheduler), "dpm": (CogVideoXDPMScheduler, MatchedDPMScheduler)}
DIVISORS = (5, 8, 10, 20, 25, 40, 50)


def samples(scheduler: Any, steps: int) -> list[torch.Tensor]:
    """What each step of a schedule gives under predictions that depend on the sample and the timestep."""
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(1)
    sample, original, found = torch.randn(4, 8, generator=generator), None, []
    for place, t in enumerate(scheduler.timesteps):
        prediction = torch.tanh(sample * 0.7) + t / 1000
        if isinstance(scheduler, CogVideoXDPMScheduler):
            back = scheduler.timesteps[place - 1] if place else None
            sample, original = scheduler.step(
                prediction, original, t, back, sample, generator=generator, return_dict=False
            )
        else:
            sample = scheduler.step(prediction, t, sample, return_dict=False)[0]
        found.append(sample)
    return found


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon", "sample"])
def test_each_step_is_bitwise_diffusers_own_where_the_count_divides_1000(kind: str, prediction: str) -> None:
    # Noise cannot be predicted at a timestep that is nothing else, as the first is after rescaling.
    config = CONFIG | {"prediction_type": prediction, "rescale_betas_zero_snr": prediction != "epsilon"}
    theirs, ours = (scheduler(**config) for scheduler in PAIRS[kind])

    same = {
        steps: [torch.equal(a, b) for a, b in zip(samples(theirs, steps), samples(ours, steps), strict=True)]
        for steps in DIVISORS
    }

    assert same == {steps: [True] * steps for steps in DIVISORS}
    assert not torch.equal(samples(theirs, 12)[-1], samples(ours, 12)[-1])


@pytest.mark.parametrize("kind", PAIRS)
def test_the_last_step_leaves_no_noise_at_any_count(kind: str) -> None:
    ours: Any = PAIRS[kind][1](**CONFIG)
    sample, prediction = torch.full((3,), 2.0), torch.full((3,), 0.5)
    wrong = []
    for steps in (*range(1, 131), 201, 999, 1000):  # at 61, 103, 121 and 201 diffusers' timesteps end with a -1
        ours.set_timesteps(steps)
        last = ours.timesteps[-1]
        given = (prediction, last, sample) if kind == "ddim" else (prediction, prediction, last, None, sample)
        following, original = ours.step(*given, return_dict=False)
        if not torch.equal(following, original) or len(ours.timesteps) != steps or last < 0:
            wrong.append(steps)

    assert wrong == []


def test_a_perfect_model_is_followed_to_the_clean_sample_at_every_count() -> None:
    """DDIM is exact where the noise in a sample is known: every step lands on the line from it to the clean one."""
    clean, noise = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([1.0, -0.4, 0.2])
    errors = {}
    schedulers: list[Any] = [kind(**CONFIG) for kind in PAIRS["ddim"]]
    for name, scheduler in zip(("theirs", "ours"), schedulers, strict=True):
        for steps in range(1, 61):
            scheduler.set_timesteps(steps)
            sample, error = noise, 0.0
            for t in scheduler.timesteps:
                alpha = scheduler.alphas_cumprod[t]
                on_line = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
                error = max(error, float((sample - on_line).abs().max()))
                v = alpha**0.5 * noise - (1 - alpha) ** 0.5 * clean
                sample = scheduler.step(v, t, sample, return_dict=False)[0]
            errors[name, steps] = max(error, float((sample - clean).abs().max()))

    assert max(error for (name, _), error in errors.items() if name == "ours") < 1e-5
    assert errors["theirs", 17] > 0.01


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.slow
def test_latents_are_bitwise_diffusers_own_where_the_count_divides_1000(tiny_model: Path, kind: str) -> None:
    spec = make_spec(tiny_model, scheduler=kind, guidance_scale=1.0)
    pipe = load(spec)
    texts = TextEncoding()
    texts.encode_missing(resolve_model(spec.model), [spec], SilentProgress())

    def latents(spec: RunSpec) -> torch.Tensor:
        return denoise(pipe, spec, texts.of(spec)).latents

    same = {
        steps: torch.equal(
            latents(spec.replace(num_inference_steps=steps)),
            latents(spec.replace(num_inference_steps=steps, scheduler=f"{kind}_matched")),
        )
        for steps in (*DIVISORS, 6)
    }

    assert same == {**dict.fromkeys(DIVISORS, True), 6: False}


def test_a_pipeline_goes_from_any_scheduler_to_any_other(tiny_model: Path) -> None:
    pipe = CogVideoXPipeline.from_pretrained(tiny_model, transformer=None, vae=None, text_encoder=None, tokenizer=None)
    config = {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")}
    kinds = {
        "ddim": CogVideoXDDIMScheduler, "ddim_matched": MatchedDDIMScheduler, "dpm": CogVideoXDPMScheduler,
        "dpm_matched": MatchedDPMScheduler,
    }  # fmt: skip
    for name in ("ddim_matched", "ddim", "dpm_matched", "dpm", "ddim_matched", "dpm", "ddim"):
        set_scheduler(pipe, name)
        assert type(pipe.scheduler) is kinds[name]
        assert {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")} == config
