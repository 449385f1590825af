"""A tracking store through MLflow's client: the only module that handles MLflow's own objects.

Who opens a SQLite store to read it does without this module, and so without MLflow, whose import takes a second.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from filelock import FileLock
from mlflow.entities import Experiment, LifecycleStage, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import _get_store

from cogx_runs.errors import StoreUnavailableError
from cogx_runs.tracking import columns
from cogx_runs.tracking.answers import NOBODY_BEHIND, health
from cogx_runs.tracking.client import call_store, open_client
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.stored import Point, RunQuery, StoredExperiment, StoredRun, StoredRuns
from cogx_runs.tracking.tables import PostgresDatabase, Tables
from cogx_runs.tracking.uri import without_password

_T = TypeVar("_T")
PAGE = 1000
"""Runs and experiments that are asked for at once."""
METRICS_AT_ONCE = 800
"""Values that are written at once: MLflow takes 1,000, with parameters and tags, of which it takes 100 each."""
ANSWER_WITHIN_S = 10
_EXISTS = "RESOURCE_ALREADY_EXISTS"


class MlflowApi:
    """One tracking store: reads it as StoredRuns does, and writes it. Every call is made on the thread of the store and
    raises the errors of `client.call_store`."""

    def __init__(self, uri: str) -> None:
        """Opens the client of a store that exists."""
        self._uri = uri
        self.client = open_client(uri)

    def experiments(self) -> list[StoredExperiment]:
        """Reads all experiments, also deleted ones, newest first."""
        found: list[StoredExperiment] = []
        token = None
        while True:
            page = self.client.search_experiments(ViewType.ALL, max_results=PAGE, page_token=token)
            found += map(_stored_experiment, page)
            token = page.token
            if not token:
                return found

    def experiment(self, experiment_id: str) -> StoredExperiment:
        """Reads one experiment, which may be deleted. Raises StoreError where there is none with this id."""
        return _stored_experiment(self.client.get_experiment(experiment_id))

    def experiment_named(self, name: str) -> StoredExperiment | None:
        """Finds an experiment, which may be deleted, by its name."""
        found = self.client.get_experiment_by_name(name)
        return None if found is None else _stored_experiment(found)

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> str | None:
        """Creates an experiment, and returns its id; None where there is one of this name by now."""
        try:
            return str(self.client.create_experiment(name, tags=dict(tags)))
        except MlflowException as error:
            if error.error_code != _EXISTS:
                raise
            return None

    def runs(self, query: RunQuery) -> Iterator[StoredRun]:
        """Reads runs, newest first."""
        view = ViewType.ALL if query.with_deleted else ViewType.ACTIVE_ONLY
        token = None
        while query.experiment_ids:
            page = self.client.search_runs(
                list(query.experiment_ids), _filter(query), view, max_results=PAGE, page_token=token
            )
            yield from map(_stored_run, page)
            token = page.token
            if not token:
                return

    def run(self, run_id: str) -> StoredRun:
        """Reads one run, which may be deleted. Raises StoreError where there is none with this id."""
        return _stored_run(self.client.get_run(run_id))

    def points(self, run_id: str, metric: str) -> list[Point]:
        """Reads all values of a metric of a run, by time, then by step."""
        found = self.client.get_metric_history(run_id, metric)
        points = [Point(point.timestamp, point.step, point.value) for point in found]
        return sorted(points, key=lambda point: (point.at_ms, point.step))

    def log(
        self, run_id: str, metrics: Sequence[tuple[str, Point]], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """Writes values of metrics, then parameters and tags with the last of them."""
        points = [Metric(key, point.value, point.at_ms, point.step) for key, point in metrics]
        last = max(0, len(points) - 1) // METRICS_AT_ONCE * METRICS_AT_ONCE
        for start in range(0, last, METRICS_AT_ONCE):
            self.client.log_batch(run_id, metrics=points[start : start + METRICS_AT_ONCE])
        self.client.log_batch(
            run_id,
            metrics=points[last:],
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )

    def artifacts(self, location: str) -> ArtifactRepository:
        """Opens MLflow's repository of a run's artifacts, which asks the store for nothing more."""
        return call_store(self._uri, partial(get_artifact_repository, location, tracking_uri=self._uri))

    def call(self, work: Callable[[], _T]) -> _T:
        """Returns what a piece of work that uses MLflow returns."""
        return call_store(self._uri, work)

    def delete_run(self, run_id: str) -> None:
        """Deletes a run, which can be restored, unless it is deleted."""
        try:
            self.client.delete_run(run_id)
        except MlflowException:
            if not self.run(run_id).is_deleted:
                raise

    def remove_run_for_good(self, run_id: str) -> None:
        """Removes a run that was deleted, as `mlflow gc` does; its artifacts stay."""
        call_store(self._uri, partial(_get_store(self._uri)._hard_delete_run, run_id))

    def remove_experiment_for_good(self, experiment_id: str) -> None:
        """Removes an experiment that was deleted, and has no run any more, as `mlflow gc` does."""
        call_store(self._uri, partial(_get_store(self._uri)._hard_delete_experiment, experiment_id))


def open_server(uri: str) -> StoredRuns:
    """Opens a tracking server. Raises StoreUnavailableError where none answers."""
    status = call_store(uri, partial(health, uri, ANSWER_WITHIN_S))
    if status in NOBODY_BEHIND:
        raise StoreUnavailableError(
            f"tracking store {without_password(uri)}: no server behind the proxy (HTTP {status})"
        )
    return open_checked(uri)


def open_database(uri: str, lock: FileLock) -> StoredRuns:
    """Opens a database, and makes MLflow's tables in one that is empty. That of PostgreSQL is read by its tables."""
    with lock:
        api = open_checked(uri)
    engine = call_store(uri, lambda: _get_store(uri).engine)
    if engine.dialect.name != "postgresql":
        return api
    tables = Tables(PostgresDatabase(engine, partial(call_store, uri)), uri)
    return tables if tables.are_known() else api


def open_checked(uri: str) -> MlflowApi:
    """Opens a store, and has it answer once; a SQLite file that is empty is made one."""
    api = MlflowApi(uri)
    api.client.search_experiments(max_results=1)
    return api


def _filter(query: RunQuery) -> str:
    """Writes a query as MLflow's filter."""
    conditions = [columns.tag_filter(key, value) for key, value in query.tags.items()]
    if query.state is not None:
        conditions.append(f"attributes.status = '{query.state}'")
    if query.ended_since_ms is not None:
        conditions.append(f"attributes.end_time >= {query.ended_since_ms}")
    return " and ".join(conditions)


def _stored_experiment(found: Experiment) -> StoredExperiment:
    return StoredExperiment(
        experiment_id=found.experiment_id,
        name=found.name,
        location=found.artifact_location,
        is_deleted=found.lifecycle_stage == LifecycleStage.DELETED,
        created_ms=found.creation_time,
        tags=found.tags,
    )


def _stored_run(found: Run) -> StoredRun:
    return StoredRun(
        run_id=found.info.run_id,
        name=found.info.run_name,
        experiment_id=found.info.experiment_id,
        state=RunState(found.info.status),
        start_time_ms=found.info.start_time,
        end_time_ms=found.info.end_time,
        location=found.info.artifact_uri,
        is_deleted=found.info.lifecycle_stage == LifecycleStage.DELETED,
        params=found.data.params,
        metrics=found.data.metrics,
        tags=found.data.tags,
    )
