"""What a metric's number means, kept with the number."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

from cogx_runs.formatting import fixed

Direction = Literal["higher", "lower"]


class Dependence(StrEnum):
    """What a metric's value can depend on beside the pixels and the CLIP."""

    TIME = "time"
    """What else the device did meanwhile, and the machine."""
    MEMORY = "memory"
    """The device, and where the model is placed."""
    FILE = "file"
    """Frame rate and quality of the mp4."""


@dataclass(frozen=True, kw_only=True)
class MetricCard:
    """A metric's definition. Values of different cards are never averaged."""

    name: str
    """In MLflow."""
    title: str
    """For readers."""
    definition: str
    source: str
    """The paper or the reference code, or `cogx-runs` where it is our own."""
    direction: Direction | None = None
    """Which is better; None where neither is, or nobody knows."""
    version: str = "1"
    """Raised when a value would no longer compare with earlier ones."""
    unit: str = ""
    """For readers, after division by `scale`."""
    scale: float = 1.0
    digits: int = 2
    margin: float | None = None
    """A change that does not matter, in the stored unit, by convention; None for a share of the baseline's value."""
    uses_clip: bool = False
    """Whether its value depends on the CLIP."""
    depends_on: frozenset[Dependence] = frozenset()
    """What its value depends on beside the pixels and the CLIP; empty for a measure of the frames."""
    fooled_by: str = ""
    """What makes it good or bad without the video being so."""

    @property
    def of_machine(self) -> bool:
        """Whether its values compare within one device and placement alone."""
        return bool(self.depends_on & {Dependence.TIME, Dependence.MEMORY})

    def identity(self, clip_model: str) -> str:
        """What values must have in common to be compared: the version, and the CLIP where it matters."""
        return f"{self.version} {clip_model}" if self.uses_clip else self.version

    def logged(self, identity: str, conditions: Mapping[str, str]) -> dict[str, Any]:
        """The card as it is kept with a value, with what else the value depended on."""
        told = {name: value for name, value in asdict(self).items() if name != "depends_on"}
        known = {name: value for name, value in told.items() if value not in ("", None, False)}
        return known | {"identity": identity} | dict(conditions)

    @property
    def heading(self) -> str:
        """Of a column of numbers: `wall time, s`."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def number(self, value: float, *, signed: bool = False) -> str:
        """`12.3`: a stored value in a reader's unit; with `signed` `+0.4` or `−0.4`, and no sign for what rounds to
        zero."""
        return fixed(value / self.scale, self.digits, plus=signed)

    def write(self, value: float, *, signed: bool = False) -> str:
        """`12.3 s`."""
        return f"{self.number(value, signed=signed)} {self.unit}".rstrip()
