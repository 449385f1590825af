"""Flat shapes: a clip is a stack of ellipses, convex quads and strokes.

A `Drawing` collects the shapes of all frames of a clip; `raster.py` paints them. Lengths are in
frame heights, x to the right and y down, (0, 0) top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Value = float | Floats
"""A number for the whole clip, or one a frame."""
Colour = tuple[float, float, float]
"""Red, green, blue, 0 to 255."""

SHAPE_FIELDS = 13
"""Kind, eight numbers of geometry, red, green, blue, opacity."""
MAX_SHAPES = 64

NOTHING, ELLIPSE, QUAD, STROKE = 0, 1, 2, 3


def shade(colour: Colour, factor: float) -> Colour:
    """Darkens a colour (`factor` < 1) or lightens it towards white (`factor` > 1)."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    mix = min(factor - 1, 1.0)
    return tuple(c + (255 - c) * mix for c in colour)  # type: ignore[return-value]


class Drawing:
    """Shapes of one clip, in painting order, under a movable local frame."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.time_s: Floats = np.arange(frames, dtype=np.float32) / 8
        self._shapes: list[Floats] = []
        self.place(0.0, 0.0)

    def place(self, x: Value, y: Value, scale: Value = 1.0, flip: int = 1, angle: Value = 0.0) -> None:
        """Sets the local frame that later shapes are drawn in; `angle` in radians."""
        self._x, self._y, self._scale, self._flip, self._angle = x, y, scale, flip, angle
        self._cos, self._sin = np.cos(angle), np.sin(angle)

    def _map(self, x: Value, y: Value) -> tuple[Value, Value]:
        x = x * self._flip
        return (
            self._x + self._scale * (self._cos * x - self._sin * y),
            self._y + self._scale * (self._sin * x + self._cos * y),
        )

    def _add(self, kind: int, geometry: Sequence[Value], colour: Colour, opacity: Value) -> None:
        shape = np.zeros((self.frames, SHAPE_FIELDS), dtype=np.float32)
        shape[:, 0] = kind
        for column, value in enumerate(geometry, start=1):
            shape[:, column] = value
        shape[:, 9:12] = colour
        shape[:, 12] = opacity
        self._shapes.append(shape)

    def ellipse(
        self,
        x: Value,
        y: Value,
        rx: Value,
        ry: Value,
        colour: Colour,
        angle: Value = 0.0,
        opacity: Value = 1.0,
    ) -> None:
        """Adds an ellipse about (x, y) with radii rx, ry, turned by `angle` radians."""
        cx, cy = self._map(x, y)
        geometry = (cx, cy, rx * self._scale, ry * self._scale, angle * self._flip + self._angle)
        self._add(ELLIPSE, geometry, colour, opacity)

    def quad(self, points: Sequence[tuple[Value, Value]], colour: Colour, opacity: Value = 1.0) -> None:
        """Adds a convex polygon of three or four points."""
        corners = list(points) + [points[-1]] * (4 - len(points))
        self._add(QUAD, [v for p in corners for v in self._map(*p)], colour, opacity)

    def box(self, x0: Value, y0: Value, x1: Value, y1: Value, colour: Colour, opacity: Value = 1.0) -> None:
        """Adds an upright rectangle between two corners."""
        self.quad([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, opacity)

    def stroke(
        self,
        x0: Value,
        y0: Value,
        x1: Value,
        y1: Value,
        width: Value,
        colour: Colour,
        opacity: Value = 1.0,
    ) -> None:
        """Adds a line with round ends and the given full width."""
        ends = (*self._map(x0, y0), *self._map(x1, y1))
        self._add(STROKE, (*ends, width * self._scale / 2), colour, opacity)

    def shapes(self) -> Floats:
        """Stacks all shapes, padded with nothing: (frames, MAX_SHAPES, SHAPE_FIELDS)."""
        if len(self._shapes) > MAX_SHAPES:
            raise ValueError(f"{len(self._shapes)} shapes in a clip, at most {MAX_SHAPES}")
        result = np.zeros((self.frames, MAX_SHAPES, SHAPE_FIELDS), dtype=np.float32)
        if self._shapes:
            result[:, : len(self._shapes)] = np.stack(self._shapes, axis=1)
        return result
