"""The trials of a search, read from its runs: their parameters, their values, and the best of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cogx_runs.analysis.trials import TrackedSearch, TrackedTrial, searches_of
from cogx_runs.definitions.ranges import WINNERS_CURSE, Direction
from cogx_runs.formatting import count, write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import card_of
from cogx_runs.tracking.run import TrackedRun


@dataclass(frozen=True)
class Tried:
    """One configuration."""

    trial: TrackedTrial
    cells: tuple[TrackedRun | None, ...]
    """One cell for each row of the search; None where there is no run."""
    is_best: bool
    """Whether it is best among the trials with the fewest degenerate videos."""

    @property
    def number(self) -> int:
        """Number of the trial in the search, from 1."""
        return self.trial.number

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The value of each axis."""
        return self.trial.parameters

    @property
    def values(self) -> tuple[float, ...] | None:
        """The mean of each objective over the cells; None where it is not finished."""
        return self.trial.values

    @property
    def degenerate(self) -> int:
        """Number of its videos that are degenerate."""
        return self.trial.degenerate

    @property
    def title(self) -> str:
        """Its parameters in a line: `guidance_scale 7.3, num_inference_steps 25`."""
        return ", ".join(f"{axis} {write_value(value)}" for axis, value in self.parameters.items())


@dataclass(frozen=True)
class Trials:
    """A search."""

    objectives: tuple[MetricCard, ...]
    directions: tuple[Direction, ...]
    rows: tuple[tuple[str, str, str], ...]
    """Each prompt's name and text, with its seed where there are several."""
    tried: tuple[Tried, ...]
    """Trials in order: the best or the Pareto front, then by the first objective, last those without a value."""

    @property
    def axes(self) -> list[str]:
        return list(self.tried[0].parameters)

    @property
    def finished(self) -> list[Tried]:
        """Trials that have a value, by number."""
        return sorted((one for one in self.tried if one.values is not None), key=lambda one: one.number)

    @property
    def best_name(self) -> str:
        """Name of the best trials: `best` or `Pareto front`."""
        return "best" if len(self.objectives) == 1 else "Pareto front"

    @property
    def sentences(self) -> list[str]:
        """The result and its caveats."""
        finished = self.finished
        if not finished:
            return ["No trial is finished yet."]
        aims = " and ".join(
            f"{card.title} ({'higher' if direction == 'maximize' else 'lower'} is better)"
            for card, direction in zip(self.objectives, self.directions, strict=True)
        )
        best = [one for one in self.tried if one.is_best]
        lines = [f"Of {count(len(finished), 'finished trial')}, judged by {aims}, each a mean over its videos:"]
        if len(self.objectives) > 1:
            lines[0] += f" {count(len(best), 'trial')} that no other beats in both (the Pareto front)."
        else:
            numbers = " and ".join(f"trial {one.number} ({one.title})" for one in best)
            lines[0] += f" the best is {numbers}."
        if unfinished := len(self.tried) - len(finished):
            lines.append(f"{count(unfinished, 'trial')} without a value: not every cell of it is finished.")
        fewest = min(one.degenerate for one in finished)
        if passed := [f"trial {one.number} ({one.degenerate})" for one in finished if one.degenerate > fewest]:
            lines.append(f"Passed over, since more of their videos are degenerate: {', '.join(passed)}.")
        if fewest:
            lines.append("Every finished trial has degenerate videos, the best too.")
        return [*lines, WINNERS_CURSE]


def trials_of(cells: Sequence[TrackedRun], objectives: Mapping[str, Direction]) -> list[Trials]:
    """Reads the searches of these cells, the one with the latest run last."""
    return [_search(found, objectives) for found in reversed(searches_of(cells, objectives))]


def _search(search: TrackedSearch, objectives: Mapping[str, Direction]) -> Trials:
    cells = sorted((run for trial in search.trials for run in trial.runs), key=lambda run: run.start_time_ms)
    rows = list(dict.fromkeys(map(_row, cells)))
    best = [trial.number for trial in search.best]
    sign = -1 if search.directions[0] == "maximize" else 1

    def place(trial: TrackedTrial) -> tuple[float, ...]:
        if trial.number in best:
            return 0, best.index(trial.number)
        return (2, trial.number) if trial.values is None else (1, sign * trial.values[0])

    tried = [
        Tried(
            trial,
            tuple(next((run for run in trial.runs if _row(run) == row), None) for row in rows),
            trial.number in best,
        )
        for trial in sorted(search.trials, key=place)
    ]
    several = len({seed for _, seed in rows}) > 1
    texts = {cell.prompt_name: cell.prompt for cell in cells}
    named = tuple((name, texts[name], f"seed {write_value(seed)}" if several else "") for name, seed in rows)
    cards = [card for name in objectives if (card := card_of(name)) is not None]
    return Trials(tuple(cards), search.directions, named, tuple(tried))


def _row(cell: TrackedRun) -> tuple[str, Any]:
    return cell.prompt_name, cell.config.get("seed")
