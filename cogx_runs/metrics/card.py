"""The definition of a metric, kept with its values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

from cogx_runs.formatting import fixed

Direction = Literal["higher", "lower"]


class Dependence(StrEnum):
    """A condition on which a metric's value can depend besides the pixels and the CLIP."""

    TIME = "time"
    """The machine, and the other work of its device at the time."""
    MEMORY = "memory"
    """The device, and the placement of the model."""
    FILE = "file"
    """Frame rate and quality of the mp4. A metric of single videos that has it is measured over the mp4's frames."""


class Likeness(StrEnum):
    """A property in which two videos have to be alike for some metrics' values of them to be compared."""

    RATE = "frames a second"
    """Those of the training: how far apart in time two frames are."""
    LENGTH = "frames"
    SIZE = "size"
    """Height and width: CLIP sees a square from the middle of a frame that is scaled to its side."""


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
    """The better direction; None where neither is better, or it is unknown."""
    version: str = "1"
    """Increased when values stop being comparable with earlier ones."""
    unit: str = ""
    """For readers, after division by `scale`."""
    scale: float = 1.0
    digits: int = 2
    margin: float | None = None
    """Negligible change in the stored unit, by convention; None for a share of the baseline's value."""
    uses_clip: bool = False
    """Whether its value depends on the CLIP."""
    depends_on: frozenset[Dependence] = frozenset()
    """Conditions on which the value depends besides the pixels and the CLIP; empty for a measure of the frames."""
    presumes: frozenset[Likeness] = frozenset()
    """Properties in which videos must be alike for a difference of its values to mean anything else."""
    fooled_by: str = ""
    """Cases in which the value is good or bad and the video is not."""
    repeats: str = ""
    """The metric of the frames before H.264 that this one measures again over those of the mp4; empty for any other."""

    @property
    def of_machine(self) -> bool:
        """Whether its values compare within one device and placement alone."""
        return bool(self.depends_on & {Dependence.TIME, Dependence.MEMORY})

    @property
    def of_file(self) -> bool:
        """Whether its value depends on the mp4: of a metric of single videos, over whose frames it is measured."""
        return Dependence.FILE in self.depends_on

    def identity(self, clip_model: str) -> str:
        """Returns the key that comparable values share: the version, and the CLIP where the metric uses it."""
        return f"{self.version} {clip_model}" if self.uses_clip else self.version

    def logged(self, identity: str, conditions: Mapping[str, str]) -> dict[str, Any]:
        """Returns the card as it is logged with a value, with the conditions of the value."""
        fields = {name: value for name, value in asdict(self).items() if name not in {"depends_on", "presumes"}}
        known = {name: value for name, value in fields.items() if value not in ("", None, False)}
        return known | {"identity": identity} | dict(conditions)

    @property
    def heading(self) -> str:
        """Heading of a column of numbers: `wall time, s`."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def number(self, value: float, *, signed: bool = False) -> str:
        """Formats a stored value in the reader's unit, `12.3`; with `signed` as `+0.4` or `−0.4`, and without a sign
        where it rounds to zero."""
        return fixed(value / self.scale, self.digits, plus=signed)

    def write(self, value: float, *, signed: bool = False) -> str:
        """Formats a stored value with its unit: `12.3 s`."""
        return f"{self.number(value, signed=signed)} {self.unit}".rstrip()
