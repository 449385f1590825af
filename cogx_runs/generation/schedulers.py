"""CogVideoX's schedulers, and ones whose steps match the timesteps that are visited at every step count.

diffusers' two go to `t - num_train_timesteps // num_inference_steps`, which is the next timestep only where the count
divides num_train_timesteps. Elsewhere they miss it by one, or end before the noise is gone, and at some counts (61,
103, 121, ...) they visit timestep -1, the noisiest, after the last. The matched ones go to the timestep that comes
next in the schedule that is set, and past the last to the final alpha. Where diffusers' are right both give the same
bits.
"""

from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler
from diffusers.utils.torch_utils import randn_tensor

from cogx_runs.definitions.parameters import Scheduler

PAST_THE_END = -1
"""The timestep after the last, at which no noise is left."""


class _Matched:
    """What both matched schedulers share; a mixin before diffusers' class."""

    config: Any
    timesteps: torch.Tensor
    alphas_cumprod: torch.Tensor
    final_alpha_cumprod: torch.Tensor

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Sets diffusers' timesteps, without the -1 that rounding adds at some counts."""
        super().set_timesteps(num_inference_steps, device)  # type: ignore[misc]
        self.timesteps = self.timesteps[:num_inference_steps]
        visited = self.timesteps.tolist()
        self._next = dict(zip(visited, [*visited[1:], PAST_THE_END], strict=True))

    def _alphas(self, timestep: int | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
        """Looks up the alpha products at a timestep and at the next one, and whether that is past the end."""
        following = self._next[int(timestep)]
        ends = following == PAST_THE_END
        return self.alphas_cumprod[timestep], self.final_alpha_cumprod if ends else self.alphas_cumprod[following], ends

    def _original(self, model_output: torch.Tensor, sample: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Computes the x0 prediction that the model's output means."""
        if self.config.prediction_type == "epsilon":
            return (sample - (1 - alpha) ** 0.5 * model_output) / alpha**0.5
        if self.config.prediction_type == "sample":
            return model_output
        return (alpha**0.5) * sample - ((1 - alpha) ** 0.5) * model_output


class MatchedDDIMScheduler(_Matched, CogVideoXDDIMScheduler):  # type: ignore[misc]
    """CogVideoXDDIMScheduler, right at every step count; `step` is its own but for the next timestep."""

    def step(
        self,
        model_output: torch.Tensor,
        timestep: int | torch.Tensor,
        sample: torch.Tensor,
        eta: float = 0.0,  # noqa: ARG002 - the pipeline gives what diffusers' takes, and ignores
        generator: torch.Generator | None = None,  # noqa: ARG002
        return_dict: bool = False,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the sample at the next timestep, and the x0 prediction."""
        here, there, _ = self._alphas(timestep)
        original = self._original(model_output, sample, here)
        a = ((1 - there) / (1 - here)) ** 0.5
        b = there**0.5 - here**0.5 * a
        return a * sample + b * original, original


class MatchedDPMScheduler(_Matched, CogVideoXDPMScheduler):  # type: ignore[misc]
    """CogVideoXDPMScheduler (DPM-Solver++ 2M SDE), right at every step count, `step` as above."""

    def step(
        self,
        model_output: torch.Tensor,
        old_pred_original_sample: torch.Tensor | None,
        timestep: int | torch.Tensor,
        timestep_back: int | torch.Tensor | None,
        sample: torch.Tensor,
        eta: float = 0.0,  # noqa: ARG002
        generator: torch.Generator | None = None,
        return_dict: bool = False,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the sample at the next timestep, and the x0 prediction."""
        here, there, ends = self._alphas(timestep)
        back = None if timestep_back is None else self.alphas_cumprod[timestep_back]
        original = self._original(model_output, sample, here)
        h, r, *_ = self.get_variables(here, there, back)
        mult = self.get_mult(h, r, here, there, back)
        noise_size = (1 - there) ** 0.5 * (1 - (-2 * h).exp()) ** 0.5

        def noise() -> torch.Tensor:
            drawn: torch.Tensor = randn_tensor(
                sample.shape, generator=generator, device=sample.device, dtype=sample.dtype
            )
            return drawn

        following = mult[0] * sample - mult[1] * original + noise_size * noise()
        if old_pred_original_sample is None or ends:
            return following, original
        direction = mult[2] * original - mult[3] * old_pred_original_sample
        # diffusers draws once more here; the generator's state, and so the bits, depend on it.
        return mult[0] * sample - mult[1] * direction + noise_size * noise(), original


SCHEDULERS: dict[Scheduler, Any] = {
    "ddim": CogVideoXDDIMScheduler,
    "dpm": CogVideoXDPMScheduler,
    "ddim_matched": MatchedDDIMScheduler,
    "dpm_matched": MatchedDPMScheduler,
}
