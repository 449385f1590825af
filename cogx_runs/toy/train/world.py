"""Scenes of the toy world and the clips that show them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from cogx_runs.toy.train.drawing import Colour, Drawing, Floats
from cogx_runs.toy.train.places import PLACES
from cogx_runs.toy.train.subjects import SUBJECTS

SUBJECT_NAMES = tuple(SUBJECTS)
PLACE_NAMES = tuple(PLACES)
COLOURS: dict[str, Colour] = {
    "red": (216, 38, 40),
    "orange": (244, 134, 28),
    "golden": (238, 196, 60),
    "green": (40, 160, 66),
    "blue": (44, 98, 222),
    "purple": (142, 64, 196),
    "white": (240, 240, 244),
}
"""What a subject's painted part may be: guitar, fur, armor, suit, jersey, shirt, coat, car, skin."""
MOTIONS = ("acts", "jumps", "crosses")
"""Does its own thing in place; jumps up and down; moves across the frame."""
FRAMES_PER_SECOND = 8
HELD_OUT = frozenset(
    {(SUBJECT_NAMES[i], PLACE_NAMES[(i + 4) % 9]) for i in range(9)}
    | {(SUBJECT_NAMES[i], PLACE_NAMES[(i + 7) % 9]) for i in (0, 3, 6)}
)
"""Twelve subject-place pairs that no training clip shows."""
SCENES_OF_PROMPTS: dict[str, tuple[str, str, str | None, str]] = {
    "panda_guitar": ("panda", "bamboo", "red", "acts"),
    "gatto_hacker": ("cat", "monitors", "orange", "acts"),
    "samurai_pioggia": ("samurai", "bridge", "red", "acts"),
    "astronauta_luna": ("astronaut", "moon", "white", "acts"),
    "ronaldo_pizza": ("footballer", "restaurant", "red", "acts"),
    "persona_panino": ("person", "kitchen", "blue", "acts"),
    "cane_parco": ("retriever", "park", "golden", "jumps"),
    "citta_futuristica": ("cars", "city", None, "crosses"),
    "oceano_balena": ("whale", "sea", "blue", "jumps"),
}
"""Subject, place, colour (None: the prompt names none) and motion of each shipped prompt."""


@dataclass(frozen=True)
class Scene:
    """What a caption can say about a clip."""

    subject: str
    """A name of `SUBJECT_NAMES`."""
    place: str
    """A name of `PLACE_NAMES`."""
    colour: str
    """A name of `COLOURS`."""
    motion: str
    """A name of `MOTIONS`."""


def scene_of_prompt(name: str, rng: np.random.Generator) -> Scene:
    """Builds the scene that a shipped prompt describes; an unnamed colour is drawn from `rng`."""
    subject, place, colour, motion = SCENES_OF_PROMPTS[name]
    return Scene(subject, place, colour or str(rng.choice(list(COLOURS))), motion)


def sample_scene(rng: np.random.Generator, held_out: bool = False) -> Scene:
    """Draws a random scene for training, an eighth of them shipped ones; or one of the held-out pairs."""
    colour = str(rng.choice(list(COLOURS)))
    motion = str(rng.choice(MOTIONS, p=[0.5, 0.25, 0.25]))
    if held_out:
        subject, place = sorted(HELD_OUT)[int(rng.integers(len(HELD_OUT)))]
        return Scene(subject, place, colour, motion)
    if rng.random() < 0.12:
        return scene_of_prompt(str(rng.choice(list(SCENES_OF_PROMPTS))), rng)
    while True:
        subject, place = str(rng.choice(SUBJECT_NAMES)), str(rng.choice(PLACE_NAMES))
        if (subject, place) not in HELD_OUT:
            return Scene(subject, place, colour, motion)


def scene_rng(seed: int, index: int = 0) -> np.random.Generator:
    """Seeds the generator of clip `index` of data set `seed`: the same on every machine."""
    return np.random.default_rng([zlib.crc32(b"cogx-toy-world"), seed, index])


def draw_clip(scene: Scene, frames: int, rng: np.random.Generator) -> Floats:
    """Draws the shapes of a clip, (frames, MAX_SHAPES, SHAPE_FIELDS); layout and motion vary by `rng`.

    All face right: which way is nothing a caption says, and a model this small draws both at once.
    """
    d = Drawing(frames)
    time = d.time_s
    drift = (rng.uniform(-0.025, 0.025) * (time - 1.0)).astype(np.float32)
    PLACES[scene.place](d, rng, drift)

    beat = np.sin(2 * np.pi * rng.uniform(0.7, 1.0) * time + rng.uniform(0, 6.28))
    calm = 1.0 if scene.motion == "acts" or scene.subject == "retriever" else 0.3
    scale = rng.uniform(0.60, 0.72)
    floats = scene.subject in ("cars", "whale")
    x: Floats = np.full(frames, rng.uniform(0.40, 0.60), dtype=np.float32)
    y: Floats = np.full(frames, rng.uniform(0.86, 0.95) - 0.13 * floats, dtype=np.float32)
    angle: Floats = np.zeros(frames, dtype=np.float32)
    if scene.motion == "jumps":
        hop = np.abs(np.sin(np.pi * rng.uniform(0.4, 0.55) * time + rng.uniform(0, 3.14)))
        y = (y - 0.20 * hop).astype(np.float32)
        angle = (-0.12 * (hop - 0.5)).astype(np.float32)
    elif scene.motion == "crosses":
        hertz = rng.uniform(0.10, 0.14)
        x = (0.5 + 0.20 * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6.28))).astype(np.float32)
    tint = 1 + rng.uniform(-0.06, 0.06)
    red, green, blue = (min(c * tint, 250) for c in COLOURS[scene.colour])
    d.place(x, y, scale, angle=angle)
    SUBJECTS[scene.subject](d, (red, green, blue), (calm * beat).astype(np.float32))
    return d.shapes()
