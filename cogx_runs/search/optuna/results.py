"""The result of a search: its trials, the best of them, and caveats on their comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cogx_runs.metrics.registry import is_of_machine
from cogx_runs.planning.actions import Action
from cogx_runs.search.optuna.search import Search
from cogx_runs.search.optuna.trial import Trial
from cogx_runs.tracking.run import TrackedRun


@dataclass(frozen=True)
class SearchResult:
    """The known trials of a search."""

    search: Search
    trials: tuple[Trial, ...]
    """In order, up to the first that is open."""
    best: tuple[Trial, ...]
    """The best one, or of two objectives the Pareto front, the best in the first one first."""

    @property
    def name(self) -> str:
        """Name of the sweep and of its experiment."""
        return self.search.sweep.name

    @property
    def columns(self) -> list[str]:
        """Keys of a row."""
        return ["trial", "state", "best", "cells", *self.search.sweep.axes, *self.search.settings.objectives]

    def rows(self, every: bool = False) -> list[dict[str, Any]]:
        """Lists the best trials, or all, as flat rows; an objective of a trial that is not finished is None."""
        best = {trial.number for trial in self.best}
        none = [None] * len(self.search.settings.objectives)
        return [
            {
                "trial": trial.number,
                "state": str(trial.state),
                "best": trial.number in best,
                "cells": sum(run.action is Action.DONE for run in trial.plan.runs),
                **trial.parameters,
                **dict(zip(self.search.settings.objectives, trial.values or none, strict=True)),
            }
            for trial in (self.trials if every else self.best)
        ]

    @property
    def caveats(self) -> list[str]:
        """Sentences on finished trials that were passed over, and on times or memory that are not comparable."""
        return [*self._degenerate(), *self._not_alike()]

    def _degenerate(self) -> list[str]:
        """Describes the trials with degenerate videos."""
        finished = [trial for trial in self.trials if trial.state.is_finished]
        fewest = min((trial.degenerate for trial in finished), default=0)
        passed = [trial for trial in finished if trial.degenerate > fewest]
        sentences = []
        if passed:
            named = ", ".join(f"trial {one.number} ({one.degenerate} of {len(one.plan.runs)})" for one in passed)
            sentences.append(f"Passed over, since more of their videos are degenerate: {named}.")
        if fewest:
            sentences.append(
                f"Every finished trial has degenerate videos, the best too: {fewest} of "
                f"{len(self.best[0].plan.runs)}. Look at them before believing a score."
            )
        return sentences

    def _not_alike(self) -> list[str]:
        if not any(map(is_of_machine, self.search.settings.objectives)):
            return []
        done = [run.decision.finished for trial in self.trials for run in trial.plan.runs if trial.state.is_finished]
        finished = [run for run in done if run is not None]
        shared = sum(run.beside is not None for run in finished)
        machines = {f"{run.device_name} ({run.params.get('placement')})" for run in finished}
        sentences = []
        if shared:
            sentences.append(f"{shared} of {len(finished)} cells were timed while other work used the machine.")
        if len(machines) > 1:
            sentences.append(f"Not all cells were measured in one place: {', '.join(sorted(machines))}.")
        return sentences


def result_of(search: Search, history: Sequence[TrackedRun]) -> SearchResult:
    """Reads the result of a search from the tracked runs."""
    trials = search.known(history)
    return SearchResult(search, tuple(trials), tuple(search.best(trials)))
