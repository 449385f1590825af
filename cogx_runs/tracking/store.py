"""Runs of an MLflow tracking store, written. The only writer of it."""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cogx_runs.definitions.ranges import Direction, OptunaSearch
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError, StoreError
from cogx_runs.formatting import write_value
from cogx_runs.metrics.registry import aim, card_or_name
from cogx_runs.tracking import artifacts as artifact_names
from cogx_runs.tracking.digests import Digest, digest, digests, read_digests, write_digests
from cogx_runs.tracking.experiments import was_deleted
from cogx_runs.tracking.locations import Locations, location_of, path_of, set_right
from cogx_runs.tracking.lost import read_damaged
from cogx_runs.tracking.reader import OF_CELLS, RunReader
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.signs import now_ms
from cogx_runs.tracking.sqlite_file import ARTIFACTS, is_writable
from cogx_runs.tracking.stored import Point, RunQuery, StoredRun
from cogx_runs.tracking.tags import (
    AXES,
    BASELINES,
    COMPARED,
    COMPARISON_KIND,
    DAMAGED,
    DIGESTS,
    KIND,
    LATENTS,
    LATENTS_KEPT,
    LOST,
    MAX_PROMPTS,
    MLFLOW_RUN_NAME,
    OBJECTIVES,
    OVERVIEW_KIND,
    PRIMARY,
    PROCESS_SEEN,
    QUESTION,
    REPORT_KIND,
    SWEEP_FILE,
    texts_tag,
)
from cogx_runs.tracking.thread import STORE_THREAD
from cogx_runs.tracking.uri import is_server, sqlite_path

TAG_LIMIT = 7900
"""Characters of a tag; MLflow refuses more than 8,000."""
REASON_LIMIT = 200
"""Characters of what is wrong with one of a run's artifacts, of which there are some 20."""
EXPERIMENT_TAG_LIMIT = 19000
NUMBER = "number"
"""The kind of an axis of numbers; any other kind is `word`."""
Series = Mapping[str, Sequence[float]]
"""Values by frame or by step, counted from 0; their names begin with `by_`."""
NO_SERIES: Series = MappingProxyType({})


