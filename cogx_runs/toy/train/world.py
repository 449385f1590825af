"""Scenes of the toy world: what a caption can say about a clip, and how they are drawn by lot."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

from cogx_runs.toy.train.drawing import Colour
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
    "pink": (246, 128, 180),
}
"""What a subject's painted part may be (guitar, fur, armor, suit, jersey, shirt, coat, car, skin...), and a thing."""
MOTIONS = ("acts", "jumps", "crosses", "approaches")
"""Does its own thing in place; jumps up and down; moves across the frame; comes closer and goes back."""
THINGS = ("balloon", "ball", "flower")
"""What may be beside the subject."""
MOST_THINGS = 3
HELD_OUT = frozenset(
    {(SUBJECT_NAMES[i], PLACE_NAMES[(i + 4) % 9]) for i in range(12)}
    | {(SUBJECT_NAMES[i], PLACE_NAMES[(i + 7) % 9]) for i in (0, 3, 6)}
)
"""Fifteen subject-place pairs that no training clip shows."""
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
SHIPPED = 0.35
"""Share of the scenes drawn by lot that are those of shipped prompts."""
CARELESS = 0.5
"""Share of the clips whose captions are wrong in parts, where mistakes are made."""


@dataclass(frozen=True)
class Things:
    """One to three of the same thing beside the subject."""

    kind: str
    """A name of `THINGS`."""
    colour: str
    """A name of `COLOURS`."""
    count: int


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
    things: Things | None = None
    """None: the subject is alone."""


def scene_of_prompt(name: str, rng: np.random.Generator) -> Scene:
    """Builds the scene that a shipped prompt describes; an unnamed colour is drawn from `rng`."""
    subject, place, colour, motion = SCENES_OF_PROMPTS[name]
    return Scene(subject, place, colour or str(rng.choice(list(COLOURS))), motion)


def sample_things(rng: np.random.Generator) -> Things:
    """Draws random things."""
    count = 1 + int(rng.integers(MOST_THINGS))
    return Things(str(rng.choice(THINGS)), str(rng.choice(list(COLOURS))), count)


def sample_scene(rng: np.random.Generator, held_out: bool = False) -> Scene:
    """Draws a random scene for training, some of them shipped ones; or one of the held-out pairs, without things."""
    colour = str(rng.choice(list(COLOURS)))
    motion = str(rng.choice(MOTIONS, p=[0.4, 0.2, 0.2, 0.2]))
    if held_out:
        subject, place = sorted(HELD_OUT)[int(rng.integers(len(HELD_OUT)))]
        return Scene(subject, place, colour, motion)
    if rng.random() < SHIPPED:
        return scene_of_prompt(str(rng.choice(list(SCENES_OF_PROMPTS))), rng)
    things = sample_things(rng) if rng.random() < 0.3 else None
    while True:
        subject, place = str(rng.choice(SUBJECT_NAMES)), str(rng.choice(PLACE_NAMES))
        if (subject, place) not in HELD_OUT:
            return Scene(subject, place, colour, motion, things)


def mistaken(said: Scene, rng: np.random.Generator, rate: float) -> Scene:
    """Draws what a clip shows whose caption says `said`: often just that, of a share `CARELESS` a scene each part of
    which, with probability `rate`, is another's.

    Captions from the web are wrong in such ways; no result is a held-out pair.
    """
    if rng.random() >= CARELESS:
        return said
    while True:
        other = sample_scene(rng)
        parts = {name: getattr(other, name) for name in vars(said) if rng.random() < rate}
        shown = replace(said, **parts)
        if (shown.subject, shown.place) not in HELD_OUT:
            return shown


def scene_rng(seed: int, index: int = 0) -> np.random.Generator:
    """Seeds the generator of clip `index` of data set `seed`: the same on every machine."""
    return np.random.default_rng([zlib.crc32(b"cogx-toy-world"), seed, index])
