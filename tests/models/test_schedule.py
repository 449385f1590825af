"""Schedules, held against diffusers' schedulers."""

from typing import Any

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from cogx_runs.models.schedule import schedule_faults, timesteps

SPACINGS = ["trailing", "leading", "linspace"]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("scheduler_class", [CogVideoXDDIMScheduler, CogVideoXDPMScheduler])
def test_timesteps_are_those_of_the_scheduler_for_every_count(scheduler_class: Any, spacing: str) -> None:
    scheduler = scheduler_class(timestep_spacing=spacing)
    theirs = {}
    for steps in range(1, 201):
        scheduler.set_timesteps(steps)
        theirs[steps] = scheduler.timesteps.tolist()

    ours = {steps: timesteps(steps, 1000, spacing) for steps in range(1, 201)}

    assert [steps for steps in ours if ours[steps] != theirs[steps]] == []


def test_the_counts_that_end_at_timestep_0_are_those_that_leave_noise_in_the_schedulers_last_step() -> None:
    scheduler = CogVideoXDDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction",
        rescale_betas_zero_snr=True, snr_shift_scale=3.0, timestep_spacing="trailing",
    )  # fmt: skip
    sample, prediction = torch.ones(1), torch.full((1,), 0.5)
    noisy = []
    for steps in range(1, 101):
        scheduler.set_timesteps(steps)
        last = scheduler.step(prediction, scheduler.timesteps[-1], sample)
        if not torch.equal(last.prev_sample, last.pred_original_sample):
            noisy.append(steps)

    assert [steps for steps in range(1, 101) if schedule_faults(steps, 1000, "trailing")[1] >= 0] == noisy
    assert [steps for steps in noisy if steps <= 36] == [6, 7, 11, 13, 15, 17, 18, 19, 21, 24, 28, 35, 36]
    assert float((1 - scheduler.alphas_cumprod[0]).sqrt()) == pytest.approx(0.05, abs=0.005)


def test_no_step_count_is_faultless_but_the_divisors_of_1000() -> None:
    faultless = [steps for steps in range(1, 1001) if schedule_faults(steps, 1000, "trailing") == (0, -1)]

    assert faultless == [steps for steps in range(1, 1001) if 1000 % steps == 0]


def test_faults_are_counted_from_the_timesteps_that_are_visited() -> None:
    # 999, 832, 666, 499, 332, 166 by strides of 166: 999 - 166 = 833, 666 - 166 = 500, 499 - 166 = 333 are missed.
    assert schedule_faults(6, 1000, "trailing") == (3, 0)
    # 999, 666, 332 by strides of 333: 666 - 333 = 333 is missed.
    assert schedule_faults(3, 1000, "trailing") == (1, -1)
