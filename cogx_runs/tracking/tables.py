"""Reads runs and experiments from MLflow's own tables, by SQL: MLflow's API makes objects of every value of every run,
which takes 2 ms a run.

What is written goes through MLflow. A test holds what is read here to what its API reads.
"""

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cogx_runs.errors import StoreError
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.sqlite_file import advice_on_damage, needs_recovery, recover
from cogx_runs.tracking.stored import Point, RunQuery, StoredExperiment, StoredRun
from cogx_runs.tracking.tags import MLFLOW_RUN_NAME
from cogx_runs.tracking.thread import STORE_THREAD
from cogx_runs.tracking.uri import without_password

if TYPE_CHECKING:
    from sqlalchemy import Engine

BATCH = 500
"""Runs whose values are read at once. Between two batches nothing of a SQLite file is locked."""
BUSY_S = 20.0
"""How long a SQLite file that is being written is waited for, as MLflow does."""
_DELETED = "deleted"
_EXPERIMENT = "experiment_id, name, artifact_location, lifecycle_stage, creation_time"
_RUN = "run_uuid, name, experiment_id, status, start_time, end_time, artifact_uri, lifecycle_stage"
_KNOWN = (
    f"SELECT {_EXPERIMENT} FROM experiments",
    "SELECT experiment_id, key, value FROM experiment_tags",
    f"SELECT {_RUN} FROM runs",
    "SELECT run_uuid, key, value FROM params",
    "SELECT run_uuid, key, value FROM tags",
    "SELECT run_uuid, key, value, is_nan FROM latest_metrics",
    "SELECT run_uuid, key, timestamp, step, value, is_nan FROM metrics",
)
"""All that is read of the tables."""
_UNKNOWN = ("no such", "does not exist")
"""What SQLite and PostgreSQL say of a table or column that is not there."""

Row = tuple[Any, ...]
Statement = tuple[str, Mapping[str, object]]
"""SQL, and the values of its `:names`."""


class Database(Protocol):
    """A database that MLflow keeps its tables in, which is only read."""

    def read(self, *statements: Statement) -> list[list[Row]]:
        """Reads the rows of each statement, all of one moment."""


class SqliteDatabase:
    """A SQLite file. It is locked against a commit of others for as long as one call of `read` takes."""

    def __init__(self, path: Path, uri: str) -> None:
        self._path = path
        self._uri = uri

    def read(self, *statements: Statement) -> list[list[Row]]:
        """Reads on the thread of the store, so that no interrupt leaves the file locked. Raises StoreError for a
        damaged file, or one that stays locked."""
        try:
            return STORE_THREAD.call(partial(self._recovered, statements))
        except sqlite3.Error as error:
            advice = advice_on_damage(str(error), self._path)
            raise StoreError(f"tracking store {without_password(self._uri)}: {error}{advice}") from error

    def _recovered(self, statements: Sequence[Statement]) -> list[list[Row]]:
        try:
            return self._read(statements)
        except sqlite3.Error as error:
            if not needs_recovery(error):
                raise
        recover(self._path)
        return self._read(statements)

    def _read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        address = f"{self._path.as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None)) as database:
            database.execute("BEGIN")
            return [database.execute(*statement).fetchall() for statement in statements]


class PostgresDatabase:
    """A PostgreSQL database, by the connections that MLflow has to it."""

    def __init__(self, engine: "Engine", call: Callable[[Callable[[], list[list[Row]]]], list[list[Row]]]) -> None:
        """`call` returns what a piece of work returns, and raises the project's errors."""
        self._engine = engine
        self._call = call

    def read(self, *statements: Statement) -> list[list[Row]]:
        """Reads in a transaction that cannot write. Raises StoreUnavailableError where the database does not answer."""
        return self._call(partial(self._read, statements))

    def _read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        from sqlalchemy import text

        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._engine.connect().execution_options(**options) as connection:
            return [[tuple(row) for row in connection.execute(text(sql), dict(values))] for sql, values in statements]


