"""Caches of the transformer as a parameter: one text, a cache's name and its numbers.

Each reuses what earlier denoising steps have computed in the place of computing it again. The numbers are those of
diffusers' configurations, in the order of the fields here; what is not among them is diffusers' own default.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, ValidationError

from cogx_runs.definitions.frozen import Frozen
from cogx_runs.errors import did_you_mean
from cogx_runs.formatting import count, shortened, write_exact

NO_CACHE = "none"
LAST_TIMESTEP = 1000
"""The timestep of pure noise, at which denoising begins."""
_Timestep = Annotated[int, Field(ge=-1, le=LAST_TIMESTEP)]


class Cache(Frozen):
    """A cache with its numbers."""

    name: ClassVar[str]
    of_blocks: ClassVar[bool] = True
    """Whether it reuses whole blocks, outside of what `compile` compiles; else parts inside a block."""
    needs_blocks: ClassVar[int] = 1
    """The fewest blocks of a transformer in which it can skip any."""

    @classmethod
    def parse(cls, text: str) -> "Cache":
        """Parses `NAME`, `NAME:NUMBER`, `NAME:NUMBER:NUMBER`; numbers that are left out are the defaults.

        Raises ValueError for any other text.
        """
        name, *numbers = text.split(":")
        if name not in CACHES:
            raise ValueError(f"no cache {shortened(name)}; {did_you_mean(name, [NO_CACHE, *CACHES])}")
        kind = CACHES[name]
        fields = list(kind.model_fields)
        if len(numbers) > len(fields):
            raise ValueError(f"{name} takes at most {count(len(fields), 'number')}; {kind.how()}")
        try:
            return kind.model_validate({field: _number(part) for field, part in zip(fields, numbers, strict=False)})
        except ValidationError as error:
            mistake = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(map(str, mistake["loc"]))
            message = mistake["msg"].removeprefix("Value error, ")
            raise ValueError(f"{place}: {message} (got {shortened(text)}); {kind.how()}") from error

    @classmethod
    def how(cls) -> str:
        """Describes how to write it: `write pab[:interval[:after[:before]]]`."""
        return f"write {cls.name}{''.join(f'[:{field}' for field in cls.model_fields)}{']' * len(cls.model_fields)}"

    def __str__(self) -> str:
        """Writes the text that `parse` reads: the first number always, the others up to the last that is no default."""
        values = [getattr(self, field) for field in type(self).model_fields]
        defaults = [field.default for field in type(self).model_fields.values()]
        while len(values) > 1 and values[-1] == defaults[len(values) - 1]:
            values.pop()
        return ":".join([self.name, *map(write_exact, values)])

    @property
    def identity(self) -> str:
        """Name and all numbers, so that another default is another cache."""
        return ":".join([self.name, *(write_exact(value) for value in self.model_dump().values())])

    def held(self, blocks: int) -> int:  # noqa: ARG002
        """Counts the values kept from step to step for each token, text of the batch and unit of the hidden size."""
        return 0

    def may_skip(self, timesteps: Sequence[int], *, is_guided: bool) -> bool:  # noqa: ARG002
        """Checks whether anything can be skipped in a schedule, first timestep to last, whatever is denoised."""
        return len(timesteps) > 1


class FirstBlock(Cache):
    """Skips all blocks but the first in steps in which the first changes little
    (https://github.com/chengzeyi/ParaAttention)."""

    name: ClassVar[str] = "first_block"
    needs_blocks: ClassVar[int] = 2
    threshold: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Relative change of what the first block adds, up to which the others are skipped."""

    def held(self, blocks: int) -> int:  # noqa: ARG002
        """Counts what the first block gives and adds, and what the others add."""
        return 3


class PyramidAttentionBroadcast(Cache):
    """Computes attention only every so many steps in the middle of the schedule (https://arxiv.org/abs/2408.12588)."""

    name: ClassVar[str] = "pab"
    of_blocks: ClassVar[bool] = False
    interval: Annotated[int, Field(ge=2, le=100)] = 2
    after: _Timestep = 100
    before: _Timestep = 800
    """Attention is reused at the timesteps between both, exclusive."""

    def held(self, blocks: int) -> int:
        """Counts the attention of each block."""
        return blocks

    def may_skip(self, timesteps: Sequence[int], *, is_guided: bool) -> bool:  # noqa: ARG002
        """Checks whether a step that is no multiple of the interval lies between both timesteps."""
        return any(
            step % self.interval and self.after < timestep < self.before for step, timestep in enumerate(timesteps)
        )


class FasterCache(Cache):
    """Skips the pass without the prompt in most of the later steps, and every other attention in these
    (https://arxiv.org/abs/2410.19355); without guidance the attention alone."""

    name: ClassVar[str] = "fastercache"
    of_blocks: ClassVar[bool] = False
    before: ClassVar[int] = 681
    """Attention is reused below this timestep, diffusers' default."""
    guidance_before: ClassVar[int] = 641
    """The pass without the prompt is skipped below this one, likewise."""
    interval: Annotated[int, Field(ge=2, le=100)] = 2
    """Steps from one computed attention to the next."""
    guidance_interval: Annotated[int, Field(ge=2, le=100)] = 5
    """Steps from one computed pass without the prompt to the next."""

    def held(self, blocks: int) -> int:
        """Counts the last two attentions of each block."""
        return 2 * blocks

    def may_skip(self, timesteps: Sequence[int], *, is_guided: bool) -> bool:
        """Checks whether a step that is no multiple of the interval lies below its timestep; the first never does."""
        if timesteps[0] < self.before:
            return False
        interval, before = (self.guidance_interval, self.guidance_before) if is_guided else (self.interval, self.before)
        return any(step % interval and timestep < before for step, timestep in enumerate(timesteps))


class MagCache(Cache):
    """Skips the blocks in steps for which ratios of magnitudes, measured once for a model and a schedule, predict a
    small error (https://arxiv.org/abs/2506.09045)."""

    name: ClassVar[str] = "magcache"
    threshold: Annotated[float, Field(gt=0, le=10)] = 0.06
    """Predicted error, added up over skipped steps, up to which another is skipped."""
    most: Annotated[int, Field(ge=1, le=100)] = 3
    """Steps that are skipped one after the other, at most."""
    kept_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the steps, from the first, of which none is skipped."""

    def held(self, blocks: int) -> int:  # noqa: ARG002
        """Counts what goes into the blocks, and what they add."""
        return 2

    def may_skip(self, timesteps: Sequence[int], *, is_guided: bool) -> bool:  # noqa: ARG002
        """Checks whether a step after the first lies behind the share that is kept."""
        return len(timesteps) > max(int(self.kept_share * len(timesteps) + 0.5), 1)


class TaylorSeer(Cache):
    """Extrapolates what the blocks add up to from earlier steps, and computes it every so many
    (https://arxiv.org/abs/2503.06923)."""

    name: ClassVar[str] = "taylorseer"
    interval: Annotated[int, Field(ge=2, le=100)] = 5
    """Steps from one that is computed to the next."""
    order: Annotated[int, Field(ge=0, le=4)] = 1
    """Order of the extrapolation: 0 repeats the last value."""
    first: Annotated[int, Field(ge=1, le=1000)] = 3
    """Steps that are computed before anything is extrapolated."""

    def may_skip(self, timesteps: Sequence[int], *, is_guided: bool) -> bool:  # noqa: ARG002
        """Checks whether a step behind the first ones is none that is computed."""
        return any((step - self.first - 1) % self.interval for step in range(self.first, len(timesteps)))


CACHES: dict[str, type[Cache]] = {
    kind.name: kind for kind in (FirstBlock, PyramidAttentionBroadcast, FasterCache, MagCache, TaylorSeer)
}
"""The caches by name."""


def cache_of(text: str) -> Cache | None:
    """Parses the value of the parameter; None for no cache. Raises ValueError."""
    return None if text == NO_CACHE else Cache.parse(text)


def identity_of(text: str) -> str:
    """Reduces the value of the parameter to what changes the pixels: name and all numbers."""
    cache = cache_of(text)
    return NO_CACHE if cache is None else cache.identity


def _number(text: str) -> float | str:
    """Reads a number; leaves any other text for the model to refuse."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _checked(value: Any) -> Any:
    if value is None:
        return NO_CACHE
    return str(cache_of(value) or NO_CACHE) if isinstance(value, str) else value


CacheText = Annotated[str | None, BeforeValidator(_checked)]
"""A cache: a text or null; always kept as a text with its first number."""
