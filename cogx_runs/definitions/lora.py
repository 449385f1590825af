"""LoRA adapters as a parameter: one text that names each file, its content and its scale."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.texts import PathText
from cogx_runs.formatting import shortened, write_exact

NO_LORA = "none"
LARGEST_SCALE = 10.0
"""The largest scale of an adapter, on either side of zero."""
_AND = " + "
_ONE = re.compile(r"(?P<source>.+?)(?:#(?P<sha256>[0-9a-f]{12}))?(?:\*(?P<scale>-?[0-9.]+(?:e-?[0-9]+)?))?", re.DOTALL)
_HOW = "write each adapter as FILE, FILE*SCALE or {source: FILE, scale: SCALE}"


class Lora(Frozen):
    """One adapter: the file that holds it, and the factor of what it adds to the weights."""

    source: Annotated[PathText, Field(min_length=1)]
    scale: Annotated[float, Field(ge=-LARGEST_SCALE, le=LARGEST_SCALE)] = 1.0
    sha256: str = ""
    """The first 12 digits of the file's SHA-256; empty before the file has been read."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses `SOURCE`, with `#SHA256` and `*SCALE` behind it where they are known. Raises ValueError."""
        found = _ONE.fullmatch(text)
        if found is None:
            raise ValueError(f"names no file; {_HOW}")
        try:
            scale = float(found["scale"] or 1)
            return cls(source=found["source"], scale=scale, sha256=found["sha256"] or "")
        except ValueError as error:
            raise _unclear(text, error) from error

    def __str__(self) -> str:
        """Writes the text that `parse` reads."""
        content = f"#{self.sha256}" if self.sha256 else ""
        return f"{self.source}{content}{self._scaled}"

    @property
    def identity(self) -> str:
        """Content and scale, without the file's name."""
        return f"{self.sha256}{self._scaled}"

    @property
    def _scaled(self) -> str:
        return "" if self.scale == 1 else f"*{write_exact(self.scale)}"


def loras_of(text: str) -> tuple[Lora, ...]:
    """Parses the value of the parameter. Raises ValueError."""
    return () if text == NO_LORA else tuple(Lora.parse(part) for part in text.split(_AND))


def write_loras(loras: Iterable[Lora]) -> str:
    """Writes adapters as the value of the parameter."""
    return _AND.join(map(str, loras)) or NO_LORA


def content_of(text: str) -> str:
    """Reduces the value of the parameter to what changes the pixels: contents and scales, in order."""
    return _AND.join(lora.identity for lora in loras_of(text)) or NO_LORA


def _as_text(value: Any) -> Any:
    """Writes null and a list of adapters as texts; leaves anything else to be checked."""
    if value is None:
        return NO_LORA
    if not isinstance(value, list | tuple):
        return value
    if not value:
        raise ValueError(f"is an empty list; {_HOW}, or null for none")
    return write_loras(map(_entry, value))


def _entry(value: Any) -> Lora:
    if isinstance(value, str):
        return Lora.parse(value)
    try:
        return Lora.model_validate(value)
    except ValidationError as error:
        raise _unclear(value, error) from error


def _unclear(value: Any, error: ValueError) -> ValueError:
    if isinstance(error, ValidationError):
        mistake = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, mistake["loc"]))
        message = mistake["msg"].removeprefix("Value error, ")
        return ValueError(f"{f'{place}: ' if place else ''}{message} (got {shortened(value)}); {_HOW}")
    return ValueError(f"has no number as its scale (got {shortened(value)}); {_HOW}")


def _checked(text: str | None) -> str:
    return write_loras(loras_of(text or NO_LORA))


LoraText = Annotated[
    str | None,
    BeforeValidator(_as_text, json_schema_input_type=str | None | Annotated[list[str | Lora], Field(min_length=1)]),
    AfterValidator(_checked),
]
"""Adapters: a text, null, or a list of `{source, scale}`; always kept as a text."""
