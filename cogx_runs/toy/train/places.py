"""The nine places, each filling the frame; `rng` varies the layout from clip to clip.

`drift` (frame heights, one a frame) moves the far things sideways: a slow camera.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cogx_runs.toy.train.drawing import Colour, Drawing, Floats, shade

Rng = np.random.Generator


def _wave(d: Drawing, rng: Rng, hertz: float) -> Floats:
    phase = rng.uniform(0, 2 * np.pi)
    wave: Floats = np.sin(2 * np.pi * hertz * d.time_s + phase).astype(np.float32)
    return wave


def bamboo(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws a bamboo forest: tall green stalks with joints, and a mossy floor."""
    d.box(-0.1, -0.1, 1.1, 1.1, (58, 112, 66))
    d.box(-0.1, -0.1, 1.1, rng.uniform(0.20, 0.35), (150, 190, 110))
    sway = 0.012 * _wave(d, rng, 0.3)
    count = 4
    for i in range(count):
        x = (i + rng.uniform(0.25, 0.75)) / count + drift
        green: Colour = (150, 206, 92) if i % 2 else (104, 168, 70)
        d.stroke(x, 1.0, x + sway, -0.1, 0.12, green)
        y = rng.uniform(0.15, 0.55)
        d.stroke(x - 0.04, y, x + 0.04, y, 0.03, shade(green, 0.6))
    d.ellipse(0.5, 1.06, 0.85, rng.uniform(0.22, 0.28), (52, 78, 40))


