"""The texts that the weights are measured with, and what should be read back of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cogx_runs.toy.train.captions import plain_caption, shipped_prompts
from cogx_runs.toy.train.job import UNSAID, attributes_of
from cogx_runs.toy.train.world import (
    COLOURS,
    HELD_OUT,
    MOST_THINGS,
    SCENES_OF_PROMPTS,
    SUBJECT_NAMES,
    THINGS,
    Scene,
    Things,
    sample_scene,
    scene_rng,
)


@dataclass(frozen=True)
class Case:
    """A text to generate from and what should be read back."""

    name: str
    text: str
    truth: tuple[int, ...]
    """Indices of `ATTRIBUTES`."""


def shipped_cases() -> list[Case]:
    """Lists the nine shipped prompts."""
    cases = []
    for name, text in shipped_prompts().items():
        subject, place, colour, motion = SCENES_OF_PROMPTS[name]
        truth = attributes_of(Scene(subject, place, colour or "red", motion))
        cases.append(Case(name, text, truth if colour else (*truth[:2], UNSAID, *truth[3:])))
    return cases


def held_out_cases() -> list[Case]:
    """Lists the held-out pairs, colours in turn."""
    cases = []
    for i, (subject, place) in enumerate(sorted(HELD_OUT)):
        said = plain_caption(Scene(subject, place, list(COLOURS)[i % len(COLOURS)], "acts"))
        cases.append(Case(f"{subject}_{place}", said.text, attributes_of(said)))
    return cases


def things_cases() -> list[Case]:
    """Lists twelve scenes with things beside the subject: each subject once, kinds, counts and colours in turn."""
    cases = []
    colours = list(COLOURS)
    for i, subject in enumerate(SUBJECT_NAMES):
        things = Things(THINGS[i % 3], colours[(3 * i + 1) % len(colours)], 1 + (i // 3) % MOST_THINGS)
        scene = replace(sample_scene(scene_rng(7, i)), colour=colours[i % len(colours)], things=things)
        while (subject, scene.place) in HELD_OUT:
            scene = replace(scene, place=sample_scene(scene_rng(8, i)).place)
        said = plain_caption(replace(scene, subject=subject))
        cases.append(Case(f"{subject}_{things.count}_{things.colour}_{things.kind}", said.text, attributes_of(said)))
    return cases
