"""What a search has come to: its trials, the best of them, and how well their figures compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cogx_runs.metrics.registry import is_of_machine
from cogx_runs.planning.actions import Action
from cogx_runs.search.optuna.trials import Search, Trial
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
        """Of the sweep, and of its experiment."""
        return self.search.sweep.name

    @property
    def columns(self) -> list[str]:
        """The keys of a row."""
        return ["trial", "state", "best", "cells", *self.search.sweep.axes, *self.search.settings.objectives]

    def rows(self, every: bool = False) -> list[dict[str, Any]]:
        """Each of the best trials, or of all, flat; an objective of a trial that is not finished is None."""
        best = {trial.number for trial in self.best}
        none = [None] * len(self.search.settings.objectives)
        return [
            {
                "trial": trial.number,
                "state": trial.state,
                "best": trial.number in best,
                "cells": sum(run.action is Action.DONE for run in trial.plan.runs),
                **trial.parameters,
                **dict(zip(self.search.settings.objectives, trial.values or none, strict=True)),
            }
            for trial in (self.trials if every else self.best)
        ]

    @property
    def caveats(self) -> list[str]:
        """Which finished trials were passed over, and what makes times or memory not comparable, as sentences."""
        return [*self._degenerate(), *self._not_alike()]

    def _degenerate(self) -> list[str]:
        """Of the trials that hold degenerate videos."""
        finished = [trial for trial in self.trials if trial.state == "finished"]
        fewest = min((trial.degenerate for trial in finished), default=0)
        passed = [trial for trial in finished if trial.degenerate > fewest]
        said = []
        if passed:
            named = ", ".join(f"trial {one.number} ({one.degenerate} of {len(one.plan.runs)})" for one in passed)
            said.append(f"Passed over, since more of their videos are degenerate: {named}.")
        if fewest:
            said.append(
                f"Every finished trial has degenerate videos, the best too: {fewest} of "
                f"{len(self.best[0].plan.runs)}. Look at them before believing a score."
            )
        return said

    def _not_alike(self) -> list[str]:
        if not any(map(is_of_machine, self.search.settings.objectives)):
            return []
        done = [run.decision.finished for trial in self.trials for run in trial.plan.runs if trial.state == "finished"]
        made = [run for run in done if run is not None]
        beside = sum(run.beside is not None for run in made)
        machines = {f"{run.device_name} ({run.params.get('placement')})" for run in made}
        said = []
        if beside:
            said.append(f"{beside} of {len(made)} cells were timed while another sweep used the device.")
        if len(machines) > 1:
            said.append(f"Not all cells were measured in one place: {', '.join(sorted(machines))}.")
        return said


def result_of(search: Search, history: Sequence[TrackedRun]) -> SearchResult:
    """What a search has come to, as the store has it."""
    trials = search.known(history)
    return SearchResult(search, tuple(trials), tuple(search.best(trials)))
