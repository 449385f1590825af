"""What the model takes the finished latents to be, step by step, while it denoises."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

OnClean = Callable[[int, int, torch.Tensor], None]
"""Called after each denoising step with the steps done, their number, and the predicted clean latents (1 x t x c x h
x w, where the model is)."""


@dataclass
class Clean:
    """The latest prediction."""

    latents: torch.Tensor | None = None
    """None before the first step."""


@contextmanager
def predicting_clean(scheduler: CogVideoXDDIMScheduler | CogVideoXDPMScheduler) -> Iterator[Clean]:
    """A block in which a scheduler's prediction of the clean latents is kept after each of its steps.

    The pipeline drops what both schedulers' `step` returns second, `pred_original_sample`. It is kept as it is: no
    further call of the model, no copy, and the scheduler's own result goes on unchanged.
    """
    clean = Clean()
    step = scheduler.step

    @functools.wraps(step)  # the pipeline reads the signature, to know whether there is a generator to pass
    def kept(*arguments: Any, **options: Any) -> Any:
        result = step(*arguments, **options)
        clean.latents = result[1]
        return result

    scheduler.step = kept
    try:
        yield clean
    finally:
        del scheduler.step  # the class's own is there again
