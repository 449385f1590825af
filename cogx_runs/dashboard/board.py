"""An experiment's board: its views and its description, written from its runs and kept current while they change."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from cogx_runs.analysis.at_work import study_progress
from cogx_runs.analysis.cells import run_of_each_cell
from cogx_runs.analysis.trials import TrackedTrial, searches_of
from cogx_runs.dashboard.matrix import pages_of
from cogx_runs.dashboard.notes import escaped, experiment_note, failures_note, picture
from cogx_runs.dashboard.overview import OverviewContent, picture_of, write_overview
from cogx_runs.dashboard.server import comparison, running
from cogx_runs.dashboard.side_by_side import write_side_by_side
from cogx_runs.dashboard.view import (
    CHARTS,
    CLIPS,
    MARKS,
    PROGRESS,
    TABLE,
    RunFilter,
    ViewContent,
    chosen_key,
    page,
    view_tags,
)
from cogx_runs.definitions.ranges import Direction
from cogx_runs.errors import CogxError, StoreError, StoreUnavailableError, did_you_mean, first_line
from cogx_runs.formatting import shortened
from cogx_runs.tracking.artifacts import REPORT
from cogx_runs.tracking.columns import axis_metric
from cogx_runs.tracking.following import FollowedRuns
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.signs import now_ms
from cogx_runs.tracking.store import NUMBER, RunStore
from cogx_runs.tracking.tags import (
    AXES,
    CELLS,
    MLFLOW_NOTE,
    MLFLOW_VIEW,
    NOTE_SHA256,
    OBJECTIVES,
    PROMOTED_FROM,
    QUESTION,
    json_tag,
    texts_tag,
)

INTERVAL_S = 10.0
"""Shortest time between two writes of a board."""
SHARE = 20
"""Shortest time between two writes of a board, in multiples of the time that a write took."""
DRAWING_INTERVAL_S = 30.0
"""Shortest time between two drawings of an overview while a sweep runs."""
DRAWING_SHARE = 50
"""Shortest time between two drawings, in multiples of the time that one took with its board."""


def show(store: RunStore, name: str, only: RunFilter) -> str:
    """Brings an experiment's board up to date, where it can be written, and returns the page of a view.

    Raises CogxError where the experiment has no run of that model or prompt, or no view and none can be written.
    """
    try:
        return refresh(store, name, only)
    except (StoreError, OSError) as error:
        experiment_id = store.experiment_id(name)
        if MLFLOW_VIEW + _key(only) not in store.experiment_tags(experiment_id):
            raise CogxError(f"the view of {name} cannot be written: {first_line(error)}") from error
        return page(experiment_id, _key(only))


def show_several(store: RunStore, names: Sequence[str]) -> str:
    """Brings the boards of several experiments up to date, where they can be written, and returns the page that has
    their overviews side by side; MLflow's comparison of their runs where that page cannot be written."""
    for name in names:
        show(store, name, RunFilter())
    return _together(store, names)