class RunStore(RunReader):
    """The runs of one MLflow tracking store, created, described, ended and amended."""

    @property
    def keeping(self) -> AbstractContextManager[object]:
        """Held while a file is written and vouched for by a tag, and by whoever judges it by that: `gc`, `verify`.
        A server's files, which take longer to write, `gc` leaves to it."""
        return nullcontext() if is_server(self.uri) else self.lock

    def check_writable(self) -> None:
        """Raises StoreError where a SQLite store can only be read."""
        path = sqlite_path(self.uri)
        if path is not None and not is_writable(path):
            raise StoreError(f"{path}: cannot be written; work in another folder, or set MLFLOW_TRACKING_URI")

    def connect(self) -> None:
        """Imports MLflow and connects its client, which else the first write does. Raises StoreError where a SQLite
        store can only be read."""
        self.check_writable()
        _ = self._client

    def open_experiment(self, sweep: Sweep) -> str:
        """Opens the sweep's experiment, or creates it, and returns its id. Raises CogxError for a deleted one and where
        its artifacts are on a disk that is not mounted.

        Its axes are the sweep's, and those that it had before and that its runs differ in.
        """
        axes = {axis: _kind(values) for axis, values in {**sweep.axes, **sweep.variables}.items()}
        given = sweep.base.model_dump(exclude_unset=True)
        tags = {
            SWEEP_FILE: sweep.file,
            QUESTION: sweep.description[:EXPERIMENT_TAG_LIMIT],
            AXES: json.dumps(axes),
            BASELINES: json.dumps({name: write_value(value) for name, value in given.items() if name in sweep.axes}),
        }
        if sweep.primary is not None:
            tags[PRIMARY] = sweep.primary
        if sweep.max_prompts is not None:
            tags[MAX_PROMPTS] = str(sweep.max_prompts)
        if sweep.optuna is not None:
            tags[OBJECTIVES] = json.dumps(_objectives(sweep.optuna))
        self.check_place(sweep.name)
        with self.lock:
            found = self._stored.experiment_named(sweep.name)
            if found is None:
                created = self._create_experiment(sweep.name, tags)
                if created is not None:
                    return created
                found = self._stored.experiment_named(sweep.name)  # another host was faster
                assert found is not None, "an experiment of this name exists"
        if found.is_deleted:
            raise CogxError(was_deleted(sweep.name, found.experiment_id))
        before = texts_tag(found.tags, AXES)
        kept = self._differing([axis for axis in before if axis not in axes], found.experiment_id)
        tags[AXES] = json.dumps(axes | {axis: before[axis] for axis in kept})
        self.tag_experiment(found.experiment_id, tags)
        return found.experiment_id

    def _create_experiment(self, name: str, tags: Mapping[str, str]) -> str | None:
        """Creates an experiment whose artifacts are in the working folder, whatever its path looks like; None where
        another host has created it meanwhile."""
        experiment_id = self._api.create_experiment(name, tags)
        if experiment_id is None:
            return None
        path = sqlite_path(self.uri)
        place = Path(ARTIFACTS).absolute() / experiment_id
        if path is not None and path_of(str(place)) != place:  # MLflow takes a % in a folder's name for an escape
            STORE_THREAD.call(partial(set_right, path, Locations({experiment_id: location_of(place)})))
        return experiment_id

    def _differing(self, axes: Sequence[str], experiment_id: str) -> list[str]:
        """Those of the axes that the experiment's runs have several values of."""
        query = RunQuery(experiment_ids=[experiment_id], tags=OF_CELLS)
        runs = list(self._stored.runs(query)) if axes else []
        return [axis for axis in axes if len({run.params.get(axis) for run in runs} - {None}) > 1]

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags of an experiment, those aside that it has with the same value."""
        with self.lock:  # two that set a new tag at once: one of them fails
            present = self.experiment_tags(experiment_id)
            for key, value in tags.items():
                if present.get(key) != value:
                    self._client.set_experiment_tag(experiment_id, key, value)

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str], started_ms: int | None = None) -> str:
        """Creates an open run with these tags, and returns its id. It began at `started_ms` (ms since 1970), by default
        at this moment."""
        created = self._client.create_run(experiment_id, start_time=started_ms, run_name=name, tags=dict(tags))
        return str(created.info.run_id)

    def describe(self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Writes what is known of an open run from the beginning, so that it stands in its place among the others."""
        self._log(run_id, metrics, {}, params)

    def seen(self, run_id: str, clock_ms: int) -> None:
        """Writes a sign of life of an open run."""
        self._client.set_tag(run_id, PROCESS_SEEN, str(clock_ms))

    def log_step(self, run_id: str, done: int) -> None:
        """Logs how many denoising steps an open run has done."""
        self._client.log_metric(run_id, "current_step", done)

    def keep_latents(
        self,
        run_id: str,
        file: Path,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        series: Series = NO_SERIES,
        at_ms: int | None = None,
    ) -> None:
        """Writes the latents of a run, then what is known of them, as of `at_ms` (ms since 1970), by default of this
        moment."""
        with self.keeping:
            run = self._stored.run(run_id)
            self._upload(run, file)
            known = _digests(run.tags) | {file.name: digest(file)}
            about = {**tags, LATENTS: LATENTS_KEPT, DIGESTS: write_digests(known)}
            self._log(run_id, metrics, about, series=series, at_ms=at_ms)

    def finish(
        self,
        run_id: str,
        artifacts: Path,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        status: RunState = RunState.FINISHED,
        series: Series = NO_SERIES,
        at_ms: int | None = None,
    ) -> None:
        """Writes a run's artifacts, then all its values, and last its status: only then does it count as ended.

        It ended at `at_ms` (ms since 1970), by default at this moment; written twice, nothing of it is there twice.
        """
        present = self._stored.run(run_id)
        self._upload(present, artifacts)
        latents = {name: found for name, found in _digests(present.tags).items() if name == artifact_names.LATENTS}
        written = digests(artifacts)
        about = {**tags, DIGESTS: write_digests(latents | written)}
        new_params = {name: value for name, value in params.items() if name not in present.params}
        self._log(run_id, metrics, about, new_params, series, at_ms)
        self._unmark(run_id, present.tags, written)
        self._client.set_terminated(run_id, status.value, end_time=at_ms)

    def reopen(self, run: TrackedRun, tags: Mapping[str, str]) -> None:
        """Opens a finished run again, with these tags, to have its files made anew. Until `finish`, it still is the one
        that it was, with what it has lost."""
        if run.artifact_folder is not None:  # their names are others each time
            shutil.rmtree(Path(run.artifact_folder) / artifact_names.IMAGES, ignore_errors=True)
        self._log(run.run_id, {}, tags)
        self._client.update_run(run.run_id, status=RunState.RUNNING.value)

    def give_up(self, run_id: str, lost: Sequence[str]) -> None:
        """Ends a finished run whose files are lost as KILLED: its cell counts as not made."""
        self._log(run_id, {}, {LOST: ", ".join(lost)})
        self._client.set_terminated(run_id, RunState.KILLED.value)

    def withdraw(self, run_id: str) -> None:
        """Ends a run that its cell has another one in the place of, and deletes it as MLflow deletes: no list shows it.
        Two hosts may do so at once."""
        self.kill(run_id)
        self._api.delete_run(run_id)

    def kill(self, run_id: str) -> RunState:
        """Ends a run as KILLED, one that was opened again as the finished one that it was, unless it has ended, by a
        call of another thread at the last moment too. Returns its state."""
        return STORE_THREAD.call(partial(self._kill_open, run_id))

    def _kill_open(self, run_id: str) -> RunState:
        run = self._stored.run(run_id)
        if run.state is not RunState.RUNNING:
            return run.state
        state = RunState.FINISHED if run.end_time_ms else RunState.KILLED  # MLflow keeps the end of the first time
        self._client.set_terminated(run_id, state.value, end_time=run.end_time_ms or None)
        return state

    def amend(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        remove: Sequence[str] = (),
        series: Series = NO_SERIES,
        artifacts: Path | None = None,
    ) -> None:
        """Adds values, and a folder's files, to a run that has ended, without touching its times; removes tags that no
        longer hold."""
        with self.keeping:
            self._amend(run_id, metrics, tags, remove, series, artifacts)

    def _amend(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        remove: Sequence[str],
        series: Series,
        artifacts: Path | None,
    ) -> None:
        run = self._stored.run(run_id)
        present = run.tags
        if artifacts is not None:
            known, written = _digests(present), digests(artifacts)
            if known.keys() & written.keys():  # whoever reads them meanwhile, or after a crash, takes them as they are
                others = {name: found for name, found in known.items() if name not in written}
                self._client.set_tag(run_id, DIGESTS, write_digests(others))
            self._upload(run, artifacts)
            if known:
                tags = {**tags, DIGESTS: write_digests(known | written)}
            self._unmark(run_id, present, written)
        self._log(run_id, metrics, tags, series=series)
        for key in set(remove) & set(present):
            self._client.delete_tag(run_id, key)

    def _unmark(self, run_id: str, present: Mapping[str, str], written: Collection[str]) -> None:
        """Takes the mark of damage off artifacts that were written anew."""
        damaged = read_damaged(present)
        left = {name: what for name, what in damaged.items() if name not in written}
        if left != damaged:
            self._mark(run_id, present, left)

    def mark_damaged(self, run_id: str, damaged: Mapping[str, str]) -> None:
        """Marks artifacts of a run as damaged, each with what is wrong with it, and no others: a plan counts them as
        lost."""
        with self.keeping:
            self._mark(run_id, self._stored.run(run_id).tags, damaged)

    def _mark(self, run_id: str, present: Mapping[str, str], damaged: Mapping[str, str]) -> None:
        if damaged:
            short = {name: what[:REASON_LIMIT] for name, what in damaged.items()}
            self._client.set_tag(run_id, DAMAGED, json.dumps(short))
        elif DAMAGED in present:
            self._client.delete_tag(run_id, DAMAGED)

    def _upload(self, run: StoredRun, path: Path) -> None:
        """Writes a file, or all that is in a folder, to a run's artifacts. Raises StoreError where their disk is not
        mounted: below the mount point they would be taken for all that there is."""
        folder = self._artifact_folder(run)
        if folder is not None:
            self.require_disk(Path(folder).parent.parent)
        repository = self._api.artifacts(self._location(run))
        upload = repository.log_artifacts if path.is_dir() else repository.log_artifact
        self._api.call(partial(upload, str(path)))

    def _log(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        params: Mapping[str, Any] = MappingProxyType({}),
        series: Series = NO_SERIES,
        at_ms: int | None = None,
    ) -> None:
        now = now_ms() if at_ms is None else at_ms
        by_step = [
            (key, Point(now, step, value)) for key, values in series.items() for step, value in enumerate(values)
        ]
        single = [(key, Point(now, 0, value)) for key, value in metrics.items()]
        self._api.log(
            run_id,
            [*by_step, *single],
            {key: str(value) for key, value in params.items()},
            {key: value[:TAG_LIMIT] for key, value in tags.items()},
        )

    def remove_run_for_good(self, run_id: str) -> None:
        """Removes a run that was deleted in MLflow, as `mlflow gc` does; its artifacts stay."""
        self._api.remove_run_for_good(run_id)

    def remove_experiment_for_good(self, experiment_id: str) -> None:
        """Removes an experiment that was deleted in MLflow, and has no run any more, as `mlflow gc` does."""
        self._api.remove_experiment_for_good(experiment_id)

    def keep_report(self, experiment_id: str, page: Path) -> str:
        """Keeps a report's page with an experiment, in the place of the one before. Returns the id of the run of the
        kind `report` that holds it, which no query for cells finds.

        Raises StoreError where MLflow cannot keep it.
        """
        return self._keep(experiment_id, {KIND: REPORT_KIND}, "report", page, {})

    def keep_overview(self, experiment_id: str, name: str, artifacts: Path, tags: Mapping[str, str]) -> str:
        """Keeps a folder's files with an experiment, in the place of those before that have the same names, in a run
        of the kind `overview`, which no query for cells finds. Returns its id.

        Raises StoreError where MLflow cannot keep them.
        """
        return self._keep(experiment_id, {KIND: OVERVIEW_KIND}, name, artifacts, {**tags, MLFLOW_RUN_NAME: name})

    def keep_comparison(self, experiment_id: str, name: str, key: str, artifacts: Path, tags: Mapping[str, str]) -> str:
        """Keeps a folder's files as `keep_overview` does, in a run of the kind `comparison`, one a `key`."""
        return self._keep(experiment_id, {KIND: COMPARISON_KIND, COMPARED: key}, name, artifacts, tags)

    def _keep(
        self, experiment_id: str, kind: Mapping[str, str], name: str, artifacts: Path, tags: Mapping[str, str]
    ) -> str:
        """Keeps artifacts and tags in an experiment's one run with the tags `kind`."""
        self.check_writable()
        with self.lock:
            if (run_id := self._one_of(experiment_id, kind)) is None:
                created = self.create_run(experiment_id, name, kind)
                run_id = self._one_of(experiment_id, kind) or created
        try:
            with ExitStack() as stack:
                stack.callback(self._client.set_terminated, run_id, RunState.FINISHED.value)
                self._upload(self._stored.run(run_id), artifacts)
                if tags:
                    self._log(run_id, {}, tags)
        except Exception:
            if self._stored.run(run_id).is_deleted:  # by another host, whose run of the same moment is the first
                return self._keep(experiment_id, kind, name, artifacts, tags)
            raise
        return run_id

    def _one_of(self, experiment_id: str, kind: Mapping[str, str]) -> str | None:
        """Finds the first of an experiment's runs with the tags `kind`. Others, which hosts have created at the same
        moment, are withdrawn."""
        found = self._stored.runs(RunQuery(experiment_ids=[experiment_id], tags=kind))
        runs = sorted(found, key=lambda run: (run.start_time_ms, run.run_id))
        for run in runs[1:]:
            self.withdraw(run.run_id)
        return runs[0].run_id if runs else None


def _digests(present: Mapping[str, str]) -> dict[str, Digest]:
    return read_digests(present.get(DIGESTS, "{}"))


def _kind(values: Sequence[Any]) -> str:
    return NUMBER if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) else "word"


def _objectives(search: OptunaSearch) -> dict[str, Direction]:
    directions = search.directions or [aim(card_or_name(name)) for name in search.objectives]
    return dict(zip(search.objectives, directions, strict=True))