def monitors(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws a dark room with a wall of glowing screens."""
    d.box(-0.1, -0.1, 1.1, 1.1, (24, 24, 46))
    top = rng.uniform(0.03, 0.09)
    for row in range(2):
        for column in range(2):
            x = 0.03 + 0.49 * column + 0.5 * drift
            y = top + 0.36 * row
            d.box(x, y, x + 0.45, y + 0.32, (70, 76, 96))
            screen: Colour = (16, 92, 76) if rng.random() < 0.6 else (20, 70, 128)
            d.box(x + 0.03, y + 0.03, x + 0.42, y + 0.27, screen)
            glow: Colour = (84, 250, 150) if screen[2] < 100 else (96, 214, 255)
            length = 0.16 + 0.06 * _wave(d, rng, 0.5)
            d.stroke(x + 0.08, y + 0.10, x + 0.12 + length, y + 0.10, 0.05, glow)
            d.stroke(x + 0.08, y + 0.20, x + 0.30 - length / 2, y + 0.20, 0.05, glow)
    edge = rng.uniform(0.78, 0.84)
    d.box(-0.1, edge, 1.1, 1.1, (84, 64, 62))
    d.box(-0.1, edge, 1.1, edge + 0.035, (126, 98, 90))


def bridge(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws a wooden bridge over water in the rain, with two lanterns."""
    d.box(-0.1, -0.1, 1.1, 1.1, (116, 130, 150))
    d.ellipse(rng.uniform(0.1, 0.4) + drift, 0.62, 0.42, 0.28, (92, 106, 126))
    d.ellipse(rng.uniform(0.6, 0.9) + drift, 0.62, 0.40, 0.22, (82, 96, 116))
    deck = rng.uniform(0.76, 0.82)
    d.box(-0.1, 0.58, 1.1, 1.1, (70, 98, 128))
    rail: Colour = (128, 72, 40)
    for x in (0.08, 0.50, 0.92):
        d.box(x - 0.03, deck - 0.24, x + 0.03, deck + 0.02, shade(rail, 0.8))
    d.box(-0.1, deck - 0.24, 1.1, deck - 0.185, rail)
    d.box(-0.1, deck - 0.02, 1.1, deck + 0.11, rail)
    d.box(-0.1, deck + 0.03, 1.1, deck + 0.055, shade(rail, 0.7))
    for x in (0.22, 0.78):
        d.box(x - 0.05, deck + 0.11, x + 0.05, 1.1, shade(rail, 0.6))
    for x in (0.08, 0.92):
        d.ellipse(x, deck - 0.30, 0.06, 0.075, (255, 196, 110))
    speed = rng.uniform(0.7, 0.9)
    for i in range(5):
        x = (i + rng.uniform(0.2, 0.8)) / 5
        fall = (rng.uniform(0, 1) + speed * d.time_s) % 1.0
        y = (1.3 * fall - 0.2).astype(np.float32)
        d.stroke(x - 0.06 * fall, y, x - 0.06 * fall - 0.012, y + 0.13, 0.028, (206, 220, 236))


def moon(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws the grey Moon under a black sky, with the blue Earth."""
    d.box(-0.1, -0.1, 1.1, 1.1, (10, 10, 20))
    for _ in range(4):
        d.ellipse(rng.uniform(0, 1) + drift, rng.uniform(0.02, 0.55), 0.018, 0.018, (240, 240, 230))
    x = rng.uniform(0.12, 0.22) + drift
    y = rng.uniform(0.14, 0.22)
    d.ellipse(x, y, 0.13, 0.13, (54, 124, 226))
    d.ellipse(x - 0.04, y - 0.03, 0.055, 0.045, (84, 180, 96))
    d.ellipse(x + 0.05, y + 0.045, 0.045, 0.03, (84, 180, 96))
    d.ellipse(x + 0.03, y - 0.075, 0.06, 0.02, (240, 246, 250))
    ground = rng.uniform(0.66, 0.72)
    d.ellipse(0.5, ground + 0.60, 1.25, 0.60, (164, 164, 170))
    for _ in range(3):
        cx, cy = rng.uniform(0.02, 0.98), rng.uniform(ground + 0.10, 0.97)
        d.ellipse(cx + drift, cy, rng.uniform(0.07, 0.11), 0.035, (118, 118, 126))


def restaurant(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws a warm restaurant: lamps, pictures, a checkered tablecloth and a candle."""
    d.box(-0.1, -0.1, 1.1, 1.1, (134, 66, 52))
    d.box(-0.1, 0.52, 1.1, 1.1, (96, 46, 38))
    for side in (0.16, 0.84):
        x = side + 0.6 * drift + rng.uniform(-0.05, 0.05)
        d.box(x - 0.11, 0.27, x + 0.11, 0.50, (226, 186, 110))
        d.box(x - 0.085, 0.295, x + 0.085, 0.475, (90, 130, 96))
    swing = 0.015 * _wave(d, rng, 0.35)
    for side in (0.26, 0.74):
        x = side + rng.uniform(-0.08, 0.08) + 0.8 * drift
        d.stroke(x, -0.05, x + swing, 0.08, 0.018, (40, 24, 22))
        d.quad([(x - 0.04 + swing, 0.06), (x + 0.04 + swing, 0.06), (x + 0.11 + swing, 0.16),
                (x - 0.11 + swing, 0.16)], (255, 214, 120))  # fmt: skip
    edge = rng.uniform(0.79, 0.83)
    d.box(-0.1, edge, 1.1, 1.1, (246, 238, 226))
    shift = rng.uniform(0, 0.1)
    for i in range(4):
        x0 = -0.15 + shift + 0.32 * i
        d.box(x0, edge, x0 + 0.16, edge + 0.1, (206, 58, 52))
        d.box(x0 + 0.16, edge + 0.1, x0 + 0.32, edge + 0.22, (206, 58, 52))
    candle = 0.10 if rng.random() < 0.5 else 0.90
    d.box(candle - 0.03, edge - 0.16, candle + 0.03, edge + 0.03, (250, 244, 226))
    flame = 0.05 + 0.012 * _wave(d, rng, 1.3)
    d.ellipse(candle, edge - 0.21, 0.03, flame, (255, 200, 70))


def kitchen(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws a bright kitchen: tiles, a window, cupboards, a counter with a pot."""
    d.box(-0.1, -0.1, 1.1, 1.1, (236, 226, 200))
    d.box(-0.1, 0.52, 1.1, 0.8, (220, 206, 174))
    side = 1 if rng.random() < 0.5 else -1
    x = 0.5 - 0.24 * side + 0.5 * drift
    d.box(x - 0.22, 0.06, x + 0.22, 0.47, (252, 252, 250))
    d.box(x - 0.18, 0.10, x + 0.18, 0.43, (150, 212, 244))
    d.box(x - 0.018, 0.08, x + 0.018, 0.45, (252, 252, 250))
    x = 0.5 + 0.30 * side + 0.5 * drift
    for k in (-1, 1):
        d.box(x + 0.115 * k - 0.105, 0.02, x + 0.115 * k + 0.105, 0.34, (104, 160, 158))
        d.ellipse(x + 0.03 * k, 0.29, 0.018, 0.018, (250, 244, 220))
    edge = rng.uniform(0.76, 0.81)
    d.box(-0.1, edge, 1.1, 1.1, (96, 148, 148))
    d.box(-0.1, edge, 1.1, edge + 0.06, (250, 246, 238))
    pot = 0.5 + 0.38 * side
    d.box(pot - 0.10, edge - 0.13, pot + 0.10, edge, (88, 92, 104))
    d.box(pot - 0.12, edge - 0.16, pot + 0.12, edge - 0.12, (130, 134, 146))
    steam = 0.03 * _wave(d, rng, 0.7)
    d.ellipse(pot + steam, edge - 0.24, 0.05, 0.045, (255, 255, 255), opacity=0.8)


def park(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws a sunny park: blue sky, trees, grass and a striped hurdle."""
    d.box(-0.1, -0.1, 1.1, 1.1, (134, 204, 250))
    d.ellipse(rng.uniform(0.4, 0.6) + drift, rng.uniform(0.08, 0.16), 0.085, 0.085, (255, 240, 130))
    x, y = rng.uniform(0, 1) + drift, rng.uniform(0.12, 0.30)
    d.ellipse(x, y, 0.15, 0.05, (250, 252, 255))
    d.ellipse(x + 0.04, y - 0.04, 0.08, 0.05, (250, 252, 255))
    ground = rng.uniform(0.60, 0.68)
    d.ellipse(rng.uniform(0.2, 0.8) + drift, ground + 0.08, 0.62, 0.20, (92, 178, 92))
    for side in (rng.uniform(0.02, 0.16), rng.uniform(0.84, 0.98)):
        x = side + drift
        d.box(x - 0.03, ground - 0.16, x + 0.03, ground + 0.06, (124, 82, 50))
        d.ellipse(x, ground - 0.26, 0.145, 0.165, (40, 130, 62))
    d.box(-0.1, ground, 1.1, 1.1, (120, 200, 86))
    hurdle = rng.uniform(0.3, 0.7)
    bar = ground + 0.10
    for k in (-1, 1):
        d.box(hurdle + 0.24 * k - 0.02, bar - 0.06, hurdle + 0.24 * k + 0.02, bar + 0.13, (250, 250, 250))
    for k in range(4):
        tint: Colour = (228, 70, 60) if k % 2 else (250, 250, 250)
        d.box(hurdle - 0.24 + 0.12 * k, bar, hurdle - 0.12 + 0.12 * k, bar + 0.05, tint)
    for _ in range(2):
        d.ellipse(rng.uniform(0, 1), rng.uniform(0.86, 0.97), 0.12, 0.02, (96, 172, 68))


def city(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws a city at night: towers with neon windows."""
    d.box(-0.1, -0.1, 1.1, 1.1, (52, 30, 84))
    d.box(-0.1, 0.55, 1.1, 1.1, (112, 48, 116))
    neon: list[Colour] = [(255, 90, 190), (80, 226, 255), (255, 210, 96)]
    for i in range(4):
        x = 0.01 + 0.25 * i + rng.uniform(-0.015, 0.015) + drift
        top = rng.uniform(0.06, 0.40)
        d.box(x, top, x + 0.22, 1.1, (22, 20, 50) if i % 2 else (32, 30, 70))
        tint = neon[int(rng.integers(3))]
        blink = 0.85 + 0.15 * _wave(d, rng, 0.6)
        for row in range(2):
            y = top + 0.07 + 0.20 * row
            for k in range(2):
                left = x + 0.035 + 0.085 * k
                d.box(left, y, left + 0.065, y + 0.12, tint, opacity=blink)
    d.box(-0.1, 0.90, 1.1, 1.1, (30, 22, 50))
    d.box(-0.1, 0.93, 1.1, 0.955, (255, 90, 190))


def sea(d: Drawing, rng: Rng, drift: Floats) -> None:
    """Draws the open sea at sunset: a low sun, clouds, waves and seabirds."""
    d.box(-0.1, -0.1, 1.1, 1.1, (232, 104, 110))
    d.box(-0.1, 0.22, 1.1, 1.1, (246, 148, 112))
    d.box(-0.1, 0.42, 1.1, 1.1, (252, 188, 128))
    horizon = rng.uniform(0.56, 0.64)
    x = (rng.uniform(0.12, 0.32) if rng.random() < 0.5 else rng.uniform(0.68, 0.88)) + drift
    d.ellipse(x, horizon - 0.04, 0.17, 0.17, (255, 240, 150))
    d.ellipse(rng.uniform(0.2, 0.8) + drift, 0.13, 0.20, 0.035, (190, 84, 112))
    flap = 0.02 * _wave(d, rng, 0.8)
    for _ in range(2):
        bx, by = rng.uniform(0.1, 0.9) + 2 * drift, rng.uniform(0.07, 0.3)
        for k in (-1, 1):
            d.stroke(bx, by, bx + 0.055 * k, by - 0.03 + flap, 0.02, (60, 40, 60))
    d.box(-0.1, horizon, 1.1, 1.1, (26, 84, 118))
    d.box(x - 0.09, horizon + 0.03, x + 0.09, horizon + 0.06, (250, 206, 130))
    for i in range(4):
        y = horizon + 0.09 + 0.08 * i
        wx = rng.uniform(0.0, 1.0) + 0.05 * _wave(d, rng, 0.4)
        d.stroke(wx - 0.11, y, wx + 0.12, y, 0.032, (70, 146, 172))


PLACES: dict[str, Callable[[Drawing, Rng, Floats], None]] = {
    "bamboo": bamboo,
    "monitors": monitors,
    "bridge": bridge,
    "moon": moon,
    "restaurant": restaurant,
    "kitchen": kitchen,
    "park": park,
    "city": city,
    "sea": sea,
}
"""The places by name; place i is where subject i of `SUBJECTS` stands in the shipped prompts."""
