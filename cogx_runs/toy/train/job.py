"""One process's share of drawing: scenes, their shapes and captions, without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cogx_runs.toy.train.captions import Caption, caption, plain_caption
from cogx_runs.toy.train.drawing import Floats
from cogx_runs.toy.train.moving import draw_clip
from cogx_runs.toy.train.world import (
    COLOURS,
    MOST_THINGS,
    PLACE_NAMES,
    SUBJECT_NAMES,
    THINGS,
    Scene,
    mistaken,
    sample_scene,
    scene_rng,
)

WORDINGS = 4
"""Right captions drawn a clip, and as many that say what a careless writer would, where mistakes are made."""
UNSAID = -1
"""In place of an attribute's index, where a caption is silent or there is none."""
ATTRIBUTES = ("subject", "place", "colour", "thing", "thing_colour", "count")
"""What CLIP is to read in a single frame."""
CHOICES = (len(SUBJECT_NAMES), len(PLACE_NAMES), len(COLOURS), len(THINGS), len(COLOURS), MOST_THINGS)
"""How many values each attribute has."""


@dataclass(frozen=True)
class DrawingJob:
    """Clips `start` to `start + count` of the data set `seed`."""

    seed: int
    start: int
    count: int
    frames: int
    held_out: bool
    mistakes: float = 0.0
    """Probability with which a careless caption states a part of the clip wrongly."""


def attributes_of(scene: Scene | Caption) -> tuple[int, ...]:
    """Looks up the indices of `ATTRIBUTES`; `UNSAID` for None."""
    colours, things = list(COLOURS), scene.things
    return (
        SUBJECT_NAMES.index(scene.subject) if scene.subject else UNSAID,
        PLACE_NAMES.index(scene.place) if scene.place else UNSAID,
        colours.index(scene.colour) if scene.colour else UNSAID,
        THINGS.index(things.kind) if things else UNSAID,
        colours.index(things.colour) if things else UNSAID,
        things.count - 1 if things else UNSAID,
    )


def draw(job: DrawingJob) -> tuple[NDArray[np.float16], list[Scene], list[list[Caption]]]:
    """Draws shapes (count, frames, MAX_SHAPES, SHAPE_FIELDS), scenes and captions.

    `WORDINGS` right captions a clip; with mistakes, as many more that may be wrong. Held-out clips have their plainest
    wording alone.
    """
    shapes: list[Floats] = []
    scenes: list[Scene] = []
    captions: list[list[Caption]] = []
    for index in range(job.start, job.start + job.count):
        rng = scene_rng(job.seed, index)
        said = sample_scene(rng, job.held_out)
        scene = mistaken(said, rng, job.mistakes) if job.mistakes else said
        shapes.append(draw_clip(scene, job.frames, rng))
        scenes.append(scene)
        if job.held_out:
            captions.append([plain_caption(said)] * WORDINGS)
        else:
            told = (scene, said) if job.mistakes else (scene,)
            captions.append([caption(each, rng) for each in told for _ in range(WORDINGS)])
    return np.stack(shapes).astype(np.float16), scenes, captions
