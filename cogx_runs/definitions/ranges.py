"""Ranges and objectives of a search by Optuna, as a sweep file defines them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError, model_validator

from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.limits import LARGEST_NUMBER, MOST_CELLS
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.seeds import SeedCount, listed
from cogx_runs.definitions.texts import Text
from cogx_runs.errors import Mistake, Place
from cogx_runs.formatting import shortened

Direction = Literal["maximize", "minimize"]
Key = TypeVar("Key")
WINNERS_CURSE = (
    "The best of many noisy trials looks better than it is (the winner's curse): confirm it with a sweep of it and "
    "the base on other seeds, compared in pairs."
)
"""Warning wherever the best trials of a search are shown."""


def front(
    points: Mapping[Key, Sequence[float]], directions: Sequence[Direction], degenerate: Mapping[Key, int]
) -> list[Key]:
    """Selects the points that no other beats in the objectives: the best, or those that tie; for two objectives the
    Pareto front. The best in the first objective comes first; ties keep the order given.

    Only those with the fewest degenerate videos are compared: some metrics rate a frozen video best of all.
    """
    fewest = min((degenerate[key] for key in points), default=0)
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    signed = {
        key: tuple(sign * value for sign, value in zip(signs, point, strict=True))
        for key, point in points.items()
        if degenerate[key] == fewest
    }
    unbeaten = [
        key
        for key, point in signed.items()
        if not any(other != point and all(map(float.__ge__, other, point)) for other in signed.values())
    ]
    return sorted(unbeaten, key=lambda key: signed[key], reverse=True)


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number (got {shortened(value)})")
    if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        raise ValueError(f"must be a number from -1e18 to 1e18 (got {shortened(value)})")
    return value


_Number = Annotated[int | float, PlainValidator(_number, json_schema_input_type=int | float)]
"""A number, whole where it was written so; pydantic's own union would report a mistake twice."""


class Range(Frozen):
    """A range of values from `low` to `high`, both included."""

    low: _Number
    high: _Number
    step: _Number | None = None
    """Distance of neighbouring values; None is 1 for whole numbers, and any value between for others."""
    log: bool = False
    """Whether values are drawn evenly on a logarithmic scale."""

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int)

    def values(self) -> tuple[int | float, ...] | None:
        """Lists every value, in order; None where any number between is one."""
        if self.whole:
            return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            return None
        return tuple(self.rounded(self.low + index * self.step) for index in range(math.floor(self._intervals()) + 1))

    def rounded(self, value: float) -> float:
        """Rounds a proposed number to four significant digits, so that it can be read and named, within the range."""
        if self.step is not None:
            return round(value, 10)
        return min(max(float(f"{value:.4g}"), self.low), self.high)

    def faults(self) -> Iterator[str]:
        """Yields the faults of the range, as clauses."""
        if self.step is not None and self.step <= 0:
            yield f"step {self.step:g} is not above 0"
            return
        if self._intervals() >= MOST_CELLS:
            yield f"holds more than {MOST_CELLS:,} values; give it a larger step, or other ends"
            return
        if self.low >= self.high:
            yield f"low {self.low:g} is not below high {self.high:g}"
        if self.log and self.low <= 0:
            yield f"low {self.low:g} has no logarithm; `log` needs more than 0"
        if self.log and self.step is not None:
            yield "has both `log` and `step`; use one"
        if self.step is not None and self.low < self.high:
            last = self.low + math.floor(self._intervals()) * self.step
            if not math.isclose(last, self.high, abs_tol=1e-9):
                yield f"steps of {self.step:g} from {self.low:g} do not reach high {self.high:g}; write {last:g}"

    def _intervals(self) -> float:
        """Returns how many steps fit between the ends; 0 where any number between is a value."""
        step = self.step or (1 if self.whole else math.inf)
        return (self.high - self.low) / step + 1e-9


_Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)]


