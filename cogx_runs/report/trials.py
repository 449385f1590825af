"""The trials of a search, as its runs tell them: what was tried, what it came to, and which no other beats."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cogx_runs.definitions.ranges import WINNERS_CURSE, Direction, front
from cogx_runs.formatting import count, write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import card_of
from cogx_runs.report.cells import Cell

NUMBER, SEARCH, PARAMETERS = "trial", "trial.search", "trial.parameters"
"""Tags of a cell."""


@dataclass(frozen=True)
class Tried:
    """One configuration."""

    number: int
    """Counted from 1."""
    parameters: Mapping[str, Any]
    """The value of each axis."""
    cells: tuple[Cell | None, ...]
    """One a row of the search; None for what has not been made."""
    values: tuple[float, ...] | None
    """Of each objective the mean over the cells; None where one of them is missing or failed."""
    is_best: bool
    """Among those with the fewest degenerate videos."""

    @property
    def degenerate(self) -> int:
        """How many of its videos are."""
        return _degenerate(cell for cell in self.cells if cell is not None)

    @property
    def what(self) -> str:
        """`guidance_scale 7.3, num_inference_steps 25`"""
        return ", ".join(f"{axis} {write_value(value)}" for axis, value in self.parameters.items())


@dataclass(frozen=True)
class Trials:
    """A search."""

    objectives: tuple[MetricCard, ...]
    directions: tuple[Direction, ...]
    rows: tuple[tuple[str, str, str], ...]
    """Each prompt's name and text, with what tells it from its other rows: the seed, where there are several."""
    tried: tuple[Tried, ...]
    """The best one first, or those of the Pareto front; then by the first objective; last what has no value."""

    @property
    def axes(self) -> list[str]:
        return list(self.tried[0].parameters)

    @property
    def finished(self) -> list[Tried]:
        """Those that have a value, in the order they were made."""
        return sorted((one for one in self.tried if one.values is not None), key=lambda one: one.number)

    @property
    def best_is(self) -> str:
        """What the best are called."""
        return "best" if len(self.objectives) == 1 else "Pareto front"

    @property
    def sentences(self) -> list[str]:
        """What it came to, and how far to believe it."""
        finished = self.finished
        if not finished:
            return ["No trial is finished yet."]
        aims = " and ".join(
            f"{card.title} ({'higher' if direction == 'maximize' else 'lower'} is better)"
            for card, direction in zip(self.objectives, self.directions, strict=True)
        )
        best = [one for one in self.tried if one.is_best]
        said = [f"Of {count(len(finished), 'finished trial')}, judged by {aims}, each a mean over its videos:"]
        if len(self.objectives) > 1:
            said[0] += f" {count(len(best), 'trial')} that no other beats in both (the Pareto front)."
        else:
            numbers = " and ".join(f"trial {one.number} ({one.what})" for one in best)
            said[0] += f" the best is {numbers}."
        if lacking := len(self.tried) - len(finished):
            said.append(f"{count(lacking, 'trial')} without a value: not every cell of it is finished.")
        fewest = min(one.degenerate for one in finished)
        if passed := [f"trial {one.number} ({one.degenerate})" for one in finished if one.degenerate > fewest]:
            said.append(f"Passed over, since more of their videos are degenerate: {', '.join(passed)}.")
        if fewest:
            said.append("Every finished trial has degenerate videos, the best too.")
        return [*said, WINNERS_CURSE]


def trials_of(cells: Sequence[Cell], objectives: Mapping[str, Direction]) -> list[Trials]:
    """The searches that these cells are of, in the order they were begun: another base or other axes make another."""
    searches: dict[str, list[Cell]] = {}
    for cell in cells:
        if NUMBER in cell.tags and objectives:
            searches.setdefault(cell.tags.get(SEARCH, ""), []).append(cell)
    return [_search(found, objectives) for found in searches.values()]


def _degenerate(cells: Iterable[Cell]) -> int:
    return sum("degenerate" in cell.tags for cell in cells)


def _search(cells: Sequence[Cell], objectives: Mapping[str, Direction]) -> Trials:
    by_number: dict[int, list[Cell]] = {}
    for cell in cells:
        by_number.setdefault(int(cell.tags[NUMBER]), []).append(cell)
    rows = list(dict.fromkeys((cell.prompt_name, cell.config.get("seed")) for cell in cells))
    values = {number: found for number in sorted(by_number) if (found := _values(by_number[number], rows, objectives))}
    degenerate = {number: _degenerate(found) for number, found in by_number.items()}
    best = front(values, list(objectives.values()), degenerate)
    sign = -1 if next(iter(objectives.values())) == "maximize" else 1

    def place(number: int) -> tuple[float, ...]:
        if number in best:
            return 0, best.index(number)
        return (1, sign * values[number][0]) if number in values else (2, number)

    def at(number: int, row: tuple[str, Any]) -> Cell | None:
        return next((cell for cell in by_number[number] if (cell.prompt_name, cell.config.get("seed")) == row), None)

    tried = [
        Tried(
            number,
            json.loads(by_number[number][0].tags[PARAMETERS]),
            tuple(at(number, row) for row in rows),
            values.get(number),
            number in best,
        )
        for number in sorted(by_number, key=place)
    ]
    several = len({seed for _, seed in rows}) > 1
    texts = {cell.prompt_name: cell.prompt for cell in cells}
    named = tuple((name, texts[name], f"seed {write_value(seed)}" if several else "") for name, seed in rows)
    cards = [card for name in objectives if (card := card_of(name)) is not None]
    return Trials(tuple(cards), tuple(objectives.values()), named, tuple(tried))


def _values(
    cells: Sequence[Cell], rows: Sequence[tuple[str, Any]], objectives: Mapping[str, Direction]
) -> tuple[float, ...] | None:
    if len(cells) < len(rows) or any(not objectives.keys() <= cell.metrics.keys() for cell in cells):
        return None
    return tuple(fmean(cell.metrics[objective] for cell in cells) for objective in objectives)