class Tables:
    """The tables of MLflow in a database."""

    def __init__(self, database: Database, uri: str) -> None:
        self._database = database
        self._uri = uri

    def are_known(self) -> bool:
        """Checks whether the tables have the columns that are read here, as those of another MLflow may not."""
        try:
            self._database.read(*((f"{statement} WHERE 1 = 0", {}) for statement in _KNOWN))
        except StoreError as error:
            if any(what in str(error) for what in _UNKNOWN):
                return False
            raise
        return True

    def experiments(self) -> list[StoredExperiment]:
        """Reads all experiments, also deleted ones, newest first."""
        return self._experiments("1 = 1", {})

    def experiment(self, experiment_id: str) -> StoredExperiment:
        """Reads one experiment, which may be deleted. Raises StoreError where there is none with this id."""
        found = self._experiments("experiment_id = :id", {"id": int(experiment_id)})
        if not found:
            raise StoreError(f"tracking store {without_password(self._uri)}: has no experiment {experiment_id}")
        return found[0]

    def experiment_named(self, name: str) -> StoredExperiment | None:
        """Finds an experiment, which may be deleted, by its name."""
        return next(iter(self._experiments("name = :name", {"name": name})), None)

    def _experiments(self, where: str, values: Mapping[str, object]) -> list[StoredExperiment]:
        found, tagged = self._database.read(
            (f"SELECT {_EXPERIMENT} FROM experiments WHERE {where} ORDER BY creation_time DESC, experiment_id", values),
            (
                "SELECT experiment_id, key, value FROM experiment_tags WHERE experiment_id IN "
                f"(SELECT experiment_id FROM experiments WHERE {where})",
                values,
            ),
        )
        tags: dict[int, dict[str, str]] = {row[0]: {} for row in found}
        for experiment_id, key, value in tagged:
            tags[experiment_id][key] = value
        return [
            StoredExperiment(
                experiment_id=str(experiment_id),
                name=name,
                location=location,
                is_deleted=stage == _DELETED,
                created_ms=created_ms,
                tags=tags[experiment_id],
            )
            for experiment_id, name, location, stage, created_ms in found
        ]

    def runs(self, query: RunQuery) -> Iterator[StoredRun]:
        """Reads runs, newest first: first which they are, then the values of a batch of them after the other."""
        if not query.experiment_ids:
            return
        conditions = [f"experiment_id IN ({', '.join(str(int(one)) for one in query.experiment_ids)})"]
        values: dict[str, object] = {}
        if not query.with_deleted:
            conditions.append("lifecycle_stage = 'active'")
        if query.state is not None:
            conditions.append("status = :status")
            values["status"] = query.state.value
        if query.ended_since_ms is not None:
            conditions.append("end_time >= :since")
            values["since"] = query.ended_since_ms
        for number, (key, value) in enumerate(query.tags.items()):
            conditions.append(
                f"run_uuid IN (SELECT run_uuid FROM tags WHERE key = :key{number} AND value = :value{number})"
            )
            values |= {f"key{number}": key, f"value{number}": value}
        yield from self._runs(" AND ".join(conditions), values)

    def run(self, run_id: str) -> StoredRun:
        """Reads one run, which may be deleted. Raises StoreError where there is none with this id."""
        found = next(self._runs("run_uuid = :id", {"id": run_id}), None)
        if found is None:
            raise StoreError(f"tracking store {without_password(self._uri)}: has no run {run_id}")
        return found

    def points(self, run_id: str, metric: str) -> list[Point]:
        """Reads all values of a metric of a run, by time, then by step."""
        statement = (
            "SELECT timestamp, step, value, is_nan FROM metrics WHERE run_uuid = :id AND key = :key "
            "ORDER BY timestamp, step, value"
        )
        (rows,) = self._database.read((statement, {"id": run_id, "key": metric}))
        return [Point(at_ms, step, math.nan if is_nan else value) for at_ms, step, value, is_nan in rows]

    def _runs(self, where: str, values: Mapping[str, object]) -> Iterator[StoredRun]:
        order = "start_time IS NULL, start_time DESC, run_uuid"
        (found,) = self._database.read((f"SELECT {_RUN} FROM runs WHERE {where} ORDER BY {order}", values))
        for start in range(0, len(found), BATCH):
            yield from self._with_values(found[start : start + BATCH])

    def _with_values(self, found: Sequence[Row]) -> Iterator[StoredRun]:
        ids = {f"id{number}": row[0] for number, row in enumerate(found)}
        among = f"run_uuid IN ({', '.join(f':{name}' for name in ids)})"
        params, tags, metrics = self._database.read(
            (f"SELECT run_uuid, key, value FROM params WHERE {among}", ids),
            (f"SELECT run_uuid, key, value FROM tags WHERE {among}", ids),
            (f"SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE {among}", ids),
        )
        run_ids = list(ids.values())
        params_of, tags_of, metrics_of = _by_run(run_ids, params), _by_run(run_ids, tags), _by_run(run_ids, metrics)
        for run_id, key, _, is_nan in metrics:
            if is_nan:
                metrics_of[run_id][key] = math.nan
        for run_id, name, experiment_id, status, start_time, end_time, location, stage in found:
            own = tags_of[run_id]
            yield StoredRun(
                run_id=run_id,
                name=name or own.get(MLFLOW_RUN_NAME, ""),
                experiment_id=str(experiment_id),
                state=RunState(status),
                start_time_ms=start_time,
                end_time_ms=end_time,
                location=location,
                is_deleted=stage == _DELETED,
                params=params_of[run_id],
                metrics=metrics_of[run_id],
                tags=own,
            )


def _by_run(run_ids: Iterable[str], rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Returns the values of each run by their keys, which are the second and third of a row."""
    found: dict[str, dict[str, Any]] = {run_id: {} for run_id in run_ids}
    for row in rows:
        found[row[0]][row[1]] = row[2]
    return found
