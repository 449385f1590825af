"""One process's share of drawing: scenes, their shapes and captions, without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cogx_runs.toy.train.captions import Caption, caption, plain_prompt
from cogx_runs.toy.train.drawing import Floats
from cogx_runs.toy.train.world import (
    COLOURS,
    PLACE_NAMES,
    SUBJECT_NAMES,
    Scene,
    draw_clip,
    sample_scene,
    scene_rng,
)

WORDINGS = 4
"""Captions drawn a clip."""
UNSAID = -1
"""In place of an attribute's index, where a caption is silent."""


@dataclass(frozen=True)
class DrawingJob:
    """Clips `start` to `start + count` of the data set `seed`."""

    seed: int
    start: int
    count: int
    frames: int
    held_out: bool


def attributes_of(scene: Scene | Caption) -> tuple[int, int, int]:
    """Looks up the indices of subject, place and colour; `UNSAID` for None."""
    return (
        SUBJECT_NAMES.index(scene.subject) if scene.subject else UNSAID,
        PLACE_NAMES.index(scene.place) if scene.place else UNSAID,
        list(COLOURS).index(scene.colour) if scene.colour else UNSAID,
    )


def draw(job: DrawingJob) -> tuple[NDArray[np.float16], list[Scene], list[list[Caption]]]:
    """Draws shapes (count, frames, MAX_SHAPES, SHAPE_FIELDS), scenes and `WORDINGS` captions a clip.

    Held-out clips have their plainest wording alone.
    """
    shapes: list[Floats] = []
    scenes: list[Scene] = []
    captions: list[list[Caption]] = []
    for index in range(job.start, job.start + job.count):
        rng = scene_rng(job.seed, index)
        scene = sample_scene(rng, job.held_out)
        shapes.append(draw_clip(scene, job.frames, rng))
        scenes.append(scene)
        if job.held_out:
            plain = Caption(plain_prompt(scene), scene.subject, scene.place, scene.colour)
            captions.append([plain] * WORDINGS)
        else:
            captions.append([caption(scene, rng) for _ in range(WORDINGS)])
    return np.stack(shapes).astype(np.float16), scenes, captions
