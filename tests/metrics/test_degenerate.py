"""Degenerate output: the rule on constructed frames and latents."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cogx_runs.errors import DegenerateError
from cogx_runs.metrics.degenerate import (
    FLAT_FRAMES,
    FLAT_LATENTS,
    FROZEN_FRAMES,
    NOISE_FRAMES,
    NOISE_FRAMES_LATER,
    NOISE_LATENTS,
    NOISE_LATENTS_LATER,
    FrameMeasures,
    LatentMeasures,
    checked_steps,
    judge_frames,
    judge_latents,
    measure_frames,
    measure_latents,
    refuse_degenerate,
)
from cogx_runs.metrics.subject import frame_changes
from cogx_runs.video import Frames

GOOD_FRAMES = FrameMeasures(spread=50, across=0.6, later=0.9, change=0.05)
GOOD_LATENTS = LatentMeasures(spread=0.5, across=0.6, later=0.9)


def waves(frames: int = 17, height: int = 64, speed: float = 0.02, contrast: float = 100) -> Frames:
    """A smooth picture that moves by `speed` of its height a frame."""
    y, x, t = np.mgrid[:height, : height * 3 // 2, :frames]
    field = np.sin(4 * x / height + y / height) * np.cos(5 * (y / height + speed * t))
    grey = (127 + contrast * field).astype(np.uint8).transpose(2, 0, 1)
    return np.repeat(grey[..., None], 3, axis=-1)


def noise(shape: tuple[int, ...] = (17, 64, 96, 3)) -> Frames:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def smooth_latents(noisy: float = 0) -> torch.Tensor:
    """Latents (t x c x h x w) of a smooth field, of which a part is noise."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    field = torch.sin(x / 4)[None, None] * torch.cos(y / 5) * torch.linspace(0.5, 1, 4)[:, None, None]
    field = field.expand(5, 4, 16, 24) / field.std()
    drawn = torch.randn(5, 4, 16, 24, generator=torch.Generator().manual_seed(0))
    return float((1 - noisy**2) ** 0.5) * field + noisy * drawn


def measures_of(frames: Frames) -> FrameMeasures:
    return measure_frames(frames, frame_changes(frames))


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        (waves(), None),
        (waves(height=240, frames=5), None),
        (waves(speed=0.2), None),
        (np.zeros((9, 64, 96, 3), np.uint8), "flat"),
        (np.full((9, 64, 96, 3), (200, 30, 30), np.uint8), "flat"),
        (waves(contrast=4), "flat"),
        (noise(), "noise"),
        (noise((1, 64, 96, 3)), "noise"),
        (np.kron(noise((9, 30, 45, 3)), np.ones((1, 8, 8, 1), np.uint8)), "noise"),
        (np.repeat(waves()[:1], 17, axis=0), "frozen"),
        (np.concatenate([waves()[:7], np.repeat(waves()[7:8], 10, axis=0)]), "frozen"),
        (np.concatenate([waves()[:10], np.repeat(waves()[10:11], 7, axis=0)]), None),
        (waves(frames=1), None),
        (np.repeat(noise((1, 64, 96, 3)), 17, axis=0), "frozen"),
    ],
    ids=["good", "good and large", "fast", "black", "red", "faint", "noise", "one frame of noise", "large grains",
         "still", "stops early", "stops late", "one frame", "a still texture"],
)  # fmt: skip
def test_constructed_frames_are_what_they_were_made_to_be(frames: Frames, kind: str | None) -> None:
    found = judge_frames(measures_of(frames))

    assert (found and found.kind) == kind


def test_the_measures_of_frames_in_closed_form() -> None:
    stripes = np.zeros((2, 32, 32, 3), np.uint8)
    stripes[0, :, ::2] = stripes[1, :, 1::2] = 200

    measured = measures_of(stripes)

    assert measured.spread == pytest.approx(100)
    assert measured.across == pytest.approx(1)  # two apart: the same stripe
    assert (measured.later, measured.change) == (pytest.approx(-1), pytest.approx(2))