def refresh(
    store: RunStore,
    name: str,
    only: RunFilter = RunFilter(),  # noqa: B008 (frozen)
    *,
    cells: int | None = None,
    draws: bool = True,
    runs: Sequence[TrackedRun] | None = None,
) -> str:
    """Writes the views and the description of an experiment for its current runs, and with `draws` its overview. The
    sweep has so many `cells`, by default as many as when it last ran; its `runs` are read unless they are given.

    Returns the page of the view of `only`.

    Raises CogxError where the experiment has no run of that model or prompt.
    """
    experiment_id = store.experiment_id(name)
    tags = store.experiment_tags(experiment_id)
    axes: dict[str, str] = texts_tag(tags, AXES)
    objectives: dict[str, Direction] = json_tag(tags, OBJECTIVES)
    runs = list(store.runs([name])) if runs is None else runs
    latest = run_of_each_cell(runs)
    searches = searches_of(latest, objectives)
    best = [trial for search in searches for trial in search.best]
    # Only the newest search: values of searches with other seeds or another base are not comparable.
    newest = searches[0].best if searches else []
    chosen = {
        "best trials": [run.run_id for trial in newest for run in trial.runs],
        "promoted": _promoted(runs),
    }
    models = _values(runs, "model")
    prompts = tuple(sorted(_values(runs, "prompt_name")))
    for asked, known, noun in ((only.model, models, "model"), (only.prompt, prompts, "prompt")):
        if asked is not None and asked not in known:
            raise CogxError(f"{name} has no run of {noun} {shortened(asked)}; {did_you_mean(asked, known)}")
    by_prompt = [RunFilter(prompt=prompt) for prompt in prompts] if len(prompts) > 1 else []
    views = [*(RunFilter(model=model) for model in models[1:] if "model" not in axes), *by_prompt]
    total = max(cells or _number(tags.get(CELLS, "")), len(latest))
    counted = tags if cells is None else {**tags, CELLS: str(cells)}
    (progress,) = map(str, study_progress({name: runs}, {name: counted}, now_ms()).sweeps)
    pages = pages_of(name, latest, tuple(axes), searches, objectives)
    metric = next(
        (metric for metric in (*objectives, "clip_score") if any(metric in run.metrics for run in latest)), None
    )
    about = OverviewContent(progress, failures_note(latest), tuple(pages), metric)
    overview = write_overview(store, experiment_id, about, draws=draws)
    shown = ViewContent(
        axes=tuple(axes),
        numbers=frozenset(axis for axis, kind in axes.items() if kind == NUMBER),
        metrics=frozenset(metric for run in runs for metric in (*run.metrics, *run.series)),
        models=models,
        model_of={prompt: _values(runs, "model", prompt)[0] for prompt in prompts},
        runs=total,
        objectives=objectives,
        marks=tuple(mark for mark in MARKS if any(mark in run.tags for run in runs)),
        chosen={title: run_ids for title, run_ids in chosen.items() if run_ids},
        pages=max(1, len(pages)),
    )
    links = [f"[overview and charts]({page(experiment_id)})", f"[clips]({page(experiment_id, CLIPS)})"]
    links += [f"[table]({page(experiment_id, TABLE)})", f"[progress]({page(experiment_id, PROGRESS)})"]
    report = store.find_report(experiment_id)
    if report is not None:
        links.append(
            f"[report](#/experiments/{experiment_id}/runs/{report}/artifacts/{REPORT}?workflowType=machine_learning)"
        )
    links += [f"[{title}]({page(experiment_id, chosen_key(title))})" for title in shown.chosen]
    links += [f"[{escaped(view.title)}]({page(experiment_id, view.key)})" for view in views]
    ordered = _in_order(latest, tuple(axes), best)
    head = f"**{progress}**\n\n{picture(overview, picture_of(0)) if pages else ''}\n\n"
    note = experiment_note(name, tags.get(QUESTION, ""), tuple(axes), ordered, links, head)
    written = {} if cells is None else {CELLS: str(cells)}
    written |= view_tags(shown, [RunFilter(), *views, only], store.created_ms(experiment_id))
    if MLFLOW_NOTE not in tags or _digest(tags[MLFLOW_NOTE]) == tags.get(NOTE_SHA256):
        written |= {MLFLOW_NOTE: note, NOTE_SHA256: _digest(note)}
    store.tag_experiment(experiment_id, written)
    return page(experiment_id, _key(only))


