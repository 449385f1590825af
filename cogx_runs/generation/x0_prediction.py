"""The x0 prediction: what the model takes the clean latents to be, step by step, while it denoises."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

OnX0Prediction = Callable[[int, int, torch.Tensor], None]
"""Called after each denoising step with the steps done, their number, and the x0 prediction (1 x t x c x h x w, where
the model is)."""


@dataclass
class X0Prediction:
    """The latest x0 prediction."""

    latents: torch.Tensor | None = None
    """None before the first step."""


@contextmanager
def predicting_x0(scheduler: CogVideoXDDIMScheduler | CogVideoXDPMScheduler) -> Iterator[X0Prediction]:
    """Keeps a scheduler's x0 prediction, of the clean latents, after each of its steps for a block.

    The pipeline drops what both schedulers' `step` returns second, `pred_original_sample`. It is kept as it is: no
    further call of the model, no copy, and the scheduler's own result goes on unchanged.
    """
    predicted = X0Prediction()
    step = scheduler.step

    @functools.wraps(step)  # the pipeline reads the signature, to know whether there is a generator to pass
    def kept(*arguments: Any, **options: Any) -> Any:
        result = step(*arguments, **options)
        predicted.latents = result[1]
        return result

    scheduler.step = kept
    try:
        yield predicted
    finally:
        del scheduler.step  # the class's own is there again