@pytest.mark.parametrize(
    ("good", "judge", "changes", "kind"),
    [
        (GOOD_FRAMES, judge_frames, {"spread": FLAT_FRAMES}, "flat"),
        (GOOD_FRAMES, judge_frames, {"across": NOISE_FRAMES, "later": NOISE_FRAMES_LATER}, "noise"),
        (GOOD_FRAMES, judge_frames, {"change": FROZEN_FRAMES}, "frozen"),
        (GOOD_LATENTS, judge_latents, {"spread": FLAT_LATENTS}, "flat"),
        (GOOD_LATENTS, judge_latents, {"across": NOISE_LATENTS, "later": NOISE_LATENTS_LATER}, "noise"),
    ],
)
def test_a_verdict_begins_below_its_threshold_and_needs_all_its_quantities(
    good: Any, judge: Callable[[Any], Any], changes: dict[str, float], kind: str
) -> None:
    below = {name: value - 1e-6 for name, value in changes.items()}
    assert judge(replace(good, **below)).kind == kind
    for name, threshold in changes.items():
        assert judge(replace(good, **{**below, name: threshold})) is None
        if len(changes) > 1:
            assert judge(replace(good, **{name: below[name]})) is None


def test_the_more_noise_the_less_correlation_and_the_less_contrast_the_less_spread() -> None:
    parts = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)
    mixed = [measures_of(((1 - part) * waves() + part * noise()).astype(np.uint8)) for part in parts]
    latents = [measure_latents(smooth_latents(part)) for part in parts]
    dim = [measures_of(waves(contrast=contrast)).spread for contrast in (100, 50, 20, 5)]

    for measured in (mixed, latents):
        for name in ("across", "later"):
            values = [getattr(one, name) for one in measured]
            assert values == sorted(values, reverse=True)
    assert dim == sorted(dim, reverse=True)


def test_the_measures_of_frames_do_not_go_with_their_size() -> None:
    small, large = measures_of(waves(height=64)), measures_of(waves(height=256))

    for name in ("spread", "across", "later", "change"):
        assert getattr(large, name) == pytest.approx(getattr(small, name), rel=0.05)


def test_latents_are_noise_flat_not_finite_or_may_become_a_video() -> None:
    broken = smooth_latents()
    broken[3, 1, 2, 5] = float("inf")
    kinds = [
        judge_latents(measure_latents(latents))
        for latents in (
            smooth_latents(),
            smooth_latents(noisy=0.5),
            smooth_latents(noisy=1),
            smooth_latents(noisy=1)[:1],
            torch.zeros(5, 4, 16, 24),
            torch.full((5, 4, 16, 24), 0.7),
            broken,
            smooth_latents().half() * 100,
        )
    ]

    assert [found and found.kind for found in kinds] == [None, None, "noise", "noise", "flat", "flat", "nan", None]
    assert kinds[-2] is not None
    assert kinds[-2].reason == "the latents are not finite"


def test_latents_are_looked_at_after_two_three_and_four_fifths_of_the_steps_and_never_after_the_last() -> None:
    assert [checked_steps(total) for total in (1, 2, 3, 10, 25, 50)] == [
        (), (1,), (1, 2), (4, 6, 8), (10, 15, 20), (20, 30, 40),
    ]  # fmt: skip
    pure = smooth_latents(noisy=1)[None]
    refuse_degenerate(19, 50, pure)
    refuse_degenerate(50, 50, pure)
    refuse_degenerate(30, 50, smooth_latents()[None])

    with pytest.raises(DegenerateError, match=r"^degenerate: noise after step 30 of 50 \(correlation of neigh") as told:
        refuse_degenerate(30, 50, pure)

    measured = measure_latents(pure[0])
    reason = f"correlation of neighbouring latents {measured.across:.3f}, below 0.2, and with the next frame "
    assert told.value.reason == f"{reason}{measured.later:.3f}, below 0.5"