class OptunaSearch(Frozen):
    """The search of `vary: optuna`: its budget and its objectives."""

    trials: int = Field(
        ge=1, le=MOST_CELLS, description="The budget: how many configurations are tried, each on every prompt."
    )
    objectives: list[Text] = Field(description="One or two metrics; a trial's value is the mean over its cells.")
    directions: list[Direction] | None = Field(
        None, description="`maximize` or `minimize` of each; null is as the metric is: scores up, costs down."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of Optuna's draws, not of the videos.")
    seeds: Annotated[_Seeds | None, BeforeValidator(listed, json_schema_input_type=_Seeds | SeedCount | None)] = Field(
        None, description="Of the videos: each trial runs with each, and is averaged over them; null is `base`'s one."
    )
    startup_trials: int = Field(
        10,
        ge=0,
        le=MOST_CELLS,
        description="So many finished trials are drawn at random before Optuna learns from them.",
    )

    @model_validator(mode="after")
    def _objectives_are_one_or_two(self) -> "OptunaSearch":
        if not 1 <= len(self.objectives) <= 2:
            raise ValueError(f"`objectives` are one or two metrics, these are {len(self.objectives)}")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"`objectives` names {self.objectives[0]} twice")
        if self.directions is not None and len(self.directions) != len(self.objectives):
            raise ValueError("`directions` needs one for each of `objectives`")
        if self.seeds is not None and len(set(self.seeds)) < len(self.seeds):
            raise ValueError("`seeds` names one more than once")
        return self


def check_ranges(
    axes: Mapping[str, Any],
    searched: bool,
    at: Callable[[str], Place],
    mistakes: list[Mistake],
) -> dict[str, Range]:
    """Checks each axis that is a range and converts its numbers to the type of the parameter; adds to `mistakes`.

    `searched` is whether the file asks for a search: else there are no ranges. `at` returns the place of a path.
    """
    checked = {}
    if searched and "seed" in axes:
        message = "is not searched: the luckiest would win; name those to average over in `optuna: {seeds: [...]}`"
        mistakes.append(Mistake(at("axes.seed"), message))
    for name, content in axes.items():
        path = f"axes.{name}"
        if not isinstance(content, dict) or any(mistake.where == at(path) for mistake in mistakes):
            continue
        if not searched:
            mistakes.append(Mistake(at(path), "a range is for `vary: optuna`; list the values"))
        elif name != "seed":
            try:
                checked[name] = _typed(name, Range.model_validate(content), at, mistakes)
            except ValidationError:
                continue  # reported with the file's other mistakes
    return checked


def _typed(name: str, given: Range, at: Callable[[str], Place], mistakes: list[Mistake]) -> Range:
    """Converts the range's numbers to the parameter's type; adds to `mistakes`."""
    path = f"axes.{name}"
    number = number_type(name)
    numbers = {key: value for key, value in given.model_dump(exclude={"log"}).items() if value is not None}
    if number is None:
        mistakes.append(Mistake(at(path), "is no number, and has no range; list the values to choose from"))
        return given
    if number is int and any(isinstance(value, float) for value in numbers.values()):
        mistakes.append(Mistake(at(path), "is a whole number; write low, high and step as such"))
        return given
    found = Range(**{key: number(value) for key, value in numbers.items()}, log=given.log)
    mistakes += [Mistake(at(path), fault) for fault in found.faults()]
    for end in ("low", "high"):
        try:
            Parameters.model_validate({name: getattr(found, end)})
        except ValidationError as error:
            message = f"{error.errors()[0]['msg']} (got {shortened(numbers[end])})"
            mistakes.append(Mistake(at(f"{path}.{end}"), message))
    return found


def number_type(name: str) -> type[int] | type[float] | None:
    """Returns the type of a parameter that is a number, or a number or null; None for any other."""
    annotation = Parameters.model_fields[name].annotation
    types = set(get_args(annotation) or (annotation,)) - {type(None)}
    for number in (int, float):
        if types == {number}:
            return number
    return None
