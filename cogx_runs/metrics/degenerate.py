"""Degenerate output: noise, one flat colour, a frozen video, numbers that are not finite, each by a stated rule.

The thresholds were chosen on the toy (docs/degenerate.md has the counts). Their quantities do not depend on the size of
a video, so that they may hold for a larger model; on a larger one they have not been validated.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from cogx_runs.errors import DegenerateError
from cogx_runs.video import Frames

Kind = Literal["nan", "flat", "noise", "frozen"]

RULE_VERSION = "1"
"""Increased when verdicts stop being comparable with earlier ones."""
FLAT_FRAMES = 5.0
"""Spread of frames, of 255, below which a video is flat."""
NOISE_FRAMES = 0.2
NOISE_FRAMES_LATER = 0.75
"""Correlations over space, and with later frames, below both of which a video is noise."""
FROZEN_FRAMES = 0.005
"""Change of frames, as a part of their spread, below which a video is frozen."""
FLAT_LATENTS = 0.09
"""Spread of latents, of about 1, to which a model scales them, below which a video is flat."""
NOISE_LATENTS = 0.2
NOISE_LATENTS_LATER = 0.5
"""Thresholds of noise in latents; the second is lower than that of frames, since it ends a run."""
CHECKED_AT = (0.4, 0.6, 0.8)
"""Parts of the steps after which the predicted clean latents are checked."""
FRAMES_LOOKED_AT = 9
"""Evenly spaced frames from which spread and correlations are computed; the change is that of all frames."""
FRAMES_LATER = 8
"""Distance of two latent frames: the VAE decodes each to four frames, within which even noise correlates."""


@dataclass(frozen=True)
class Finding:
    """A quantity that lies below its threshold."""

    quantity: str
    value: float
    threshold: float

    def __str__(self) -> str:
        rounded = (f"{self.value:.3f}", f"{self.value:.3g}")
        value = next((text for text in rounded if float(text) < self.threshold), repr(self.value))
        return f"{self.quantity} {value}, below {self.threshold:g}"


@dataclass(frozen=True)
class Degenerate:
    """The class of a degenerate video, and the findings behind it."""

    kind: Kind
    findings: tuple[Finding, ...]
    """Quantities below their thresholds; none where latents are not finite."""

    @property
    def reason(self) -> str:
        """`correlation of neighbouring latents 0.031, below 0.2, and with the next frame 0.184, below 0.5`"""
        return ", and ".join(str(finding) for finding in self.findings) or "the latents are not finite"


@dataclass(frozen=True)
class FrameMeasures:
    """Quantities of frames that the rule checks: each the median over frames, so that half of a video decides."""

    spread: float
    """Standard deviation over the pixels of a frame, root mean square over its channels; 0 to 127.5."""
    across: float
    """Correlation of grey pixels that lie a sixteenth of the height apart; -1 to 1, and 1 for a flat frame."""
    later: float
    """Correlation of the grey frame with that FRAMES_LATER later, or the last; -1 for a single frame."""
    change: float
    """Mean absolute difference of a frame to the next, as a part of the spread; infinite for a single frame."""


@dataclass(frozen=True)
class LatentMeasures:
    """Quantities of predicted clean latents that the rule checks: each the median over latent frames."""

    spread: float
    """Standard deviation over the places of a frame, root mean square over its channels; NaN where not finite."""
    across: float
    """Correlation of neighbouring places, over all channels together; -1 to 1, and 1 for flat latents."""
    later: float
    """Correlation with the next latent frame, over all channels together; -1 for a single frame."""


def measure_frames(frames: Frames, changes: npt.NDArray[np.float64]) -> FrameMeasures:
    """Measures uint8 frames (T x H x W x C), whose `frame_changes` are given."""
    apart = max(1, round(frames.shape[1] / 16))
    ahead = min(FRAMES_LATER, len(frames) - 1)
    starts = len(frames) - ahead
    places = np.linspace(0, starts - 1, min(starts, FRAMES_LOOKED_AT)).round().astype(int)
    spreads, across, later = [], [], []
    for place in places:
        grey = _grey(frames[place])
        spreads.append(float(np.sqrt(frames[place].astype(np.float32).var((0, 1)).mean())))
        down, right = (grey[apart:], grey[:-apart]), (grey[:, apart:], grey[:, :-apart])
        across.append((_correlation(*down) + _correlation(*right)) / 2)
        if ahead:
            later.append(_correlation(grey, _grey(frames[place + ahead])))
    spread = float(np.median(spreads))
    return FrameMeasures(
        spread,
        float(np.median(across)),
        float(np.median(later)) if ahead else -1.0,
        float(np.median(changes)) / (spread or 1.0) if ahead else float("inf"),
    )


def measure_latents(latents: torch.Tensor) -> LatentMeasures:
    """Measures latents (t x c x h x w) on their own device; a GPU is synchronised once."""
    centred = latents.float() - latents.float().mean((-2, -1), keepdim=True)
    power = centred.square().mean((1, 2, 3))
    down = (centred[..., 1:, :] * centred[..., :-1, :]).mean((1, 2, 3))
    right = (centred[..., 1:] * centred[..., :-1]).mean((1, 2, 3))
    across = torch.where(power > 0, (down + right) / 2 / power, 1.0)
    both = (power[1:] * power[:-1]).sqrt()
    later = torch.where(both > 0, (centred[1:] * centred[:-1]).mean((1, 2, 3)) / both, 1.0)
    later = later if len(later) else -torch.ones_like(power)
    measured = torch.stack([power.sqrt().median(), across.median(), later.median()])  # torch's are NaN with any NaN
    return LatentMeasures(*measured.tolist())


def judge_frames(measured: FrameMeasures) -> Degenerate | None:
    """Classifies a video by the measures of its frames; None where it is not degenerate.

    A still scene that the prompt asks for is `frozen` too: its frames do not differ from those of a stuck video.
    """
    return (
        _found("flat", Finding("spread of a frame", measured.spread, FLAT_FRAMES))
        or _found(
            "noise",
            Finding("correlation across a sixteenth of the height", measured.across, NOISE_FRAMES),
            Finding("with a later frame", measured.later, NOISE_FRAMES_LATER),
        )
        or _found("frozen", Finding("change from frame to frame over their spread", measured.change, FROZEN_FRAMES))
    )


def judge_latents(measured: LatentMeasures) -> Degenerate | None:
    """Predicts the class of a video from its predicted clean latents; None where it may become a good one.

    Never `frozen`: the first predictions of any video hardly move, and a prompt may ask for a still scene.
    """
    if np.isnan(measured.spread):
        return Degenerate("nan", ())
    return _found("flat", Finding("spread of the latents", measured.spread, FLAT_LATENTS)) or _found(
        "noise",
        Finding("correlation of neighbouring latents", measured.across, NOISE_LATENTS),
        Finding("with the next frame", measured.later, NOISE_LATENTS_LATER),
    )


def refuse_degenerate(done: int, total: int, clean: torch.Tensor) -> None:
    """Checks predicted clean latents (1 x t x c x h x w) after `done` of `total` steps, at the steps of CHECKED_AT.

    Raises DegenerateError where the video will be degenerate.
    """
    if done not in checked_steps(total):
        return
    found = judge_latents(measure_latents(clean[0]))
    if found is not None:
        message = f"degenerate: {found.kind} after step {done} of {total} ({found.reason})"
        raise DegenerateError(message, found.kind, found.reason)


def checked_steps(total: int) -> tuple[int, ...]:
    """Lists the steps, counted from 1, after which latents are checked; never the last, too late to save time."""
    return tuple(sorted({step for part in CHECKED_AT if 0 < (step := round(part * total)) < total}))


def _found(kind: Kind, *findings: Finding) -> Degenerate | None:
    return Degenerate(kind, findings) if all(found.value < found.threshold for found in findings) else None


def _grey(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Averages a frame's channels (H x W x C) and subtracts the mean; H x W."""
    grey: npt.NDArray[np.float32] = frame.mean(-1, dtype=np.float32)
    grey -= grey.mean(dtype=np.float32)
    return grey


def _correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Correlates two fields of mean about 0; 1 where one is flat."""
    power = float(np.square(a).mean()) * float(np.square(b).mean())
    return float((a * b).mean()) / power**0.5 if power > 0 else 1.0