class Boards:
    """Keeps the boards of a sweep's experiments current while it runs, and logs the steps of the current run.

    A board that cannot be written stops nothing: it is tried again at the next change, and at the end.
    """

    def __init__(self, store: RunStore, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives the seconds since a fixed moment."""
        self._store = store
        self._clock = clock
        self._cells: Mapping[str, int] = {}
        self._due: dict[str, float] = {}
        self._drawing_due: dict[str, float] = {}
        self._runs = FollowedRuns(store)
        self._problems: dict[str, str] = {}
        self._is_watched = False
        """Whether a server shows the boards."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="boards")
        self._last: Future[None] | None = None

    def open(self, experiments: Mapping[str, str], cells: Mapping[str, int]) -> str | None:
        """Writes all boards. `experiments` are ids and `cells` numbers of cells, both by name.

        Returns the address of the boards; None where no server runs.
        """
        self._cells = cells
        for name in experiments:
            self._write(name)
        url = running(self._store.uri)
        if url is None or not experiments:
            return None
        self._is_watched = True
        names = list(experiments)
        return f"{url}/{page(experiments[names[0]]) if len(names) == 1 else _together(self._store, names)}"

    def changed(self, name: str, beside: bool) -> None:
        """Writes the board of an experiment, where it is due, after a run's end; with `beside`, in another thread."""
        if self._clock() < self._due.get(name, math.inf):
            return
        if beside:
            self._submit(partial(self._write, name))
        else:
            self._write(name)

    def step(self, run_id: str, done: int) -> None:
        """Logs in another thread that a run has `done` so many steps; skipped while that thread is busy."""
        self._submit(partial(self._store.log_step, run_id, done))

    def close(self) -> list[str]:
        """Writes all boards for the last time. Returns a clause for each that could not be written."""
        self._pool.shutdown(cancel_futures=True)
        self._drawing_due.clear()
        self._runs.forget()  # what was changed of runs that had ended is seen now
        for name in self._due:
            self._write(name)
        if self._is_watched and len(self._due) > 1:
            with suppress(CogxError, OSError):
                _together(self._store, list(self._due))
        return [f"the view of {name} could not be written: {problem}" for name, problem in self._problems.items()]

    def _submit(self, work: Callable[[], None]) -> None:
        if self._last is None or self._last.done():
            self._last = self._pool.submit(work)

    def _write(self, name: str) -> None:
        began = self._clock()
        draws = began >= self._drawing_due.get(name, -math.inf)
        self._problems.pop(name, None)
        try:
            refresh(self._store, name, cells=self._cells[name], draws=draws, runs=self._runs.read(name))
        except StoreUnavailableError:
            pass  # whoever runs the cells tells it
        except Exception as error:
            self._problems[name] = first_line(error)
        ended = self._clock()
        if draws:
            self._drawing_due[name] = ended + max(DRAWING_INTERVAL_S, DRAWING_SHARE * (ended - began))
        self._due[name] = ended + max(INTERVAL_S, SHARE * (ended - began))


def _together(store: RunStore, names: Sequence[str]) -> str:
    try:
        return write_side_by_side(store, names)
    except (StoreError, OSError):
        return comparison([store.experiment_id(name) for name in names])


def _key(only: RunFilter) -> str:
    """Returns the key of the view that is opened: without a choice of runs, the one with the overview."""
    return CHARTS if only == RunFilter() else only.key


def _values(runs: Sequence[TrackedRun], parameter: str, prompt: str | None = None) -> tuple[str, ...]:
    """Lists the distinct values of a parameter, the newest run's first; of one prompt's runs where it is given."""
    found = [run.params for run in runs if prompt is None or run.params.get("prompt_name") == prompt]
    return tuple(dict.fromkeys(params[parameter] for params in found if parameter in params))


def _promoted(runs: Sequence[TrackedRun]) -> list[str]:
    """Lists the ids of promoted runs, each after the id of its candidate."""
    known = {run.run_id for run in runs}
    pairs = ((run.tags.get(PROMOTED_FROM, ""), run.run_id) for run in runs)
    return list(dict.fromkeys(run_id for pair in pairs if pair[0] in known for run_id in pair))


def _in_order(runs: Sequence[TrackedRun], axes: Sequence[str], best: Sequence[TrackedTrial]) -> list[TrackedRun]:
    """Sorts runs by prompt and by the swept values, numbers as numbers. The best trials come first, those of the
    newest search before the others."""
    ranks = {run.run_id: rank for rank, trial in enumerate(best) for run in trial.runs}

    def place(run: TrackedRun) -> tuple[object, ...]:
        values = [(run.metrics.get(axis_metric(axis), 0.0), run.params.get(axis, "")) for axis in axes]
        rank = ranks.get(run.run_id, len(best))
        return (rank, run.params.get("prompt_name", ""), *values, int(run.params.get("seed", 0)))

    return sorted(runs, key=place)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
