"""A search: its trials, read from the tracked runs alone, the next one to run, and the best of them."""

import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from cogx_runs.analysis.trials import best_of, objective_means
from cogx_runs.definitions.parameters import SWEPT, default_of
from cogx_runs.definitions.ranges import Direction
from cogx_runs.definitions.spec import COST_FIELDS, UNSIGNED_DEFAULTS
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError, InputError, Mistake, did_you_mean
from cogx_runs.formatting import shortened
from cogx_runs.metrics.registry import aim, card_of, cards_of_every_cell, rescore_command
from cogx_runs.planning.actions import Action, Decision
from cogx_runs.planning.plan import Estimate, Plan, PlannedRun
from cogx_runs.planning.planner import Planner
from cogx_runs.search.optuna.proposals import EarlierTrial, propose, size, values_of
from cogx_runs.search.optuna.trial import Trial, TrialState
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import TRIAL, TRIAL_PARAMETERS, TRIAL_SEARCH, json_tag


class Search:
    """A sweep whose cells are proposed trial by trial."""

    def __init__(self, sweep: Sweep, planner: Planner) -> None:
        """Takes the planner of its trials.

        Raises InputError for an objective that is not measured of every cell, or has no direction.
        """
        assert sweep.optuna is not None, "only a search has trials"
        self.sweep = sweep
        self.settings = sweep.optuna
        self.directions = directions(sweep)
        self.seeds = tuple(self.settings.seeds or (sweep.base.seed,))
        self.planner = planner

    @cached_property
    def key(self) -> str:
        """Identity of the search among those of its experiment: a hash of the space, the fixed parameters and the
        seeds. Budget, objectives and prompts may change, and the search continues."""
        searched = {name: values_of(self.sweep, name) for name in self.sweep.axes}
        ranges = {name: found.model_dump() for name, found in self.sweep.ranges.items()}
        names = {*SWEPT} - {*COST_FIELDS, *self.sweep.axes, "seed"}
        base = {
            name: default_of(name) if value is None else value
            for name, value in self.sweep.base.model_dump(include=names).items()
            if name not in UNSIGNED_DEFAULTS or value != UNSIGNED_DEFAULTS[name]
        }
        content = [searched, ranges, base, self.seeds, self.settings.seed]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def budget(self) -> int:
        """Number of trials: those of the settings, or fewer where the space has fewer configurations."""
        return int(min(self.settings.trials, size(self.sweep)))

    @cached_property
    def value_cells(self) -> Plan:
        """Plan of cells with each value that may be chosen, and of one with the largest values together."""
        plain = self.sweep.model_copy(update={"vary": "zip", "ranges": {}, "optuna": None})
        values = {axis: values_of(self.sweep, axis) for axis in self.sweep.axes}
        alone = [plain.model_copy(update={"axes": {axis: found}}) for axis, found in values.items()]
        together = plain.model_copy(update={"axes": {axis: (_largest(found),) for axis, found in values.items()}})
        return self.planner.plan_cells([*alone, together], [], False)

    def choose_placement(self) -> None:
        """Chooses the placement of all trials, by the memory that is free now."""
        _ = self.value_cells

    def begun(
        self, history: Sequence[TrackedRun], retry_failed: bool = False, without: Collection[int] = ()
    ) -> dict[int, Trial]:
        """Reads the trials that have runs, by their numbers; those `without` are left out.

        Raises CogxError where a finished cell lacks an objective.
        """
        found = self._parameters(history)
        return {
            number: self.trial(number, found[number], history, retry_failed)
            for number in sorted(found)
            if number <= self.budget and number not in without
        }

    def next(
        self, trials: Mapping[int, Trial], history: Sequence[TrackedRun], retry_failed: bool = False
    ) -> Trial | None:
        """Proposes, by Optuna, the first trial that is none of these; None after the last. Those of them that are open
        are pending."""
        number = next(number for number in itertools.count(1) if number not in trials)
        if number > self.budget:
            return None
        earlier = [
            EarlierTrial(trial.parameters, trial.values, trial.degenerate, trial.state is TrialState.OPEN)
            for trial in (trials[before] for before in range(1, number))
        ]
        later = [trial.parameters for trial in trials.values() if trial.number > number]
        parameters = propose(self.sweep, self.directions, earlier, later)
        return None if parameters is None else self.trial(number, parameters, history, retry_failed)

    def known(self, history: Sequence[TrackedRun], retry_failed: bool = False) -> list[Trial]:
        """Reads the trials that have runs, in order, and where none of them is open adds the one that follows."""
        trials = self.begun(history, retry_failed)
        while not any(trial.state is TrialState.OPEN for trial in trials.values()):
            following = self.next(trials, history, retry_failed)
            if following is None:
                break
            trials[following.number] = following
        return [trials[number] for number in sorted(trials)]

    def trial(
        self, number: int, parameters: Mapping[str, Any], history: Sequence[TrackedRun], retry_failed: bool = False
    ) -> Trial:
        """Reads a trial of these parameters from the history. One with a failed cell has failed as a whole."""
        axes: dict[str, tuple[Any, ...]] = {name: (value,) for name, value in parameters.items()}
        shown = self.sweep
        if len(self.seeds) > 1:
            axes |= {"seed": self.seeds}
            shown = shown.model_copy(update={"axes": {**shown.axes, "seed": self.seeds}})
        planned = self.planner.plan_cells([self._sweep_of(axes)], history, retry_failed)
        tags = {TRIAL: str(number), TRIAL_SEARCH: self.key, TRIAL_PARAMETERS: json.dumps(dict(parameters))}
        runs = tuple(replace(run, tags={**run.tags, **tags}) for run in planned.runs)
        failed = sum(run.action is Action.FAILED for run in runs)
        error = None
        if planned.errors:
            error = f"cannot run: {planned.errors[0].message}"
        elif failed:
            error = f"{failed} of its {len(runs)} cells failed; --retry-failed tries again"
        if error is not None:
            runs = tuple(run if run.action is Action.DONE else _not_tried(run) for run in runs)
        plan = replace(planned, sweeps=(shown,), runs=runs)
        if error is not None:
            return Trial(number, parameters, plan, TrialState.FAILED, error=error)
        if any(run.action is not Action.DONE for run in runs):
            return Trial(number, parameters, plan, TrialState.OPEN)
        for metric in self.settings.objectives:
            if error := self._lacking(number, plan, metric, history):
                return Trial(number, parameters, plan, TrialState.FAILED, error=error)
        finished = [run.decision.finished for run in plan.runs if run.decision.finished is not None]
        values = objective_means(finished, self.settings.objectives, len(plan.runs))
        if values is None:
            return Trial(number, parameters, plan, TrialState.FAILED, error="an objective is not finite")
        return Trial(number, parameters, plan, TrialState.FINISHED, values)

    def best(self, trials: Iterable[Trial]) -> list[Trial]:
        """Selects the finished trials that no other one beats, as `best_of` does."""
        return best_of(trials, self.directions)

    def _parameters(self, history: Sequence[TrackedRun]) -> dict[int, dict[str, Any]]:
        """Reads the parameters of the trials that have runs, by their numbers.

        Where two commands began one number with other values, the trial is the one that was begun first.
        """
        own = [run for run in history if run.experiment == self.sweep.name and run.tags.get(TRIAL_SEARCH) == self.key]
        found: dict[int, dict[str, Any]] = {}
        for run in sorted(own, key=lambda run: run.order):
            number, parameters = run.tags.get(TRIAL, ""), json_tag(run.tags, TRIAL_PARAMETERS)
            if number.isdecimal() and parameters:
                found.setdefault(int(number), parameters)
        return found

    def _sweep_of(self, axes: Mapping[str, tuple[Any, ...]]) -> Sweep:
        """Builds the grid of these values, around the search's base."""
        base: dict[str, Any] = {"seed": self.seeds[0]}
        if self.value_cells.placement is not None:  # one for all trials, or their times would not compare
            base["placement"] = self.value_cells.placement
        return self.sweep.model_copy(
            update={
                "base": self.sweep.base.model_copy(update=base),
                "axes": dict(axes),
                "vary": "grid",
                "ranges": {},
                "optuna": None,
            }
        )

    def _lacking(self, number: int, plan: Plan, metric: str, history: Sequence[TrackedRun]) -> str | None:
        """Describes why a trial of finished cells has no value of an objective, as where the metric raised on a video;
        None where it has one. Raises CogxError where no run of the experiment has one: no trial would."""
        finished = [run.decision.finished for run in plan.runs if run.decision.finished is not None]
        missing = sum(metric not in run.metrics for run in finished)
        if not missing:
            return None
        lacking = f"{missing} of its {len(finished)} cells have no {metric}"
        advised = f"`{rescore_command(metric, self.sweep.name)}` adds what can be measured here"
        if any(run.experiment == self.sweep.name and metric in run.metrics for run in history):
            return f"{lacking}; {advised}"
        raise CogxError(
            f"{self.sweep.name}: trial {number}: {lacking}, an objective of the search, nor has any other run; "
            f"{advised}"
        )


