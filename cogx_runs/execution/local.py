"""Takes a plan through generation, metrics and tracking, cell by cell, and goes on after a failure."""

import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cogx_runs.dashboard.board import Boards
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, first_line
from cogx_runs.execution.background import Finishing, FinishingError
from cogx_runs.execution.inference import Cell, Made, Maker
from cogx_runs.execution.outcomes import Outcome, Reporter, known_outcome
from cogx_runs.execution.postprocess import Completer
from cogx_runs.execution.session import Workbench
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress
from cogx_runs.system.disk import DISK_FULL, check_disk, is_disk_full
from cogx_runs.tracking.record import command, failure_tags, known_params, params, spec_metrics, write_definition
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore

_T = TypeVar("_T")

WAIT_S = 1.0
VIDEOS_WAITING = 2
"""Videos that may wait for their encoding, scores and logging while the GPU goes on: one holds 50 MB of frames."""


class Runner:
    """Runs cells on one pipeline at a time and tracks them.

    On a GPU a video is encoded, scored and logged by other threads while the next one is denoised. On a CPU that
    would take the time from the next run's own, so that it is done in turn.
    """

    def __init__(
        self, plan: Plan, store: RunStore, reporter: Reporter, bench: Workbench, finish_beside: bool | None = None
    ) -> None:
        """`finish_beside` is whether videos are finished by other threads; None is as the device asks for."""
        self._plan = plan
        self._store = store
        self._report = reporter
        self._bench = bench
        self._todo = [planned.spec for planned in plan.runs if planned.action in {"run", "reuse"}]
        on_gpu = any(spec.device == "cuda" for spec in self._todo)
        self._beside = on_gpu if finish_beside is None else finish_beside
        self._boards = Boards(store)
        self._outcomes: dict[int, Outcome] = {}
        self._has_failed = False
        self._finishing = Finishing(VIDEOS_WAITING if self._beside else 0, self._ended)
        self._maker = Maker(bench, plan, store, reporter, self._boards, self._finishing)
        self._completer = Completer(bench, plan, store, reporter)

    def run(self, fail_fast: bool = False) -> list[Outcome]:
        """Bring every cell of the plan to its end, once. Outcomes come in the plan's order.

        A cell that fails is tracked as FAILED with its traceback and the next one begins, unless `fail_fast`.
        KeyboardInterrupt ends the cell at work as KILLED, finishes the videos that wait, and passes on. Raises
        CogxError where no cell can run.
        """
        experiments: dict[str, str] = {}
        elsewhere: list[int] = []
        try:
            self._prepare()
            experiments = self._open_experiments()
            cells = Counter(planned.spec.sweep for planned in self._plan.runs)
            self._report.shown_at(list(experiments), self._boards.open(experiments, cells))
            with self._finishing:
                for place, planned in enumerate(self._plan.runs):
                    known = known_outcome(planned)
                    if known is not None:
                        self._outcomes[place] = known
                    elif fail_fast and self._has_failed:
                        self._outcomes[place] = Outcome(planned.spec, "skipped")
                    else:
                        self._finishing.collect()
                        self._report.run_started(planned.spec)
                        if not self._run_cell(place, experiments[planned.spec.sweep]):
                            elsewhere.append(place)
                for place in elsewhere:
                    self._take_up(place, experiments[self._plan.runs[place].spec.sweep])
        except BaseException as error:
            self._store.give_up(list(experiments.values()))
            if isinstance(error, FinishingError):
                raise error.__cause__ or error from None
            raise
        finally:
            self._bench.loader.before_loading = lambda: None
            for problem in self._boards.close():
                self._report.note(problem)
        return [self._outcomes[place] for place in sorted(self._outcomes)]

    def _ended(self, place: int, outcome: Outcome) -> None:
        self._outcomes[place] = outcome
        self._has_failed |= outcome.status == "failed"
        self._report.run_ended(outcome)
        self._boards.changed(outcome.spec.sweep, self._beside)

    def _prepare(self) -> None:
        """Find out what can be known before the first cell, and load what it needs."""
        if not self._todo:
            return
        self._store.check_writable()
        check_disk(Path(tempfile.gettempdir()))
        self._bench.loader.before_loading = self._finishing.drain
        self._bench.prepare(self._plan, self._report)

    def _open_experiments(self) -> dict[str, str]:
        """The id of each sweep's experiment, with the runs of dead processes ended."""
        experiments = {sweep.name: self._store.open_experiment(sweep) for sweep in self._plan.sweeps}
        buried = self._store.bury_dead(list(experiments.values()))
        if buried:
            self._report.note(f"{buried} run{'s' * (buried > 1)} of a process that died marked as KILLED")
        return experiments

    def _run_cell(self, place: int, experiment_id: str) -> bool:
        """Claim a cell, bring it to its pixels, and hand it on to be completed; False where another process has it."""
        spec = self._plan.runs[place].spec
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cogx-runs-")))
            check_disk(folder)
            tags = self._bench.provenance(spec.device) | {
                "cogx.command": command(spec),
                "cogx.env.model": f"{spec.model_source}@{spec.model_revision}",
                **self._plan.runs[place].tags,
            }
            try:
                run_id = self._store.claim(experiment_id, spec, tags)
            except Exception as error:
                if is_disk_full(error):
                    raise CogxError(DISK_FULL) from error
                raise
            if run_id is None:
                return False
            cell = Cell(spec, run_id, folder)
            made = self._settled(cell, lambda: self._adopt(cell) or self._maker.make(cell))
            if isinstance(made, Outcome):
                self._ended(place, made)
            else:
                self._finishing.make_room()
                self._finishing.submit(place, partial(self._complete, cell, made, stack.pop_all()))
            return True

    def _take_up(self, place: int, experiment_id: str) -> None:
        """A cell that another process had: what that came to, or made here where the process has died."""
        spec = self._plan.runs[place].spec
        told = False
        while True:
            run = self._store.last_run(experiment_id, spec.output_hash)
            if run is not None and run.state.is_finished:
                self._ended(place, Outcome(spec, "done", run.run_id, run.metrics))
                return
            if run is not None and run.state is RunState.FAILED:
                self._ended(place, Outcome(spec, "failed", run.run_id, error="failed in another process"))
                return
            if run is not None and run.state is RunState.RUNNING and not self._store.is_of_this_host(run.tags):
                self._ended(place, Outcome(spec, "elsewhere", error="being run by another host"))
                return
            if self._run_cell(place, experiment_id):
                return
            if not told:
                self._report.note(f"waiting for another process that makes {spec.run_name}")
                told = True
            time.sleep(WAIT_S)

    def _settled(self, cell: Cell, work: Callable[[], _T]) -> _T | Outcome:
        """The result of a piece of work on a cell; where it fails, the cell's outcome, tracked with its traceback.

        Raises CogxError where the disk is full: no other cell could be tracked either.
        """
        try:
            return work()
        except FinishingError:
            raise  # another cell's
        except Exception as error:
            if is_disk_full(error):
                raise CogxError(DISK_FULL) from error
            (cell.folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
            tags = failure_tags(error)
            self._store.finish(
                cell.run_id, cell.folder, params(cell.spec), spec_metrics(cell.spec), tags, status="FAILED"
            )
            return Outcome(cell.spec, "failed", cell.run_id, error=first_line(error))

    def _complete(self, cell: Cell, made: Made, left: ExitStack) -> Outcome:
        """Complete a cell whose folder is given back with `left`, in whichever thread this is called."""
        with left:
            return self._settled(cell, lambda: self._completer.complete(cell, made))

    def _adopt(self, cell: Cell) -> Outcome | None:
        """Complete a cell with all that a finished run of it elsewhere has; None where there is no such run."""
        self._store.describe(cell.run_id, known_params(cell.spec), spec_metrics(cell.spec))
        write_definition(cell.spec, cell.folder)
        at_work = self._finishing.at_work
        if any(self._plan.runs[place].spec.signature == cell.spec.signature for place in at_work):
            self._finishing.drain()
        while self._store.is_being_made(cell.run_id):
            self._report.phase("waiting for another sweep that makes the same video")
            time.sleep(WAIT_S)
        return self._completer.take_over(cell)


class LocalExecutor:
    """Adapter."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        from cogx_runs.system.hardware import avoid_fragmentation

        avoid_fragmentation()
        self._uri = tracking_uri
        self._bench = Workbench()

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self._bench.loader.close()

    def run(self, plan: Plan, progress: Progress, *, fail_fast: bool = False) -> list[Outcome]:
        return Runner(plan, RunStore(self._uri), _Adapter(progress), self._bench).run(fail_fast)


class _Adapter:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __getattr__(self, name: str) -> Any:
        return getattr(self._progress, name)

    def run_started(self, spec: RunSpec) -> None:
        self._progress.cell_started(spec.run_name, spec.num_inference_steps)

    def run_ended(self, outcome: Outcome) -> None:
        self._progress.cell_ended(outcome.spec.run_name, outcome.status, outcome.error)
