"""What a metric is: a card, and a function of a video."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from cogx_runs.metrics.card import MetricCard
from cogx_runs.video import Frames

if TYPE_CHECKING:
    from cogx_runs.metrics.clip import ClipEncoder

Values = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Measured:
    """A metric's value with all that it depends on beside its definition."""

    value: float
    by_frame: tuple[float, ...] = ()
    """Of each frame, where that is worth keeping."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """What else there is to know of this value, such as whether the prompt was cut."""


def finite(measured: Measured | None) -> Measured | None:
    """The value, unless it is no number: a store takes none, and a mean neither."""
    return measured if measured is not None and math.isfinite(measured.value) else None


@dataclass(frozen=True)
class Subject:
    """A video that is measured. What several metrics need of it is computed once."""

    frames: Frames
    """uint8, T x H x W x C."""
    prompt: str
    clip_model: str

    @cached_property
    def clip(self) -> "ClipEncoder":
        """The CLIP of the run, loaded."""
        from cogx_runs.metrics.clip import encoder_of

        return encoder_of(self.clip_model)

    @cached_property
    def vbench_embeddings(self) -> npt.NDArray[np.float32]:
        """Of all frames scaled as VBench scales them, T x D, not normalised."""
        return self.clip.embed_frames(self.frames, as_vbench=True)

    @cached_property
    def image_embeddings(self) -> npt.NDArray[np.float32]:
        """Of all frames by CLIP's own preprocessing, T x D, not normalised."""
        return self.clip.embed_frames(self.frames)


class Metric(Protocol):
    """A metric of single videos."""

    @property
    def card(self) -> MetricCard: ...

    def check(self, clip_model: str) -> None:
        """Raise WeightsUnavailableError where it cannot be measured on this machine with this CLIP."""

    def measure(self, subject: Subject) -> Measured | None:
        """None for a video that can have no value, as a single frame has no change."""


class Comparison(Protocol):
    """A metric of a video against a reference of the same shape."""

    @property
    def card(self) -> MetricCard: ...

    def check(self) -> None:
        """Raise WeightsUnavailableError where it cannot be measured on this machine."""

    def compare(self, frames: Frames, reference: Frames) -> Measured: ...


@dataclass(frozen=True)
class FrameMetric:
    """The mean of a function of the frames alone."""

    card: MetricCard
    values: Callable[[Frames], Values | float]
    frames_needed: int = 1

    def check(self, clip_model: str) -> None:
        """It needs no weights."""

    def measure(self, subject: Subject) -> Measured | None:
        """The mean of the function's values."""
        if len(subject.frames) < self.frames_needed:
            return None
        return Measured(float(np.mean(self.values(subject.frames))))


@dataclass(frozen=True)
class ClipMetric:
    """A metric of the run's CLIP."""

    card: MetricCard
    values: Callable[[Subject], Values | float]
    frames_needed: int = 1

    def check(self, clip_model: str) -> None:
        """Load the CLIP."""
        from cogx_runs.metrics.clip import encoder_of

        encoder_of(clip_model)

    def measure(self, subject: Subject) -> Measured | None:
        """The mean of the function's values."""
        if len(subject.frames) < self.frames_needed:
            return None
        return Measured(float(np.mean(self.values(subject))))


@dataclass(frozen=True)
class FrameComparison:
    """The mean of a function of two videos' frames."""

    card: MetricCard
    values: Callable[[Frames, Frames], Values]

    def check(self) -> None:
        """It needs no weights."""

    def compare(self, frames: Frames, reference: Frames) -> Measured:
        """The mean of the function's values. Raises CogxError where the shapes differ."""
        return Measured(float(np.mean(self.values(frames, reference))))