def directions(sweep: Sweep) -> tuple[Direction, ...]:
    """Returns the better direction of each objective. Raises InputError for one that is not measured of every cell, or
    that has no direction."""
    assert sweep.optuna is not None, "only a search has objectives"
    given, mistakes, found = sweep.optuna.directions, [], []
    usable = cards_of_every_cell(sweep.extra_metrics)
    for index, name in enumerate(sweep.optuna.objectives):
        card, where = usable.get(name), sweep.at(f"optuna.objectives.{index}")
        if card is None:
            wrong = f"no metric {shortened(name)}" if card_of(name) is None else f"not every cell of a sweep has {name}"
            mistakes.append(Mistake(where, f"{wrong}; {did_you_mean(name.partition('.')[0], usable)}"))
        elif card.direction is None and given is None:
            mistakes.append(Mistake(where, f"{name} is better in neither direction; name them in `optuna.directions`"))
        else:
            found.append(aim(card))
    if mistakes:
        raise InputError(mistakes)
    return tuple(given or found)


def _largest(values: Sequence[Any]) -> Any:
    """Selects the value of an axis that takes most memory, as far as its values have an order."""
    numbers = [value for value in values if isinstance(value, int | float)]
    return max(numbers) if len(numbers) == len(values) else values[0]


def _not_tried(run: PlannedRun) -> PlannedRun:
    return replace(run, decision=Decision(Action.FAILED), estimate=Estimate(0.0, None, "its trial failed"))
