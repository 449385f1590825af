"""The cells of one plan, one after the other: claimed, handed to the worker, and told of."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from cogx_runs.dashboard.board import Boards
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, StoreUnavailableError
from cogx_runs.execution.background import Background
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.executor import CellWorker
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus, known_outcome
from cogx_runs.execution.steps import StepLog
from cogx_runs.execution.waiting import WaitingRuns
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress
from cogx_runs.system.disk import DISK_FULL, check_disk, is_disk_full
from cogx_runs.tracking import tags
from cogx_runs.tracking.claims import Claim, Claims
from cogx_runs.tracking.delivery import Delivery, deliver_left_behind, telling_what_is_kept
from cogx_runs.tracking.liveness import is_of_this_host
from cogx_runs.tracking.lost import is_whole
from cogx_runs.tracking.record import command
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.signs import Life, Signs, now_ms, where_made
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.thread import STORE_THREAD, if_answered

WAIT_S = 1.0
MOST_LOST = 2
"""Workers that may die at a cell before it counts as failed."""


class CellLoop:
    """Brings the cells of one plan to their end by one worker.

    On a GPU a video is encoded, scored and logged in the background while the next one is denoised. On a CPU that
    would take the time from the next cell's own, so that it is waited for.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        worker: Callable[[], CellWorker],
        background: Background[Outcome],
        progress: Progress,
        *,
        overlaps: bool | None = None,
        signs: Signs | None = None,
        choose: Callable[[Mapping[int, RunSpec]], int] | None = None,
        wait_for_device: Callable[[], None] = lambda: None,
        interrupted: Callable[[], None] = lambda: None,
        more: Callable[[Mapping[int, Outcome]], Plan | None] | None = None,
    ) -> None:
        """`worker` returns the worker, and is asked for it only where a cell is to be run: making one imports torch.
        `overlaps` is whether the next cell is begun while a video is in the background; None is as the device asks
        for. `signs` judges who is at the runs of others. `choose` picks the next cell of those that are left, by their
        places in the plan, and may wait for a device that is free, as `wait_for_device` does; by default it is the
        first, those that copy what is in the background after the others. `interrupted` is called where the loop is,
        before it waits for the cells in the background. `more` gives the plan that follows from the outcomes until
        then, as `Executor.run` says."""
        self._plan = plan
        self._store = store
        self._worker = worker
        self._background = background
        self._progress = progress
        todo = [planned.spec for planned in plan.runs if planned.action.is_open]
        self._overlaps = any(spec.device == "cuda" for spec in todo) if overlaps is None else overlaps
        self._boards = Boards(store)
        take_over = plan.conditions is not None and plan.conditions.take_over
        self._claims = Claims(store, take_over=take_over, signs=signs)
        self._waiting = WaitingRuns(store, progress.note)
        self._artifact_folders: list[Path] = []
        self._cells: dict[int, ClaimedCell] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._choose = choose or self._first_ready
        self._wait_for_device = wait_for_device
        self._interrupted = interrupted
        self._more = more
        self._part_of: list[int] = []
        """The number of each cell's plan, by its place."""
        self._failed_parts: set[int] = set()
        self._is_interrupted = False
        self._left: dict[int, RunSpec] = {}
        self._lost: Counter[int] = Counter()

    def run(self, fail_fast: bool) -> list[Outcome]:
        """Brings every cell to its end, once. Returns the outcomes in the plan's order.

        A cell that fails is tracked as FAILED with its traceback and the next one begins, unless `fail_fast`.
        KeyboardInterrupt ends the cell at work as KILLED, finishes the videos in the background, and passes on. Raises
        CogxError where no cell can run, StoreUnavailableError where the store does not answer for so long that too much
        waits in the spool, or that the last cell has ended.
        """
        with ExitStack() as hurry:
            try:
                with telling_what_is_kept(self._store.uri), self._claims:
                    self._run(fail_fast, hurry)
            finally:
                for problem in self._boards.close():
                    self._progress.note(problem)
        return [self._outcomes[place] for place in sorted(self._outcomes)]

    def _run(self, fail_fast: bool, hurry: ExitStack) -> None:
        try:
            experiments = self._open_experiments()
            self._take(self._plan)
            self._prepare()
            self._run_cells(experiments, fail_fast)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                hurry.enter_context(STORE_THREAD.hurried())
                self._is_interrupted = True
                self._interrupted()
            with suppress(Exception):
                self._finish_background()
            raise

    def _prepare(self) -> None:
        """Finds out what can be known before the next cells, and loads what they need."""
        if not self._left:
            return
        check_disk(*self._artifact_folders)
        runs = [self._plan.runs[place] for place in self._left]
        generated = [planned.spec for planned in runs if planned.action is Action.RUN]
        self._worker().prepare([*self._left.values()], generated, self._plan.cards, self._progress)

    def _open_experiments(self) -> dict[str, str]:
        """Opens each sweep's experiment, ends the runs of dead processes, and writes the boards. Returns the ids."""
        if any(planned.action.is_open for planned in self._plan.runs):
            self._store.check_writable()
        experiments = {sweep.name: self._store.open_experiment(sweep) for sweep in self._plan.sweeps}
        folders = map(self._store.artifact_folder, experiments.values())
        self._artifact_folders = [folder for folder in folders if folder is not None]
        for delivered in deliver_left_behind(self._store):
            self._progress.note(delivered.told)
        stale = self._claims.end_stale_runs(list(experiments.values()))
        if stale:
            self._progress.note(f"Marked {stale} run{'s' * (stale > 1)} of a crashed process as KILLED")
        cells = Counter(planned.spec.sweep for planned in self._plan.runs)
        for sweep in self._plan.searches:
            cells[sweep.name] += self._plan.cells_before + self._plan.cells_to_come
        self._progress.shown_at(list(experiments), self._boards.open(experiments, cells))
        return experiments

    def _take(self, plan: Plan) -> None:
        """Takes up the cells of a plan, whose places follow those of the plans before."""
        part = self._part_of[-1] + 1 if self._part_of else 0
        for place, planned in enumerate(plan.runs, len(self._part_of)):
            self._part_of.append(part)
            known = known_outcome(planned)
            if known is None:
                self._left[place] = planned.spec
            else:
                self._outcomes[place] = known

    def _follow(self) -> bool:
        """Takes up the plan that follows once a device is free for it, and waits for the cells at work where none does
        yet. Tells whether there are cells to begin."""
        while self._more is not None and not self._left:
            if self._background.at_work:
                self._wait_for_device()
            self._background.collect(self._ended)
            self._delivered(self._waiting.deliver_all())  # what follows is decided by what the store has
            if self._left:
                break
            plan = self._more(self._outcomes)
            if plan is not None:
                runs, cards = (*self._plan.runs, *plan.runs), {**self._plan.cards, **plan.cards}
                self._plan = replace(self._plan, runs=runs, cards=cards)
                self._take(plan)
                self._prepare()
            elif self._background.at_work:
                self._background.wait_for_one()
            else:
                break
        return bool(self._left)

    def _run_cells(self, experiments: dict[str, str], fail_fast: bool) -> None:
        while self._left or self._follow():  # again where a worker has died
            elsewhere = self._run_left(experiments, fail_fast)
            for place in elsewhere:
                if not self._is_skipped(place, fail_fast):
                    self._take_up(place, experiments[self._plan.runs[place].spec.sweep])
            self._finish_background()
        self._delivered(self._waiting.deliver_all())

    def _run_left(self, experiments: dict[str, str], fail_fast: bool) -> list[int]:
        """Begins the cells that are left. Returns those that another process has."""
        elsewhere = []
        while self._left or self._follow():
            self._make_room()
            place = self._choose(self._left)
            self._background.collect(self._ended)  # what ended while a free device was waited for
            spec = self._left.pop(place)
            if self._is_skipped(place, fail_fast):
                continue
            if not self._lost[place]:
                self._progress.cell_started(spec.run_name, spec.num_inference_steps)
            if not self._run_cell(place, experiments[spec.sweep]):
                elsewhere.append(place)
        return elsewhere

    def _first_ready(self, cells: Mapping[int, RunSpec]) -> int:
        """Picks the first cell; one whose pixels are in the background after the others, so that the device does not
        wait for them."""
        at_work = {self._plan.runs[place].spec.signature for place in self._background.at_work}
        return min(cells, key=lambda place: (cells[place].signature in at_work, place))

    def _is_skipped(self, place: int, fail_fast: bool) -> bool:
        """Tells whether a cell is left out since one of its plan has failed, which is its outcome then."""
        is_skipped = fail_fast and self._part_of[place] in self._failed_parts
        if is_skipped:
            self._outcomes[place] = Outcome(self._plan.runs[place].spec, OutcomeStatus.SKIPPED)
        return is_skipped

    def _run_cell(self, place: int, experiment_id: str) -> bool:
        """Claims a cell, has it brought to its pixels, and the rest done in the background; False where another process
        has it."""
        spec = self._plan.runs[place].spec
        check_disk(*self._artifact_folders)
        claim = self._claim(place, experiment_id)
        if claim is None:
            return False
        self._wait_for_twins(place, claim.run_id)
        beside = tuple(self._plan.runs[other].spec.run_name for other in self._background.at_work)
        is_new = claim.is_created and not claim.is_reopened
        cell = ClaimedCell(spec, claim.run_id, self._claims.holder, claim.cell_id, beside, is_new=is_new)
        self._cells[place] = cell
        progress = StepLog(self._progress, partial(self._boards.step, claim.run_id))
        self._background.submit(place, self._worker().begin(cell, self._plan.cards[spec.model_key], progress))
        if not self._overlaps:
            self._finish_background()
        return True

    def _claim(self, place: int, experiment_id: str) -> Claim | None:
        """Creates the run of a cell; None where another process has it.

        Raises CogxError where the disk is full.
        """
        planned = self._plan.runs[place]
        spec = planned.spec
        about = {
            **self._worker().provenance(spec.device),
            tags.COMMAND: command(spec),
            tags.MODEL: f"{spec.model_source}@{spec.model_revision}",
            **planned.tags,
        }
        if spec.cost_axes:
            about[tags.COST_AXES] = ", ".join(spec.cost_axes)
        try:
            return self._claims.claim(experiment_id, spec, about)
        except Exception as error:
            if is_disk_full(error):
                raise CogxError(DISK_FULL) from error
            raise

    def _wait_for_twins(self, place: int, run_id: str) -> None:
        """Waits for cells of the same pixels that are on their way to being finished, which this one can copy."""
        signature = self._plan.runs[place].spec.signature
        at_work = self._background.at_work
        if twins := [other for other in at_work if self._plan.runs[other].spec.signature == signature]:
            self._background.drain(twins)
        while if_answered(lambda: self._claims.is_being_made(run_id, signature)):
            self._progress.phase("waiting for another sweep that makes the same video")
            time.sleep(WAIT_S)

    def _take_up(self, place: int, experiment_id: str) -> None:
        """Waits for what a cell comes to that another process has, or runs it where that process has died."""
        spec = self._plan.runs[place].spec
        has_noted = False
        while True:
            run = self._store.last_run(experiment_id, spec)
            if run is not None and is_whole(run):
                self._ended(place, Outcome(spec, OutcomeStatus.DONE, run.run_id, run.metrics, beside=run.beside))
                return
            if run is not None and run.state is RunState.FAILED:
                error = "failed in another process"
                self._ended(place, Outcome(spec, OutcomeStatus.FAILED, run.run_id, error=error))
                return
            is_elsewhere = run is not None and run.state is RunState.RUNNING and not is_of_this_host(run.tags)
            if run is not None and is_elsewhere and self._claims.life(run) is Life.ALIVE:
                error = f"{where_made(run, now_ms())}; --take-over runs it here"
                self._ended(place, Outcome(spec, OutcomeStatus.ELSEWHERE, run.run_id, error=error))
                return
            self._make_room()
            if self._run_cell(place, experiment_id):
                return
            if not has_noted:
                whom = "a sign of life of the host" if is_elsewhere else "another process"
                self._progress.note(f"waiting for {whom} that makes {spec.run_name}")
                has_noted = True
            time.sleep(WAIT_S)

    def _make_room(self) -> None:
        self._background.make_room()
        self._background.collect(self._ended)
        self._delivered(self._waiting.deliver())
        self._waiting.check_limits()

    def _finish_background(self) -> None:
        self._background.drain()
        self._background.collect(self._ended)

    def _ended(self, place: int, outcome: Outcome) -> None:
        if outcome.status is OutcomeStatus.LOST:
            self._lost[place] += 1
            self._end_lost(self._cells[place])
            if self._is_interrupted:
                return
            if self._lost[place] < MOST_LOST:
                self._progress.note(f"{outcome.spec.run_name}: {outcome.error}; the cell is run again")
                self._left[place] = outcome.spec
                return
            error = f"{self._lost[place]} workers died at it; the last one: {outcome.error}"
            outcome = replace(outcome, status=OutcomeStatus.FAILED, error=error)
        self._outcomes[place] = outcome
        if outcome.status is OutcomeStatus.FAILED:
            self._failed_parts.add(self._part_of[place])
        self._progress.cell_ended(outcome.spec.run_name, outcome.status, outcome.error)
        self._boards.changed(outcome.spec.sweep, self._overlaps)
        if place in self._cells:
            self._waiting.add(place, self._cells[place].spooled)

    def _end_lost(self, cell: ClaimedCell) -> None:
        """Ends the run of a worker that has died, as that of a crashed process; what is whole of it is delivered."""
        with suppress(StoreUnavailableError):
            if Delivery(self._store).deliver(cell.spooled) is None and cell.run_id != cell.cell_id:
                self._store.kill(cell.run_id)

    def _delivered(self, run_ids: Mapping[int, str]) -> None:
        """Takes up the ids that runs were given in the store after their end."""
        for place, run_id in run_ids.items():
            self._outcomes[place] = replace(self._outcomes[place], run_id=run_id)
