"""What can be said of a search before it runs: its advice, and the trials and cells to come."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from cogx_runs.formatting import whole_seconds
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Advice, Plan
from cogx_runs.search.optuna.proposals import values_of
from cogx_runs.search.optuna.trials import Search, Trial
from cogx_runs.tracking.run import TrackedRun


def advise_search(search: Search) -> list[Advice]:
    """What the model's rules say of the values that may be chosen, each by itself and the largest together.

    Of a range, what is said of several values is said once. What only a combination of values breaks fails the
    trials that have it, and stops no search.
    """
    found = dict.fromkeys(search.value_cells.advice)
    for axis in search.sweep.ranges:
        for level in ("error", "warning"):
            said = [item for item in found if item.level == level and item.where == search.sweep.where(axis)]
            if len(said) > 1:
                count = len(values_of(search.sweep, axis))
                more = f"; {len(said)} of the {count} values are like this: give the range a `step`, or list values"
                found = {item: None for item in found if item not in said}
                found[replace(said[0], message=said[0].message + more)] = None
    where = f"{search.sweep.file}:optuna"
    if search.budget < search.settings.trials:
        message = f"is more than the {search.budget} configurations that there are; all of them are made"
        found[Advice("note", f"{where}.trials", message)] = None
    if search.budget <= search.settings.startup_trials:
        message = (
            f"all {search.budget} trials are drawn at random: Optuna learns after {search.settings.startup_trials}"
        )
        found[Advice("note", f"{where}.startup_trials", message)] = None
    on_cpu = any(run.spec.device == "cpu" for run in search.value_cells.runs)
    for index, metric in enumerate(search.settings.objectives):
        if on_cpu and metric.startswith("peak_vram"):
            found[Advice("error", f"{where}.objectives.{index}", f"{metric} is not measured on a CPU")] = None
    return list(found)


def forecast(search: Search, trials: Sequence[Trial]) -> tuple[Advice, int]:
    """Forecasts the trials after the known ones: a note on them, and how many cells they are."""
    counts = {state: sum(trial.state == state for trial in trials) for state in ("finished", "failed", "open")}
    cells = max((len(trial.plan.runs) for trial in trials), default=0)
    to_come = search.budget - len(trials)
    message = f"{counts['finished']} of {search.budget} trials finished"
    if counts["failed"]:
        message += f", {counts['failed']} failed"
    if counts["open"]:
        message += f"; trial {trials[-1].number} is next"
    if to_come:
        message += f"; {to_come} more follow from the results, of {cells} cells each"
        seconds = _seconds_a_cell(trials)
        if seconds is not None:
            message += f", about {whole_seconds(seconds * cells * to_come)} s if they take what those known take"
    return Advice("note", f"{search.sweep.file}:optuna.trials", message), to_come * cells


def add_search(plan: Plan, search: Search, history: Sequence[TrackedRun], retry_failed: bool = False) -> Plan:
    """Adds to a plan what is known of a search beforehand: its cells up to the next trial, advice and forecast."""
    advice = advise_search(search)
    if any(item.level == "error" for item in advice):
        return replace(plan, advice=tuple(dict.fromkeys((*plan.advice, *advice))))
    trials = search.known(history, retry_failed)
    to_come, cells = forecast(search, trials)
    return replace(
        plan,
        runs=(*plan.runs, *(run for trial in trials for run in trial.plan.runs)),
        advice=tuple(dict.fromkeys((*plan.advice, *advice, to_come))),
        cells_to_come=plan.cells_to_come + cells,
    )


def _seconds_a_cell(trials: Sequence[Trial]) -> float | None:
    """What a cell of the known trials takes, that of finished ones where there are any; None where nothing says."""
    runs = [run for trial in trials for run in trial.plan.runs]
    took = [run.decision.finished.metrics.get("wall_time_s") for run in runs if run.decision.finished is not None]
    takes = [run.estimate.seconds for run in runs if run.action is Action.RUN]
    known = [seconds for seconds in took or takes if seconds is not None]
    return fmean(known) if known else None
