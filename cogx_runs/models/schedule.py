"""The timesteps of a schedule, and the step counts at which diffusers' schedulers are exact."""

import itertools
import math

from cogx_runs.definitions.parameters import MATCHED, Scheduler
from cogx_runs.models.cards import ModelCard


def timesteps(num_inference_steps: int, num_train_timesteps: int, spacing: str) -> list[int]:
    """Lists the timesteps of `CogVideoXDDIMScheduler.set_timesteps` and of the DPM one's, first to last."""
    if spacing == "trailing":
        ratio = num_train_timesteps / num_inference_steps
        # They use numpy's arange, whose step is the difference of its first two values; its rounding decides ties.
        stride = num_train_timesteps - (num_train_timesteps - ratio)
        return [round(num_train_timesteps - i * stride) - 1 for i in range(math.ceil(num_train_timesteps / ratio))]
    if spacing == "leading":
        ratio = num_train_timesteps // num_inference_steps
        return [i * ratio for i in reversed(range(num_inference_steps))]
    last = num_train_timesteps - 1
    step = last / max(num_inference_steps - 1, 1)
    return [round(step * i) for i in reversed(range(num_inference_steps))]


def schedule_faults(num_inference_steps: int, num_train_timesteps: int, spacing: str) -> tuple[int, int]:
    """Counts the steps that end at another timestep than the next one starts from, and returns the end of the last one;
    below 0 is past the end, as it should be.

    The schedulers compute `previous = t - num_train_timesteps // num_inference_steps` (their `step` in diffusers).
    """
    visited = timesteps(num_inference_steps, num_train_timesteps, spacing)
    stride = num_train_timesteps // num_inference_steps
    mismatches = sum(here - stride != there for here, there in itertools.pairwise(visited))
    return mismatches, visited[-1] - stride


def is_schedule_exact(steps: int, scheduler: Scheduler, card: ModelCard) -> bool:
    """Checks whether each of `steps` steps ends where the next one starts, and the last one without noise."""
    return scheduler in MATCHED.values() or not _is_at_fault(steps, card)


def right_step_counts(near: int, card: ModelCard) -> list[int]:
    """Finds the nearest step counts below and above `near` at which diffusers' schedulers are exact."""
    directions = (range(near - 1, 0, -1), range(near + 1, card.num_train_timesteps + 1))
    found = (next((steps for steps in counts if not _is_at_fault(steps, card)), None) for counts in directions)
    return [steps for steps in found if steps is not None]


def _is_at_fault(steps: int, card: ModelCard) -> bool:
    mismatches, end = schedule_faults(steps, card.num_train_timesteps, card.timestep_spacing)
    return mismatches > 0 or end >= 0
