"""The twelve subjects, each drawn feet at (0, 0) and about one unit tall, facing right.

`paint` is the colour that captions may name; everything else of a subject keeps its own.
`beat` swings between -1 and 1 with the subject's own action (strumming, typing, waving...).
"""

from __future__ import annotations

from collections.abc import Callable

from cogx_runs.toy.train.drawing import Colour, Drawing, Floats, shade

SKIN: Colour = (236, 188, 150)
DARK: Colour = (28, 26, 34)
SNOW: Colour = (244, 244, 240)


def panda(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a sitting panda that strums a guitar."""
    d.ellipse(0, -0.30, 0.30, 0.30, SNOW)
    d.ellipse(-0.24, -0.07, 0.15, 0.10, DARK)
    d.ellipse(0.24, -0.07, 0.15, 0.10, DARK)
    sway = 0.03 * beat
    d.ellipse(-0.20 + sway, -0.92, 0.095, 0.095, DARK)
    d.ellipse(0.20 + sway, -0.92, 0.095, 0.095, DARK)
    d.ellipse(sway, -0.72, 0.28, 0.24, SNOW)
    d.ellipse(-0.11 + sway, -0.74, 0.08, 0.095, DARK)
    d.ellipse(0.11 + sway, -0.74, 0.08, 0.095, DARK)
    d.ellipse(-0.09 + sway, -0.75, 0.042, 0.045, SNOW)
    d.ellipse(0.13 + sway, -0.75, 0.042, 0.045, SNOW)
    d.ellipse(sway, -0.61, 0.05, 0.035, DARK)
    d.stroke(0.05, -0.30, 0.58, -0.50, 0.07, (120, 76, 40))
    d.stroke(0.55, -0.49, 0.62, -0.52, 0.11, (80, 50, 30))
    d.ellipse(-0.15, -0.23, 0.21, 0.17, paint)
    d.ellipse(0.08, -0.31, 0.15, 0.13, paint)
    d.ellipse(-0.04, -0.27, 0.06, 0.06, DARK)
    d.stroke(0.27, -0.50, 0.40, -0.42, 0.13, DARK)
    d.stroke(-0.29, -0.48, -0.12, -0.22 + 0.09 * beat, 0.13, DARK)


def cat(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a cat that types on a keyboard."""
    fur = shade(paint, 0.78)
    d.stroke(0.26, -0.15, 0.46, -0.42, 0.10, fur)
    d.stroke(0.46, -0.42, 0.40 + 0.04 * beat, -0.66, 0.10, fur)
    d.ellipse(0, -0.33, 0.27, 0.30, paint)
    for side in (-1, 1):
        d.quad([(0.27 * side, -1.04), (0.04 * side, -0.86), (0.27 * side, -0.74)], paint)
        d.quad([(0.23 * side, -0.96), (0.11 * side, -0.86), (0.23 * side, -0.80)], (245, 170, 170))
    d.ellipse(0, -0.72, 0.28, 0.22, paint)
    for side in (-1, 1):
        d.ellipse(0.125 * side, -0.75, 0.085, 0.095, (215, 245, 160))
        d.ellipse(0.125 * side, -0.75, 0.045, 0.08, DARK)
    d.ellipse(0, -0.61, 0.11, 0.075, SNOW)
    d.ellipse(0, -0.65, 0.04, 0.028, (230, 110, 120))
    d.quad([(-0.42, -0.17), (0.42, -0.17), (0.50, 0.0), (-0.50, 0.0)], (196, 200, 208))
    d.box(-0.38, -0.135, 0.38, -0.09, (92, 96, 110))
    d.box(-0.42, -0.065, 0.42, -0.02, (92, 96, 110))
    d.ellipse(-0.17, -0.20 + 0.06 * beat, 0.09, 0.085, fur)
    d.ellipse(0.17, -0.20 - 0.06 * beat, 0.09, 0.085, fur)


def samurai(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a samurai in armour who lifts a long sword."""
    plate = shade(paint, 0.72)
    for side in (-1, 1):
        d.stroke(0.12 * side, -0.28, 0.15 * side, -0.04, 0.13, DARK)
    d.quad([(-0.18, -0.50), (0.18, -0.50), (0.31, -0.18), (-0.31, -0.18)], plate)
    d.quad([(-0.23, -0.76), (0.23, -0.76), (0.18, -0.42), (-0.18, -0.42)], paint)
    d.stroke(-0.18, -0.46, 0.18, -0.46, 0.06, (240, 205, 90))
    d.stroke(-0.26, -0.68, -0.34, -0.44, 0.12, plate)
    d.ellipse(0, -0.85, 0.16, 0.14, SKIN)
    for side in (-1, 1):
        d.ellipse(0.06 * side, -0.82, 0.034, 0.034, DARK)
    d.quad([(-0.14, -1.01), (0.14, -1.01), (0.26, -0.89), (-0.26, -0.89)], plate)
    d.ellipse(0, -0.99, 0.15, 0.09, plate)
    d.stroke(0, -0.99, -0.19, -1.17, 0.05, (250, 210, 80))
    d.stroke(0, -0.99, 0.19, -1.17, 0.05, (250, 210, 80))
    lift = 0.14 * beat
    d.stroke(0.36, -0.50 - lift, 0.72, -1.00 - 1.2 * lift, 0.11, (70, 80, 100))
    d.stroke(0.36, -0.50 - lift, 0.72, -1.00 - 1.2 * lift, 0.06, (240, 246, 252))
    d.stroke(0.32, -0.44 - lift, 0.37, -0.52 - lift, 0.08, DARK)
    d.stroke(0.24, -0.68, 0.33, -0.48 - lift, 0.12, plate)
    for side in (-1, 1):
        d.ellipse(0.25 * side, -0.71, 0.11, 0.085, paint)


def astronaut(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws an astronaut in a space suit who waves."""
    dim = shade(paint, 0.80)
    d.box(-0.28, -0.66, 0.28, -0.30, (98, 104, 116))
    for side in (-1, 1):
        d.stroke(0.12 * side, -0.30, 0.14 * side, -0.09, 0.19, dim)
        d.ellipse(0.16 * side, -0.05, 0.13, 0.06, (84, 88, 100))
    d.stroke(-0.22, -0.56, -0.36, -0.34, 0.16, dim)
    d.stroke(0.22, -0.56, 0.40, -0.66, 0.16, dim)
    d.stroke(0.40, -0.66, 0.44 + 0.11 * beat, -0.90, 0.15, dim)
    d.ellipse(0, -0.45, 0.25, 0.26, paint)
    d.box(-0.11, -0.47, 0.11, -0.35, (98, 104, 116))
    d.box(-0.08, -0.44, 0.0, -0.38, (110, 220, 230))
    d.ellipse(0, -0.80, 0.26, 0.24, paint)
    d.ellipse(0.03, -0.79, 0.185, 0.155, (28, 40, 74))
    d.ellipse(0.10, -0.84, 0.06, 0.04, (150, 205, 245), angle=-0.5)


def footballer(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a footballer in a jersey who eats a big slice of pizza."""
    for side in (-1, 1):
        d.stroke(0.11 * side, -0.26, 0.13 * side, -0.07, 0.11, SKIN)
        d.stroke(0.11 * side, -0.03, 0.20 * side, -0.03, 0.08, DARK)
    d.quad([(-0.19, -0.40), (0.19, -0.40), (0.24, -0.20), (-0.24, -0.20)], SNOW)
    d.stroke(-0.22, -0.64, -0.32, -0.42, 0.13, paint)
    d.stroke(-0.32, -0.42, -0.26, -0.34, 0.09, SKIN)
    d.quad([(-0.25, -0.70), (0.25, -0.70), (0.20, -0.36), (-0.20, -0.36)], paint)
    d.box(-0.045, -0.66, 0.045, -0.38, SNOW)
    d.ellipse(0, -0.86, 0.19, 0.185, SKIN)
    d.ellipse(0, -0.99, 0.19, 0.085, (44, 28, 20))
    for side in (-1, 1):
        d.ellipse(0.07 * side, -0.86, 0.034, 0.036, DARK)
    bite = 0.035 * beat
    d.stroke(0.22, -0.64, 0.36, -0.56 - bite, 0.13, paint)
    d.quad(
        [(0.08, -0.79 - bite), (0.52, -0.88 - bite), (0.48, -0.52 - bite)],
        (250, 206, 78),
    )
    d.stroke(0.53, -0.88 - bite, 0.49, -0.52 - bite, 0.075, (168, 96, 44))
    d.ellipse(0.30, -0.77 - bite, 0.055, 0.055, (205, 48, 36))
    d.ellipse(0.41, -0.65 - bite, 0.055, 0.055, (205, 48, 36))
    d.ellipse(0.43, -0.81 - bite, 0.045, 0.045, (205, 48, 36))
    d.stroke(0.36, -0.56 - bite, 0.44, -0.57 - bite, 0.09, SKIN)


def person(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a close-up of a long-haired person in a shirt who eats a sandwich."""
    hair: Colour = (104, 58, 34)
    d.ellipse(0, -0.66, 0.33, 0.36, hair)
    d.box(-0.32, -0.66, 0.32, -0.28, hair)
    d.quad([(-0.30, -0.36), (0.30, -0.36), (0.44, 0.05), (-0.44, 0.05)], paint)
    d.ellipse(-0.33, -0.18, 0.15, 0.21, paint)
    d.ellipse(0.33, -0.18, 0.15, 0.21, paint)
    d.box(-0.08, -0.44, 0.08, -0.30, shade(SKIN, 0.88))
    d.ellipse(0, -0.64, 0.235, 0.27, SKIN)
    d.ellipse(0, -0.89, 0.22, 0.11, hair)
    for side in (-1, 1):
        d.ellipse(0.10 * side, -0.69, 0.042, 0.052, DARK)
        d.ellipse(0.15 * side, -0.58, 0.05, 0.035, (238, 150, 130))
    bite = 0.03 * beat
    d.stroke(-0.19, -0.42 - bite, 0.19, -0.42 - bite, 0.10, (214, 158, 84))
    d.stroke(-0.22, -0.355 - bite, 0.22, -0.355 - bite, 0.06, (96, 186, 70))
    d.stroke(-0.20, -0.31 - bite, 0.20, -0.31 - bite, 0.06, (214, 66, 52))
    d.stroke(-0.19, -0.25 - bite, 0.19, -0.25 - bite, 0.10, (214, 158, 84))
    for side in (-1, 1):
        d.ellipse(0.25 * side, -0.30 - bite, 0.08, 0.11, shade(SKIN, 0.94))


def retriever(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a dog seen from the side, legs running, tongue out."""
    coat = shade(paint, 0.72)
    for x, swing in ((-0.26, 0.13), (0.20, -0.13)):
        d.stroke(x, -0.30, x + swing * beat, -0.04, 0.10, coat)
    d.stroke(-0.34, -0.52, -0.58, -0.72 + 0.07 * beat, 0.11, coat)
    d.ellipse(-0.02, -0.44, 0.38, 0.20, paint)
    for x, swing in ((-0.28, -0.13), (0.26, 0.13)):
        d.stroke(x, -0.32, x + swing * beat, -0.04, 0.11, paint)
    d.stroke(0.24, -0.50, 0.34, -0.64, 0.24, paint)
    d.ellipse(0.50, -0.50, 0.05, 0.10, (236, 92, 110))
    d.ellipse(0.36, -0.70, 0.22, 0.20, paint)
    d.ellipse(0.52, -0.62, 0.14, 0.095, shade(paint, 1.25))
    d.ellipse(0.63, -0.66, 0.05, 0.045, DARK)
    d.ellipse(0.42, -0.76, 0.042, 0.048, DARK)
    d.ellipse(0.22, -0.64, 0.085, 0.18, coat, angle=0.3)


def cars(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws two flying cars, one near and one far, glowing below."""
    for x, y, size, hue in ((0.34, -0.88, 0.55, shade(paint, 0.85)), (-0.08, -0.36, 1.0, paint)):
        bob = y + 0.03 * beat
        d.ellipse(x, bob + 0.19 * size, 0.40 * size, 0.075 * size, (120, 245, 250))
        d.ellipse(x - 0.04 * size, bob - 0.12 * size, 0.26 * size, 0.17 * size, hue)
        d.ellipse(x + 0.0 * size, bob - 0.11 * size, 0.20 * size, 0.115 * size, (196, 238, 250))
        d.stroke(x - 0.36 * size, bob + 0.04, x + 0.36 * size, bob + 0.04, 0.24 * size, hue)
        d.ellipse(x + 0.42 * size, bob + 0.03, 0.06 * size, 0.055 * size, (255, 250, 170))
        d.stroke(x - 0.44 * size, bob - 0.07 * size, x - 0.40 * size, bob + 0.05, 0.09 * size, (70, 74, 90))


def whale(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a big whale with its tail up, blowing water."""
    fin = shade(paint, 0.75)
    for side in (-1, 1):
        d.stroke(0.24, -0.80, 0.24 + 0.13 * side, -0.97 - 0.03 * beat, 0.06, (196, 232, 248))
    d.stroke(0.24, -0.68, 0.24, -0.92 - 0.04 * beat, 0.06, (196, 232, 248))
    tail = 0.05 * beat
    d.quad([(-0.30, -0.50), (-0.30, -0.20), (-0.62, -0.62 + tail), (-0.52, -0.68 + tail)], paint)
    d.ellipse(-0.68, -0.72 + tail, 0.14, 0.065, fin, angle=0.55)
    d.ellipse(-0.46, -0.76 + tail, 0.14, 0.065, fin, angle=-0.75)
    d.ellipse(0.06, -0.36, 0.46, 0.30, paint)
    d.ellipse(0.14, -0.19, 0.36, 0.125, (226, 234, 240))
    d.ellipse(0.02, -0.14, 0.07, 0.16, fin, angle=0.7)
    d.ellipse(0.33, -0.42, 0.065, 0.07, SNOW)
    d.ellipse(0.345, -0.42, 0.042, 0.048, DARK)


def robot(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a boxy robot that beats a drum."""
    steel: Colour = (150, 158, 172)
    for side in (-1, 1):
        d.box(0.14 * side - 0.06, -0.20, 0.14 * side + 0.06, -0.02, steel)
        d.ellipse(0.14 * side, -0.03, 0.11, 0.05, DARK)
    d.box(-0.25, -0.62, 0.25, -0.18, paint)
    d.stroke(0, -0.98, 0, -1.08, 0.04, steel)
    d.ellipse(0, -1.10, 0.05, 0.05, (255, 90, 70))
    d.box(-0.22, -0.98, 0.22, -0.66, steel)
    for side in (-1, 1):
        d.ellipse(0.10 * side, -0.84, 0.065, 0.07, (120, 240, 250))
        d.ellipse(0.10 * side, -0.84, 0.03, 0.035, DARK)
    d.stroke(-0.09, -0.72, 0.09, -0.72, 0.035, DARK)
    d.box(-0.20, -0.36, 0.20, -0.18, (150, 92, 52))
    d.ellipse(0, -0.36, 0.20, 0.06, (250, 240, 214))
    d.stroke(-0.28, -0.56, -0.12, -0.46 + 0.10 * beat, 0.10, steel)
    d.stroke(0.28, -0.56, 0.12, -0.46 - 0.10 * beat, 0.10, steel)


def rabbit(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a grey rabbit in a vest that nibbles a carrot."""
    fur: Colour = (168, 160, 160)
    for side in (-1, 1):
        d.ellipse(0.13 * side, -1.00, 0.075, 0.20, fur, angle=0.18 * side)
        d.ellipse(0.13 * side, -0.99, 0.035, 0.14, (240, 176, 184), angle=0.18 * side)
        d.ellipse(0.17 * side, -0.05, 0.14, 0.06, fur)
    d.ellipse(0, -0.30, 0.25, 0.27, fur)
    d.quad([(-0.20, -0.52), (0.20, -0.52), (0.26, -0.16), (-0.26, -0.16)], paint)
    d.ellipse(0, -0.69, 0.23, 0.19, fur)
    for side in (-1, 1):
        d.ellipse(0.10 * side, -0.73, 0.042, 0.052, DARK)
    d.ellipse(0, -0.64, 0.045, 0.03, (236, 130, 140))
    nibble = 0.05 * beat
    d.quad([(0.05, -0.55 - nibble), (0.32, -0.38 - nibble), (0.24, -0.28 - nibble)], (244, 134, 28))
    d.stroke(0.30, -0.32 - nibble, 0.40, -0.26 - nibble, 0.07, (60, 160, 60))
    for side in (-1, 1):
        d.ellipse(0.20 * side, -0.40 - nibble, 0.075, 0.075, fur)


def penguin(d: Drawing, paint: Colour, beat: Floats) -> None:
    """Draws a penguin in a scarf that flaps its wings."""
    for side in (-1, 1):
        d.ellipse(0.13 * side, -0.04, 0.13, 0.055, (246, 160, 50))
        d.stroke(0.22 * side, -0.56, 0.38 * side, -0.34 - 0.14 * beat, 0.12, (38, 44, 66))
    d.ellipse(0, -0.40, 0.28, 0.38, (38, 44, 66))
    d.ellipse(0, -0.34, 0.20, 0.29, SNOW)
    d.ellipse(0, -0.80, 0.23, 0.22, (38, 44, 66))
    for side in (-1, 1):
        d.ellipse(0.09 * side, -0.82, 0.085, 0.10, SNOW)
        d.ellipse(0.09 * side, -0.82, 0.04, 0.05, DARK)
    d.quad([(-0.07, -0.75), (0.07, -0.75), (0, -0.65)], (246, 160, 50))
    d.stroke(-0.20, -0.60, 0.20, -0.60, 0.12, paint)
    d.stroke(0.15, -0.58, 0.18, -0.36, 0.11, paint)


SUBJECTS: dict[str, Callable[[Drawing, Colour, Floats], None]] = {
    "panda": panda,
    "cat": cat,
    "samurai": samurai,
    "astronaut": astronaut,
    "footballer": footballer,
    "person": person,
    "retriever": retriever,
    "cars": cars,
    "whale": whale,
    "robot": robot,
    "rabbit": rabbit,
    "penguin": penguin,
}
"""The subjects by name: nine in the order of the shipped prompts' scenes, then those that no shipped prompt names."""
