"""Degenerate output: noise, one flat colour, a frozen video, numbers that are not finite, each by a stated rule.

The thresholds were chosen on the toy (docs/degenerate.md has the counts). They are of quantities that do not depend on
the size of a video, so that they mean the same for a larger model; on a larger model they have not been counted.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from cogx_runs.errors import DegenerateError
from cogx_runs.metrics.temporal import frame_changes
from cogx_runs.video import Frames

Kind = Literal["nan", "flat", "noise", "frozen"]

RULE_VERSION = "1"
"""Raised when a verdict would no longer compare with earlier ones."""
FLAT_FRAMES = 5.0
"""Spread of a frame, of 255, below which a video is flat."""
NOISE_FRAMES = 0.2
"""Correlation across a sixteenth of the height below which a video is noise."""
FROZEN_FRAMES = 0.25
"""Change from frame to frame, of 255, below which a video is frozen."""
FLAT_LATENTS = 0.1
"""Spread of predicted clean latents, which are about 1 over a model's videos, below which they are flat."""
NOISE_LATENTS = 0.2
"""Correlation of neighbouring latents below which they are noise."""
CHECKED_AT = (0.4, 0.6, 0.8)
"""Parts of the steps after which the predicted clean latents are looked at."""
FRAMES_LOOKED_AT = 9
"""Evenly spaced frames of which spread and correlation are taken; the change is that of all frames."""


@dataclass(frozen=True)
class Degenerate:
    """What a video was found to be, and by which part of the rule."""

    kind: Kind
    quantity: str
    """What was measured, in words; for `nan` what is not finite."""
    value: float
    threshold: float
    """Found because `value` lies below it."""

    @property
    def reason(self) -> str:
        """`correlation of neighbouring latents 0.031, below 0.2`"""
        if self.kind == "nan":
            return f"{self.quantity} are not finite"
        return f"{self.quantity} {self.value:.3f}, below {self.threshold:g}"

    @property
    def rule(self) -> str:
        """The reason with the version of the rule."""
        return f"{self.reason}; version {RULE_VERSION}"


@dataclass(frozen=True)
class FrameMeasures:
    """What the rule looks at in frames: each the median over frames, so that half of a video decides."""

    spread: float
    """Standard deviation over the pixels of a frame, root mean square over its channels; 0 to 127.5."""
    correlation: float
    """Of grey pixels that lie a sixteenth of the height apart, down and across; -1 to 1, 1 for a flat frame."""
    change: float
    """Mean absolute difference of a frame to the next; infinite for a single frame."""


@dataclass(frozen=True)
class LatentMeasures:
    """What the rule looks at in predicted clean latents: each the median over latent frames."""

    spread: float
    """Standard deviation over the places of a frame, root mean square over its channels; NaN where not finite."""
    correlation: float
    """Of neighbouring places, down and across, over all channels together; -1 to 1, 1 for flat latents."""


def measure_frames(frames: Frames) -> FrameMeasures:
    """Measure uint8 frames (T x H x W x C)."""
    some = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), FRAMES_LOOKED_AT)).round().astype(int))
    apart = max(1, round(frames.shape[1] / 16))
    spreads, correlations = zip(*(_measure_frame(frames[place], apart) for place in some), strict=True)
    changes = frame_changes(frames) if len(frames) > 1 else np.array([np.inf])
    return FrameMeasures(float(np.median(spreads)), float(np.median(correlations)), float(np.median(changes)))


def measure_latents(latents: torch.Tensor) -> LatentMeasures:
    """Measure latents (t x c x h x w) where they are; what comes from a GPU waits for it once."""
    centred = latents.float() - latents.float().mean((-2, -1), keepdim=True)
    power = centred.square().mean((-2, -1)).mean(1)
    down = (centred[..., 1:, :] * centred[..., :-1, :]).mean((-2, -1)).mean(1)
    across = (centred[..., 1:] * centred[..., :-1]).mean((-2, -1)).mean(1)
    correlation = torch.where(power > 0, (down + across) / 2 / power, 1.0)
    # A median would hide the frames that are not finite; a sum does not.
    hole = centred.sum() * 0
    spread, alike = (torch.stack([power.sqrt().median(), correlation.median()]) + hole).tolist()
    return LatentMeasures(spread, alike)


def judge_frames(measured: FrameMeasures) -> Degenerate | None:
    """What frames with these measures are; None of a video that is none of these.

    A still scene that was asked for is `frozen` too: nothing in the frames tells it from a video that has stopped.
    """
    if measured.spread < FLAT_FRAMES:
        return Degenerate("flat", "spread of a frame", measured.spread, FLAT_FRAMES)
    if measured.correlation < NOISE_FRAMES:
        quantity = "correlation across a sixteenth of the height"
        return Degenerate("noise", quantity, measured.correlation, NOISE_FRAMES)
    if measured.change < FROZEN_FRAMES:
        return Degenerate("frozen", "change from frame to frame", measured.change, FROZEN_FRAMES)
    return None


def judge_latents(measured: LatentMeasures) -> Degenerate | None:
    """What a video with these predicted clean latents will be; None where it may become a good one.

    Never `frozen`: while a video is denoised its frames are nearly alike at first, and a still scene stays so.
    """
    if not np.isfinite(measured.spread):
        return Degenerate("nan", "the predicted clean latents", measured.spread, np.inf)
    if measured.spread < FLAT_LATENTS:
        return Degenerate("flat", "spread of the latents", measured.spread, FLAT_LATENTS)
    if measured.correlation < NOISE_LATENTS:
        return Degenerate("noise", "correlation of neighbouring latents", measured.correlation, NOISE_LATENTS)
    return None


def refuse_degenerate(done: int, total: int, clean: torch.Tensor) -> None:
    """Look at predicted clean latents (1 x t x c x h x w) after `done` of `total` steps, where it is time to.

    Raises DegenerateError where the video will be degenerate.
    """
    if done not in checked_steps(total):
        return
    found = judge_latents(measure_latents(clean[0]))
    if found is not None:
        raise DegenerateError(
            f"degenerate: {found.kind} after step {done} of {total} ({found.reason})", found.kind, found.rule
        )


def checked_steps(total: int) -> tuple[int, ...]:
    """The steps, counted from 1, after which latents are looked at; never the last, which leaves nothing to save."""
    return tuple(sorted({step for part in CHECKED_AT if 0 < (step := round(part * total)) < total}))


def _measure_frame(frame: npt.NDArray[np.uint8], apart: int) -> tuple[float, float]:
    """Spread and correlation of one frame (H x W x C)."""
    colours = frame.astype(np.float32)
    spread = float(np.sqrt(colours.var((0, 1)).mean()))
    grey = colours.mean(-1)
    grey -= grey.mean()
    power = float(np.square(grey).mean())
    if power == 0:
        return spread, 1.0
    down, across = (grey[apart:] * grey[:-apart]).mean(), (grey[:, apart:] * grey[:, :-apart]).mean()
    return spread, float(down + across) / 2 / power
