"""An experiment's view and description, written from the runs that it has."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from cogx_runs.errors import CogxError, did_you_mean
from cogx_runs.tracking.dashboard import comparison, running
from cogx_runs.tracking.notes import NOTE, escaped, experiment_note
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.view import TABLE, Only, Shown, page, view_tags

INTERVAL_S = 10.0


def refresh(store: RunStore, name: str, only: Only = Only()) -> str:  # noqa: B008 (frozen)
    """Write the views and the description of an experiment anew, for the runs that it has now. Returns the page of the
    view of `only`.

    Raises CogxError where the experiment has no run of that model or prompt.
    """
    experiment_id = store.experiment_id(name)
    tags = store.experiment_tags(experiment_id)
    axes = tuple(json.loads(tags.get("cogx.axes", "[]")))
    runs = list(store.runs([name]))
    models = _values(runs, "model")
    prompts = tuple(sorted(_values(runs, "prompt_name")))
    for asked, known, what in ((only.model, models, "model"), (only.prompt, prompts, "prompt")):
        if asked is not None and asked not in known:
            raise CogxError(f"{name} has no run of {what} {asked!r}; {did_you_mean(asked, known)}")
    views = [
        Only(),
        *(Only(model=model) for model in models[1:]),
        *(Only(prompt=name) for name in (prompts if len(prompts) > 1 else ())),
        only,
    ]
    shown = Shown(
        axes=axes,
        numbers=frozenset(axis for axis in axes if any(f"axis.{axis}" in run.data.metrics for run in runs)),
        metrics=frozenset(metric for run in runs for metric in run.data.metrics),
        models=models,
        prompts=prompts,
        runs=len(runs),
    )
    latest = max((run.info.start_time for run in runs), default=0)
    links = [f"[clips and charts]({page(experiment_id)})", f"[table]({page(experiment_id, TABLE)})"]
    links += [f"[{escaped(view.model or view.prompt or '')}]({page(experiment_id, view.key)})" for view in views[1:-1]]
    note = experiment_note(name, tags.get("cogx.question", ""), axes, _in_order(runs, axes), links)
    store.tag_experiment(experiment_id, view_tags(shown, views, latest) | {NOTE: note})
    return page(experiment_id, only.key)


class Boards:
    """Keeps the boards of a sweep's experiments current while it runs, each written every 10 s at most.

    A board that cannot be written stops nothing: it is written again at the next change, and at the end.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._written: dict[str, float] = {}
        self.beside: Callable[[Callable[[], str]], object] = lambda work: work()
        """Does a piece of work in a thread of its own where there is one."""

    def open(self, experiments: Mapping[str, str]) -> str | None:
        """Write all boards, named with their ids, and return where they can be watched; None where no server runs."""
        pages = []
        for name in experiments:
            pages.append(refresh(self._store, name))
            self._written[name] = time.monotonic()
        url = running(self._store.uri)
        if url is None:
            return None
        return url + (pages[0] if len(pages) == 1 else comparison(list(experiments.values())))

    def changed(self, name: str) -> None:
        """A run of this experiment has ended."""
        if time.monotonic() - self._written[name] > INTERVAL_S:
            self._written[name] = time.monotonic()
            with suppress(MlflowException, SQLAlchemyError, OSError):
                self.beside(partial(refresh, self._store, name))

    def close(self) -> list[str]:
        """Write all boards for the last time. Returns what could not be, as clauses."""
        problems = []
        for name in self._written:
            try:
                refresh(self._store, name)
            except (MlflowException, SQLAlchemyError, OSError) as error:
                problems.append(f"the view of {name} could not be written: {str(error).splitlines()[0]}")
        return problems


def _values(runs: Sequence[Run], parameter: str) -> tuple[str, ...]:
    """The distinct values of a parameter, that of the newest run first."""
    return tuple(dict.fromkeys(run.data.params[parameter] for run in runs if parameter in run.data.params))


def _in_order(runs: Sequence[Run], axes: Sequence[str]) -> list[Run]:
    """By prompt and by the swept values, numbers as numbers; cells that were begun again count once."""

    def place(run: Run) -> tuple[object, ...]:
        values = [(run.data.metrics.get(f"axis.{axis}", 0.0), run.data.params.get(axis, "")) for axis in axes]
        return (run.data.params.get("prompt_name", ""), *values, int(run.data.params.get("seed", 0)))

    latest: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.info.status == "FINISHED", run.info.start_time)):
        latest[run.data.tags.get("cogx.output_hash", run.info.run_id)] = run
    return sorted(latest.values(), key=place)
