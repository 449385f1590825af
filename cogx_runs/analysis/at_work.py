"""How far a study is, who is at which cell, and how long the rest takes, read from its tracked runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from cogx_runs.analysis.cells import run_of_each_cell
from cogx_runs.formatting import write_rough_duration
from cogx_runs.tracking.following import FollowedRuns
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.signs import Life, Signs, now_ms
from cogx_runs.tracking.tags import CELLS, DEVICE_ID, HOST, OBJECTIVES, TRIAL_SEARCH, WORKER


@dataclass(frozen=True)
class SweepProgress:
    """How far one sweep is."""

    name: str
    total: int
    """Number of its cells; of a search, of all its trials."""
    finished: int
    failed: int
    at_work: tuple[TrackedRun, ...]
    """The open runs, the first begun first."""
    seconds_left: float | None
    """What is left takes so long with the workers that are at it; None where none is, or no cell has finished yet."""

    @property
    def left(self) -> int:
        """Number of cells that have no result, those at work with them."""
        return max(0, self.total - self.finished - self.failed)

    def __str__(self) -> str:
        """Writes it as `15 of 24 finished, 2 failed, 1 running, about 5 min left`."""
        parts = [f"{self.finished} of {self.total} finished"]
        parts += [f"{self.failed} failed"] * bool(self.failed)
        parts += [f"{len(self.at_work)} running"] * bool(self.at_work)
        parts += [] if self.seconds_left is None else [f"about {write_rough_duration(self.seconds_left)} left"]
        return ", ".join(parts)


@dataclass(frozen=True)
class StudyProgress:
    """How far several sweeps are."""

    sweeps: tuple[SweepProgress, ...]
    workers: int
    """Number of those at work."""
    seconds_left: float | None
    """As that of a sweep, for all of them together."""

    @property
    def at_work(self) -> tuple[TrackedRun, ...]:
        """The open runs of all sweeps, those of one worker after each other."""
        runs = (run for sweep in self.sweeps for run in sweep.at_work)
        return tuple(sorted(runs, key=lambda run: (*worker_of(run), run.start_time_ms)))


def study_progress(
    runs: Mapping[str, Sequence[TrackedRun]],
    tags: Mapping[str, Mapping[str, str]],
    now_ms: int,
    gone: Collection[str] = (),
) -> StudyProgress:
    """Reads the progress of sweeps from their runs and their experiments' tags, both by the sweep's name.

    `now_ms` is the time in ms since 1970; `gone` are ids of open runs whose process has died. The time left is that of
    the median finished cell of the sweep, or of all sweeps where it has none.
    """
    cells = {name: _own(run_of_each_cell(found), tags[name]) for name, found in runs.items()}
    every = _typical([run for found in cells.values() for run in found])
    at_work = {
        name: tuple(run for run in found if run.state is RunState.RUNNING and run.run_id not in gone)
        for name, found in cells.items()
    }
    sweeps, work_s = [], list[float | None]()
    for name, found in cells.items():
        total = max(_number(tags[name].get(CELLS, "")), len(found))
        finished, failed = (sum(run.state is state for run in found) for state in (RunState.FINISHED, RunState.FAILED))
        typical = _typical(found) or every
        rest: float | None = 0.0
        if left := max(0, total - finished - failed):
            done = sum(min(max(0, now_ms - run.start_time_ms) / 1000, typical or 0) for run in at_work[name])
            rest = None if typical is None else left * typical - done
        seconds = _shared(rest, at_work[name])
        work_s.append(rest)
        sweeps.append(SweepProgress(name, total, finished, failed, at_work[name], seconds))
    everyone = [run for found in at_work.values() for run in found]
    known = [rest for rest in work_s if rest is not None]
    whole = sum(known) if len(known) == len(work_s) else None
    return StudyProgress(tuple(sweeps), len(set(map(worker_of, everyone))), _shared(whole, everyone))


class Watch:
    """Reads the progress of the sweeps of a store again and again: all runs at first, then what may have changed."""

    def __init__(self, store: RunReader, names: Sequence[str] | None = None) -> None:
        """`names` are the experiments that are watched; None for those that have cells left, at each look."""
        self._store = store
        self._names = names
        self._signs = Signs()
        self._runs = FollowedRuns(store)

    def look(self) -> StudyProgress:
        """Reads the progress now. A run whose process has died, or of another host that shows no sign of life any
        more, is none at work."""
        names = self._store.experiment_names() if self._names is None else self._names
        now = now_ms()
        runs = {name: self._runs.read(name) for name in names}
        opened = [run for found in runs.values() for run in found if run.state is RunState.RUNNING]
        gone = {run.run_id for run in opened if self._signs.of(run) is Life.GONE}
        tags = {name: self._store.experiment_tags(self._store.experiment_id(name)) for name in names}
        found = study_progress(runs, tags, now, gone)
        if self._names is not None:
            return found
        going_on = [sweep.name for sweep in found.sweeps if sweep.left]
        return study_progress({name: runs[name] for name in going_on}, tags, now, gone)


def worker_of(run: TrackedRun) -> tuple[str, str, str]:
    """Tells who is at a run: host, name of the worker where there are several, and identity of the device."""
    return run.tags.get(HOST, ""), run.tags.get(WORKER, ""), run.tags.get(DEVICE_ID, "")


def _own(cells: Sequence[TrackedRun], tags: Mapping[str, str]) -> list[TrackedRun]:
    """Leaves out the trials of other searches than the latest, whose cells are not among those that are counted."""
    if not cells or OBJECTIVES not in tags:
        return list(cells)
    latest = max(cells, key=lambda run: run.start_time_ms).tags.get(TRIAL_SEARCH)
    return [run for run in cells if run.tags.get(TRIAL_SEARCH) == latest]


def _shared(work_s: float | None, at_work: Sequence[TrackedRun]) -> float | None:
    """Divides work by those who are at it; None where nobody is."""
    workers = len(set(map(worker_of, at_work)))
    return None if work_s is None or not workers else work_s / workers


def _typical(cells: Sequence[TrackedRun]) -> float | None:
    """The median time of finished cells that were generated, in seconds; None where there is none."""
    generated = (run for run in cells if run.state.is_finished and run.pixels_from is None)
    known = [run.metrics["wall_time_s"] for run in generated if "wall_time_s" in run.metrics]
    return median(known) if known else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
