"""The clip that shows a scene: place, subject and things, moving as the scene says."""

from __future__ import annotations

import numpy as np

from cogx_runs.toy.train.drawing import Colour, Drawing, Floats, Value
from cogx_runs.toy.train.places import PLACES
from cogx_runs.toy.train.subjects import DARK, SNOW, SUBJECTS
from cogx_runs.toy.train.world import COLOURS, Scene, Things

AFLOAT = ("cars", "whale")
"""Subjects in the air or half in water."""


def draw_clip(scene: Scene, frames: int, rng: np.random.Generator) -> Floats:
    """Draws the shapes of a clip, (frames, MAX_SHAPES, SHAPE_FIELDS); layout and motion vary by `rng`.

    All face right: which way is nothing a caption says, and a model this small draws both at once.
    """
    d = Drawing(frames)
    time = d.time_s
    drift = (rng.uniform(-0.03, 0.03) * (time - 1.0)).astype(np.float32)
    PLACES[scene.place](d, rng, drift)

    def swing(low_hertz: float, high_hertz: float) -> Floats:
        phase = 2 * np.pi * rng.uniform(low_hertz, high_hertz) * time + rng.uniform(0, 6.28)
        wave: Floats = np.sin(phase).astype(np.float32)
        return wave

    beat = swing(0.5, 0.8)
    scale: Value = rng.uniform(0.62, 0.76)
    x: Value = rng.uniform(0.40, 0.60)
    y: Value = rng.uniform(0.88, 0.95) - 0.13 * (scene.subject in AFLOAT)
    angle: Value = 0.08 * swing(0.3, 0.45)
    if scene.motion == "acts":
        beat = 1.5 * beat
    elif scene.motion == "jumps":
        hop = np.abs(swing(0.28, 0.38))
        scale = 0.88 * scale
        y, angle = y - 0.26 * hop, -0.25 * (hop - 0.5)
    elif scene.motion == "crosses":
        x, angle = 0.5 + 0.24 * swing(0.11, 0.15), 0.0
    else:
        scale, angle = scale + 0.20 * swing(0.11, 0.15), 0.0
    d.place(x, y, scale, angle=angle)
    SUBJECTS[scene.subject](d, _tinted(scene.colour, rng), beat)
    if scene.things:
        _draw_things(d, scene.things, swing(0.4, 0.7), rng)
    return d.shapes()


def _tinted(colour: str, rng: np.random.Generator) -> Colour:
    tint = 1 + rng.uniform(-0.06, 0.06)
    red, green, blue = (min(c * tint, 250.0) for c in COLOURS[colour])
    return red, green, blue


def _draw_things(d: Drawing, things: Things, sway: Floats, rng: np.random.Generator) -> None:
    """Draws things in the foreground at both sides, where the subject seldom is."""
    slots = [0.11, 0.89] if rng.random() < 0.5 else [0.89, 0.11]
    slots.append(float(rng.choice([0.28, 0.72])))
    paint = _tinted(things.colour, rng)
    d.place(0.0, 0.0)
    for slot in slots[: things.count]:
        x = slot + rng.uniform(-0.02, 0.02)
        y: Value
        if things.kind == "balloon":
            y, left = rng.uniform(0.20, 0.30) + 0.03 * sway, x + 0.02 * sway
            d.stroke(left, y + 0.10, x, y + 0.34, 0.02, SNOW)
            d.ellipse(left, y, 0.085, 0.105, paint)
            d.ellipse(left - 0.03, y - 0.04, 0.02, 0.025, SNOW)
        elif things.kind == "ball":
            y = rng.uniform(0.86, 0.90) - 0.10 * np.abs(sway)
            d.ellipse(x, y, 0.095, 0.095, DARK)
            d.ellipse(x, y, 0.082, 0.082, paint)
            d.stroke(x - 0.05, y, x + 0.05, y, 0.035, SNOW)
        else:
            y, left = rng.uniform(0.72, 0.78), x + 0.03 * sway
            d.stroke(left, y, x, 1.02, 0.03, (50, 130, 60))
            d.ellipse(left, y, 0.095, 0.095, paint)
            d.ellipse(left, y, 0.04, 0.04, (120, 80, 40))
