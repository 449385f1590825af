"""The metric: a card, and a function of a video."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.subject import Subject
from cogx_runs.video import Frames

Values = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Measured:
    """A metric's value with the conditions on which it depends besides its definition."""

    value: float
    by_frame: tuple[float, ...] = ()
    """Values of the single frames, where they are worth keeping."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """Conditions of this value, such as whether the prompt was cut."""


def finite(measured: Measured | None) -> Measured | None:
    """Returns the value where it is finite, else None: neither a store nor a mean accepts any other."""
    return measured if measured is not None and math.isfinite(measured.value) else None


class Metric(Protocol):
    """A metric of single videos."""

    @property
    def card(self) -> MetricCard: ...

    def check(self, clip_model: str) -> None:
        """Raises WeightsUnavailableError where it cannot be measured on this machine with this CLIP."""

    def measure(self, subject: Subject) -> Measured | None:
        """Measures a video; None where it can have no value, as a single frame has no change."""


class Comparison(Protocol):
    """A metric of a video against a reference of the same shape."""

    @property
    def card(self) -> MetricCard: ...

    def check(self) -> None:
        """Raises WeightsUnavailableError where it cannot be measured on this machine."""

    def compare(self, frames: Frames, reference: Frames) -> Measured:
        """Compares a video with its reference. Raises CogxError where the shapes differ."""


@dataclass(frozen=True)
class MeanMetric:
    """The mean of a function of a video; needs the CLIP where its card's `uses_clip` is set."""

    card: MetricCard
    values: Callable[[Subject], Values | float]
    """Values of each frame, or of each but the first, or the mean itself."""
    frames_needed: int = 1
    keeps_frames: bool = False
    """Whether there is a value for each frame, worth keeping with the mean."""
    conditions: Callable[[Subject], Mapping[str, str]] = lambda _: {}

    def check(self, clip_model: str) -> None:
        """Loads the CLIP, where the value depends on it."""
        if self.card.uses_clip:
            from cogx_runs.metrics.clip import encoder_of

            encoder_of(clip_model)

    def measure(self, subject: Subject) -> Measured | None:
        """Averages the function's values; None for a video with fewer frames than it needs."""
        if len(subject.frames) < self.frames_needed:
            return None
        values = self.values(subject)
        by_frame = tuple(np.ravel(values).tolist()) if self.keeps_frames else ()
        return Measured(float(np.mean(values)), by_frame, self.conditions(subject))


@dataclass(frozen=True)
class FrameComparison:
    """The mean of a function of two videos' frames."""

    card: MetricCard
    values: Callable[[Frames, Frames], Values]

    def check(self) -> None:
        """Accepts every machine: the comparison needs no weights."""

    def compare(self, frames: Frames, reference: Frames) -> Measured:
        """Averages the function's values. Raises CogxError where the shapes differ."""
        return Measured(float(np.mean(self.values(frames, reference))))
