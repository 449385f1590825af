"""Advice on a search before it runs, and a forecast of its trials and cells."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from cogx_runs.formatting import whole_seconds
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Advice, Plan
from cogx_runs.search.optuna.proposals import values_of
from cogx_runs.search.optuna.search import Search
from cogx_runs.search.optuna.trial import Trial, TrialState
from cogx_runs.tracking.run import TrackedRun


def advise_search(search: Search) -> list[Advice]:
    """Applies the model's rules to the values that may be chosen, each by itself and the largest together.

    Advice on several values of a range is given once. A combination of values that breaks a rule fails its trials, and
    does not stop the search.
    """
    found = dict.fromkeys(search.value_cells.advice)
    for axis in search.sweep.ranges:
        for level in ("error", "warning"):
            same = [item for item in found if item.level == level and item.where == search.sweep.where(axis)]
            if len(same) > 1:
                count = len(values_of(search.sweep, axis))
                more = f"; {len(same)} of the {count} values are like this: give the range a `step`, or list values"
                found = {item: None for item in found if item not in same}
                found[replace(same[0], message=same[0].message + more)] = None
    at = search.sweep.at
    if search.budget < search.settings.trials:
        message = f"is more than the {search.budget} configurations of the space; all of them are run"
        found[Advice("note", at("optuna.trials"), message)] = None
    if search.budget <= search.settings.startup_trials:
        message = (
            f"all {search.budget} trials are drawn at random: Optuna learns after {search.settings.startup_trials}"
        )
        found[Advice("note", at("optuna.startup_trials"), message)] = None
    on_cpu = any(run.spec.device == "cpu" for run in search.value_cells.runs)
    for index, metric in enumerate(search.settings.objectives):
        if on_cpu and metric.startswith("peak_vram"):
            found[Advice("error", at(f"optuna.objectives.{index}"), f"{metric} is not measured on a CPU")] = None
    return list(found)


def forecast(search: Search, trials: Sequence[Trial]) -> tuple[Advice, int]:
    """Forecasts the trials after the known ones: a note on them, and the number of their cells."""
    counts = {state: sum(trial.state is state for trial in trials) for state in TrialState}
    cells = max((len(trial.plan.runs) for trial in trials), default=0)
    to_come = search.budget - len(trials)
    message = f"{counts[TrialState.FINISHED]} of {search.budget} trials finished"
    if counts[TrialState.FAILED]:
        message += f", {counts[TrialState.FAILED]} failed"
    following = [str(trial.number) for trial in trials if trial.state is TrialState.OPEN]
    if following:
        message += f"; trial {', '.join(following)} {'is' if len(following) == 1 else 'are'} next"
    if to_come:
        message += f"; {to_come} more follow from the results, of {cells} cells each"
        seconds = _seconds_a_cell(trials)
        if seconds is not None:
            message += f", about {whole_seconds(seconds * cells * to_come)} s if they take what those known take"
    return Advice("note", search.sweep.at("optuna.trials"), message), to_come * cells


def add_search(plan: Plan, search: Search, history: Sequence[TrackedRun], retry_failed: bool = False) -> Plan:
    """Adds a search to a plan: its cells up to the next trial, its advice and its forecast."""
    advice = advise_search(search)
    if any(item.level == "error" for item in advice):
        return replace(plan, advice=tuple(dict.fromkeys((*plan.advice, *advice))))
    trials = search.known(history, retry_failed)
    to_come, cells = forecast(search, trials)
    return replace(
        plan,
        runs=(*plan.runs, *(run for trial in trials for run in trial.plan.runs)),
        advice=tuple(dict.fromkeys((*plan.advice, *advice, to_come))),
        cards={**plan.cards, **{key: card for trial in trials for key, card in trial.plan.cards.items()}},
        cells_to_come=plan.cells_to_come + cells,
    )


def _seconds_a_cell(trials: Sequence[Trial]) -> float | None:
    """Estimates the time of a cell from the known trials, from finished cells where there are some; None where neither
    has a time."""
    runs = [run for trial in trials for run in trial.plan.runs]
    measured = [run.decision.finished.metrics.get("wall_time_s") for run in runs if run.decision.finished is not None]
    estimated = [run.estimate.seconds for run in runs if run.action is Action.RUN and not run.estimate.is_rough]
    known = [seconds for seconds in measured or estimated if seconds is not None]
    return fmean(known) if known else None
