"""The trials of a search as an executor is given them: each where a worker would have nothing to do otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cogx_runs.execution.executor import Executor
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus, known_outcome
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress
from cogx_runs.search.optuna.search import Search
from cogx_runs.search.optuna.trial import Trial, TrialState


def run_search(
    search: Search, executor: Executor, progress: Progress, *, retry_failed: bool = False, fail_fast: bool = False
) -> list[Outcome]:
    """Runs the trials that are not finished, as many at once as the executor has workers. Returns the outcome of each
    cell, in the order of the trials.

    A trial is begun only where a worker would have nothing to do otherwise, so that each proposal knows as much as it
    can. Results are read from the store, whichever process ran the cells. A trial ends at its first cell that fails;
    with `fail_fast` no trial is begun after one that failed.
    """
    feed = TrialFeed(search, progress, retry_failed=retry_failed, fail_fast=fail_fast)
    first = feed.more({}, 1)
    ended = [] if first is None else executor.run(first, progress, fail_fast=True, more=feed.more)
    return feed.outcomes(ended)


class TrialFeed:
    """Gives the plans of trials: those that were begun and are open, then those that Optuna proposes.

    At most as many trials are open at once as there are workers; the proposals know those as pending.
    """

    def __init__(self, search: Search, progress: Progress, *, retry_failed: bool, fail_fast: bool) -> None:
        """Reads the trials that have runs; with `retry_failed` those that failed are open again, once."""
        self._search = search
        self._progress = progress
        self._retry_failed = retry_failed
        self._fail_fast = fail_fast
        self._history = search.planner.history()
        self._trials = search.begun(self._history, retry_failed)
        self._places: dict[int, range] = {}
        """Where the cells of a trial stand among all that were given, by the trial's number."""
        self._at_work: set[int] = set()
        self._is_over = False
        for trial in self._trials.values():
            self._note_failed(trial)

    def more(self, ended: Mapping[int, Outcome], workers: int) -> Plan | None:
        """Returns the plan of the trial that follows; None where none does for now. See `execution.executor.More`."""
        done = [number for number in sorted(self._at_work) if all(place in ended for place in self._places[number])]
        if done or (len(self._at_work) < workers and not self._open()):
            self._history = self._search.planner.history()
            others = self._search.begun(self._history, self._retry_failed, without=self._trials)
            self._trials |= others  # another process may have begun some
        for number in done:
            self._take_up(number, [ended[place] for place in self._places[number]])
        while not self._is_over and len(self._at_work) < workers:
            trial = next(iter(self._open()), None)
            trial = trial or self._search.next(self._trials, self._history, self._retry_failed)
            if trial is None:
                return None
            self._trials[trial.number] = trial
            if trial.state is TrialState.OPEN:
                return self._given(trial)
            self._note_failed(trial)
        return None

    def outcomes(self, ended: Sequence[Outcome]) -> list[Outcome]:
        """Puts the outcomes of all cells that were given, and those of the trials that needed none, into the order of
        the trials."""
        found: list[Outcome] = []
        for number, trial in sorted(self._trials.items()):
            if number in self._places:
                found += ended[self._places[number].start : self._places[number].stop]
            else:
                known = (known_outcome(run, "its trial failed") for run in trial.plan.runs)
                found += [outcome for outcome in known if outcome is not None]
        return found

    def _open(self) -> list[Trial]:
        """Lists the trials that are open and not at work, in order."""
        return [
            trial
            for number, trial in sorted(self._trials.items())
            if trial.state is TrialState.OPEN and number not in self._places
        ]

    def _given(self, trial: Trial) -> Plan:
        """Notes that a trial is at work, and returns its plan."""
        first = max((places.stop for places in self._places.values()), default=0)
        self._places[trial.number] = range(first, first + len(trial.plan.runs))
        self._at_work.add(trial.number)
        self._progress.trial_started(trial.number, self._search.budget, trial.what)
        settled = sum(trial.state is not TrialState.OPEN for trial in self._trials.values())
        cells, others = len(trial.plan.runs), self._search.budget - settled - len(self._at_work)
        return replace(trial.plan, cells_before=settled * cells, cells_to_come=others * cells)

    def _take_up(self, number: int, outcomes: Sequence[Outcome]) -> None:
        """Reads what a trial has come to whose cells have all ended."""
        self._at_work.remove(number)
        for outcome in outcomes:
            if outcome.status is OutcomeStatus.SKIPPED:
                self._progress.cell_ended(outcome.spec.run_name, OutcomeStatus.SKIPPED)
        trial = self._search.trial(number, self._trials[number].parameters, self._history)
        died = [outcome for outcome in outcomes if outcome.status is OutcomeStatus.FAILED]
        if trial.state is TrialState.OPEN and died:  # with its workers: for the store the cell is one to run
            trial = replace(trial, state=TrialState.FAILED, error=f"{died[0].spec.run_name}: {died[0].error}")
            self._note_failed(trial)
        self._trials[number] = trial
        if trial.state is TrialState.OPEN:
            self._progress.note(f"trial {number} waits for cells that another host runs; start again then")
        self._is_over |= trial.state is TrialState.OPEN or (self._fail_fast and trial.state is TrialState.FAILED)

    def _note_failed(self, trial: Trial) -> None:
        if trial.state is TrialState.FAILED:
            self._progress.note(f"trial {trial.number} ({trial.what}) counts as failed: {trial.error}")
