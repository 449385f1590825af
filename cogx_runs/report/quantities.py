"""The numbers that a report shows, and how it writes them."""

from dataclasses import dataclass
from typing import Any

MINUS = "−"


@dataclass(frozen=True)
class Quantity:
    """A metric as readers see it."""

    metric: str
    label: str
    unit: str
    digits: int
    scale: float = 1.0
    """By what the stored value is divided."""
    meaning: str = ""

    def write(self, value: float, *, signed: bool = False) -> str:
        """`27.31`, `12.3 s`; with `signed`, `+0.40` or `−0.40`, and no sign for what rounds to zero."""
        text = f"{abs(value) / self.scale:,.{self.digits}f}"
        is_zero = not any(digit in text for digit in "123456789")
        sign = "" if is_zero else MINUS if value < 0 else "+" if signed else ""
        return f"{sign}{text}" + (f" {self.unit}" if self.unit else "")


CLIP = Quantity("clip_score", "CLIP score", "", 2, meaning="how well the frames fit the prompt; higher is better")
WALL = Quantity(
    "wall_time_s", "wall time", "s", 1, meaning="text encoding, denoising, decoding and H.264 of this run alone"
)
STEP = Quantity("step_s", "per step", "s", 3, meaning="one denoising step, warm-up left out")
VRAM = Quantity("peak_vram_gib", "peak VRAM", "GiB", 2, meaning="the most that denoising and decoding held of the GPU")
SIZE = Quantity(
    "file_size_bytes", "file size", "kB", 1, 1000.0,
    meaning="of the mp4 at constant quality; it grows with frames, with motion, with detail and with noise, so that "
    "neither direction is better",
)  # fmt: skip

SHOWN = (CLIP, WALL, STEP, VRAM, SIZE)
"""Under each video."""
COMPARED = (CLIP, WALL, VRAM, SIZE)
"""Against the baseline."""
PLOTTED = (CLIP, WALL)


def write_value(value: Any) -> str:
    """A parameter's value as a reader writes it: `6` for 6.0, `on` for True, `(empty)` for no text."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "(empty)"
