"""Runs in MLflow: claimed, finished, failed, killed, found again. The only writer of the tracking store."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.request import urlopen

import mlflow.artifacts
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from cogx_runs.actions import TRIAL, PastRun
from cogx_runs.errors import CogxError, did_you_mean, first_line
from cogx_runs.hardware import cache_directory
from cogx_runs.metrics.registry import aim, cards
from cogx_runs.space import Direction, OptunaSearch
from cogx_runs.spec import RunSpec
from cogx_runs.sweep import Sweep
from cogx_runs.tracking.provenance import is_dead, is_own, process_tags
from cogx_runs.tracking.uri import SQLITE, is_server, sqlite_path, tracking_uri

KIND_FILTER = "tags.`cogx.kind` = 'run'"
"""Cells, and no reports."""
PAGE = 1000
LATENTS = "latents.safetensors"
TAG_LIMIT = 7900
"""Characters of a tag; MLflow refuses more than 8,000."""
EXPERIMENT_TAG_LIMIT = 19000
OBJECTIVES = "cogx.objectives"
"""The tag of an experiment that says what its search is for: by metric `maximize` or `minimize`."""
NUMBER = "number"
"""The kind of an axis in an experiment's tag `cogx.axes`; any other kind is `word`."""
BATCH = 1000
"""Metrics that MLflow takes at once."""
Series = Mapping[str, Sequence[float]]
"""Values by frame or by step, counted from 0; their names begin with `by_`."""
NO_SERIES: Series = MappingProxyType({})

_AT_WORK: set[str] = set()
"""The runs that this process has claimed and not ended."""


class RunStore:
    """The runs of one MLflow tracking store."""

    def __init__(self, uri: str | None = None) -> None:
        """Open a store, and create it where it is a SQLite file that is not there yet.

        Raises CogxError where it cannot be reached or opened.
        """
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for every file
        self.uri = tracking_uri(uri)
        self._lock = FileLock(_lock_file(self.uri))
        try:
            if is_server(self.uri):
                urlopen(f"{self.uri.rstrip('/')}/health", timeout=10).close()  # MLflow would try for minutes
            with self._lock:
                _create_sqlite(sqlite_path(self.uri))
                self._client = MlflowClient(tracking_uri=self.uri)
                self._client.search_experiments(max_results=1)
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
            raise CogxError(f"tracking store {self.uri}: {first_line(error)}") from error

    # Writing

    def check_writable(self) -> None:
        """Raise CogxError where a SQLite store can only be read."""
        path = sqlite_path(self.uri)
        if path is not None and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            raise CogxError(f"{path}: cannot be written; work in another folder, or set MLFLOW_TRACKING_URI")

    def open_experiment(self, sweep: Sweep) -> str:
        """The id of the sweep's experiment, created where it is not there. Raises CogxError for a deleted one."""
        tags = {
            "cogx.file": sweep.file,
            "cogx.question": sweep.description[:EXPERIMENT_TAG_LIMIT],
            "cogx.axes": json.dumps({axis: _kind(values) for axis, values in sweep.axes.items()}),
        }
        if sweep.optuna is not None:
            tags[OBJECTIVES] = json.dumps(_objectives(sweep.optuna))
        with self._lock:
            found = self._client.get_experiment_by_name(sweep.name)
            if found is None:
                return str(self._client.create_experiment(sweep.name, tags=tags))
        if found.lifecycle_stage != "active":
            raise CogxError(
                f"experiment {sweep.name!r} was deleted in MLflow; restore it "
                f"(`mlflow experiments restore -x {found.experiment_id}`) or give the sweep another name"
            )
        self.tag_experiment(found.experiment_id, tags)
        return str(found.experiment_id)

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an experiment, those aside that it has with the same value."""
        with self._lock:  # two that set a new tag at once: one of them fails
            present = self.experiment_tags(experiment_id)
            for key, value in tags.items():
                if present.get(key) != value:
                    self._client.set_experiment_tag(experiment_id, key, value)

    def bury_dead(self, experiment_ids: Sequence[str]) -> int:
        """End as KILLED the runs of this host whose process is gone. Returns how many there were."""
        buried = 0
        with self._lock:  # a run that another thread is about to claim is not dead
            for run in self._search(experiment_ids, f"{KIND_FILTER} and attributes.status = 'RUNNING'"):
                if self._is_dead(run):
                    self.kill(run.info.run_id)
                    buried += 1
        return buried

    def give_up(self, experiment_ids: Sequence[str]) -> None:
        """End as KILLED all runs that this process has open there, also one whose claim was interrupted half way.

        Where not even that can be written, they count as dead from now on and the next sweep ends them.
        """
        _AT_WORK.clear()
        with suppress(Exception):
            self.bury_dead(experiment_ids)

    def claim(self, experiment_id: str, spec: RunSpec, tags: Mapping[str, str]) -> str | None:
        """Create the run of a cell and return its id; None where it is finished or another process is at it."""
        same = f"{KIND_FILTER} and tags.`cogx.output_hash` = '{spec.output_hash}'"
        with self._lock:
            for run in self._search([experiment_id], same):
                if run.info.status == "FINISHED":
                    return None
                if run.info.status == "RUNNING":
                    if not self._is_dead(run):
                        return None
                    self.kill(run.info.run_id)
            created = self._client.create_run(
                experiment_id,
                run_name=spec.run_name,
                tags={
                    **tags,
                    **process_tags(),
                    "cogx.kind": "run",
                    "cogx.sweep": spec.sweep,
                    "cogx.signature": spec.signature,
                    "cogx.output_hash": spec.output_hash,
                    "cogx.prompt": spec.prompt[:TAG_LIMIT],
                },
            )
            _AT_WORK.add(str(created.info.run_id))
        return str(created.info.run_id)

    def describe(self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Write what is known of an open run from the beginning, so that it stands in its place among the others."""
        self._log(run_id, metrics, {}, params)

    def log_step(self, run_id: str, done: int) -> None:
        """How many denoising steps an open run has done."""
        self._client.log_metric(run_id, "current_step", done)

    def keep_latents(
        self, run_id: str, file: Path, metrics: Mapping[str, float], tags: Mapping[str, str], series: Series = NO_SERIES
    ) -> None:
        """Write the latents of an open run, then what is known of them: from then on they outlive its process."""
        self._client.log_artifact(run_id, str(file))
        self._log(run_id, metrics, {**tags, "cogx.latents": "kept"}, series=series)

    def finish(
        self,
        run_id: str,
        artifacts: Path,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        status: str = "FINISHED",
        series: Series = NO_SERIES,
    ) -> None:
        """Write a run's artifacts, then all its values, and last its status: only then does it count as ended."""
        self._client.log_artifacts(run_id, str(artifacts))
        self._log(run_id, metrics, tags, params, series)
        self._client.set_terminated(run_id, status)
        _AT_WORK.discard(run_id)

    def kill(self, run_id: str) -> None:
        """End a run as KILLED, unless it has ended."""
        _AT_WORK.discard(run_id)
        if self._client.get_run(run_id).info.status == "RUNNING":
            self._client.set_terminated(run_id, "KILLED")

    def _is_dead(self, run: Run) -> bool:
        return is_dead(run.data.tags) or (is_own(run.data.tags) and run.info.run_id not in _AT_WORK)

    def amend(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        remove: Sequence[str] = (),
        series: Series = NO_SERIES,
        artifact: Path | None = None,
    ) -> None:
        """Add values, and a file, to a run that has ended, without touching its times; remove tags that no longer
        hold."""
        if artifact is not None:
            self._client.log_artifact(run_id, str(artifact))
        self._log(run_id, metrics, tags, series=series)
        present = self._client.get_run(run_id).data.tags
        for key in set(remove) & set(present):
            self._client.delete_tag(run_id, key)

    def _log(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        params: Mapping[str, Any] = MappingProxyType({}),
        series: Series = NO_SERIES,
    ) -> None:
        now = time.time_ns() // 1_000_000
        points = [Metric(key, value, now, step) for key, values in series.items() for step, value in enumerate(values)]
        for start in range(0, len(points), BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + BATCH])
        self._client.log_batch(
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
            params=[Param(key, str(value)) for key, value in params.items()],
            tags=[RunTag(key, value[:TAG_LIMIT]) for key, value in tags.items()],
        )

    def keep_report(self, experiment_id: str, page: Path) -> str:
        """Keep a report's page with an experiment, in the place of the one before. Returns the id of the run of the
        kind `report` that holds it, which no query for cells finds.

        Raises CogxError where MLflow cannot keep it.
        """
        with self._lock:
            run_id = self.find_report(experiment_id)
            if run_id is None:
                created = self._client.create_run(experiment_id, run_name="report", tags={"cogx.kind": "report"})
                run_id = str(created.info.run_id)
        try:
            self._client.log_artifact(run_id, str(page))
        except (MlflowException, OSError) as error:
            raise CogxError(f"{page}: written, but MLflow cannot keep it: {first_line(error)}") from error
        finally:
            self._client.set_terminated(run_id, "FINISHED")
        return run_id

    # Of other processes

    def is_being_made(self, run_id: str) -> bool:
        """Whether a run of another process that was begun before this one is making the same pixels."""
        own = self._client.get_run(run_id)
        return any(
            other.data.tags.get("cogx.signature") == own.data.tags["cogx.signature"]
            and (other.info.start_time, other.info.run_id) < (own.info.start_time, run_id)
            for other in self._others_at_work()
        )

    def works_beside(self, device_name: str) -> bool:
        """Whether another process of this host has a run under way on this device, as far as this store knows."""
        return any(
            self.is_of_this_host(other) and other.data.tags.get("cogx.env.device_name") == device_name
            for other in self._others_at_work()
        )

    def _others_at_work(self) -> Iterator[Run]:
        for run in self._search(self._all_experiments(), f"{KIND_FILTER} and attributes.status = 'RUNNING'"):
            if not is_own(run.data.tags) and not is_dead(run.data.tags):
                yield run

    # Reading

    def experiment_id(self, name: str) -> str:
        """The id of an experiment. Raises CogxError with the nearest name where there is none."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            raise CogxError(f"no experiment {name!r} in {self.uri}; {did_you_mean(name, self.experiment_names())}")
        return str(found.experiment_id)

    def experiment_names(self) -> list[str]:
        """The names of the experiments that hold runs of this tool or could."""
        return [experiment.name for experiment in self._client.search_experiments() if experiment.name != "Default"]

    def experiment_tags(self, experiment_id: str) -> dict[str, str]:
        """The tags of an experiment."""
        return dict(self._client.get_experiment(experiment_id).tags)

    def created_ms(self, experiment_id: str) -> int:
        """When an experiment was made, in ms since 1970."""
        return int(self._client.get_experiment(experiment_id).creation_time)

    def find_report(self, experiment_id: str) -> str | None:
        """The id of the run that keeps an experiment's report; None where there is none."""
        found = next(self._search([experiment_id], "tags.`cogx.kind` = 'report'"), None)
        return None if found is None else str(found.info.run_id)

    def series(self, run: Run) -> dict[str, list[float]]:
        """What a run has a value of for each frame or step; of a step that was written twice, the later."""
        found = {}
        for key in run.data.metrics:
            if is_series(key):
                points = sorted(
                    self._client.get_metric_history(run.info.run_id, key), key=lambda point: point.timestamp
                )
                by_step = {point.step: point.value for point in points}
                found[key] = [by_step[step] for step in sorted(by_step)]
        return found

    def runs(self, experiments: Sequence[str] | None = None, finished_only: bool = False) -> Iterator[Run]:
        """The runs of the named experiments, or of all, newest first."""
        ids = self._all_experiments() if experiments is None else [self.experiment_id(name) for name in experiments]
        status = " and attributes.status = 'FINISHED'" if finished_only else ""
        yield from self._search(ids, KIND_FILTER + status)

    def rows(self, experiments: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Each run flat: `run_id`, `run_name`, `experiment`, `status`, `start_time` (ms), `params.*`, ..."""
        names = {item.experiment_id: item.name for item in self._client.search_experiments()}
        for run in self.runs(experiments):
            yield {
                "run_id": run.info.run_id,
                "run_name": run.info.run_name,
                "experiment": names[run.info.experiment_id],
                "status": run.info.status,
                "start_time": run.info.start_time,
                **{f"params.{key}": value for key, value in run.data.params.items()},
                **{f"metrics.{key}": value for key, value in scalars(run).items()},
                **{f"tags.{key}": value for key, value in run.data.tags.items() if key.startswith("cogx.")},
            }

    def history(self) -> list[PastRun]:
        """What every run of the store was and came to."""
        names = {item.experiment_id: item.name for item in self._client.search_experiments()}
        return [_past_run(run, names[run.info.experiment_id]) for run in self._search(list(names), KIND_FILTER)]

    def find_finished(self, output_hash: str) -> Run | None:
        """A finished run of any experiment with this output hash; one that was generated rather than reused where
        there is one."""
        query = f"{KIND_FILTER} and attributes.status = 'FINISHED' and tags.`cogx.output_hash` = '{output_hash}'"
        found = list(self._search(self._all_experiments(), query))
        return min(found, key=lambda run: "cogx.reused_from" in run.data.tags, default=None)

    def last_run(self, experiment_id: str, output_hash: str) -> Run | None:
        """A cell's finished run in one experiment, else its latest; None where it has not been begun."""
        found = list(self._search([experiment_id], f"{KIND_FILTER} and tags.`cogx.output_hash` = '{output_hash}'"))
        return min(found, key=lambda run: (run.info.status != "FINISHED", -run.info.start_time), default=None)

    def is_of_this_host(self, run: Run) -> bool:
        """Whether a run was made on this host, where a dead process can be told from a living one."""
        return bool(run.data.tags.get("cogx.process.host") == process_tags()["cogx.process.host"])

    def find_latents(self, signature: str) -> Run | None:
        """A run of any experiment that keeps the latents of this signature, however it ended; the one that made them
        where it is there."""
        query = f"{KIND_FILTER} and tags.`cogx.signature` = '{signature}' and tags.`cogx.latents` = 'kept'"
        found = list(self._search(self._all_experiments(), query))
        return found[-1] if found else None

    def download(self, run_id: str, artifact: str, folder: Path) -> Path:
        """Copy an artifact, or with `""` all of them, into `folder`. Raises CogxError where it is not there."""
        try:
            path = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=artifact, dst_path=str(folder), tracking_uri=self.uri
            )
        except (MlflowException, OSError) as error:
            raise CogxError(f"run {run_id}: artifact {artifact or 'folder'} cannot be read: {error}") from error
        return Path(path)

    def _all_experiments(self) -> list[str]:
        return [experiment.experiment_id for experiment in self._client.search_experiments()]

    def _search(self, experiment_ids: Sequence[str], query: str) -> Iterator[Run]:
        token = None
        while experiment_ids:
            page = self._client.search_runs(
                list(experiment_ids), query, ViewType.ACTIVE_ONLY, max_results=PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return


def _create_sqlite(path: Path | None) -> None:
    """Make MLflow's tables where there is no file yet: beside it first, so that a death on the way leaves none half
    made."""
    if path is None or path.exists():
        return
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:  # MLflow would try for minutes
        unfinished.unlink(missing_ok=True)
        unfinished.touch()
    except OSError as error:
        raise CogxError(
            f"{path.parent}: cannot be written ({error.strerror}); work in another folder, or set MLFLOW_TRACKING_URI"
        ) from error
    MlflowClient(tracking_uri=f"{SQLITE}{unfinished}").search_experiments(max_results=1)
    unfinished.replace(path)


def is_series(metric: str) -> bool:
    """Whether a metric has a value for each frame or step, so that the one that MLflow lists is only the last."""
    return metric.startswith("by_")


def scalars(run: Run) -> dict[str, float]:
    """A run's metrics without those that have a value for each frame or step."""
    return {key: value for key, value in run.data.metrics.items() if not is_series(key)}


def _kind(values: Sequence[Any]) -> str:
    return NUMBER if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) else "word"


def _objectives(search: OptunaSearch) -> dict[str, Direction]:
    directions = search.directions or [aim(cards()[name]) for name in search.objectives]
    return dict(zip(search.objectives, directions, strict=True))


def _past_run(run: Run, experiment: str) -> PastRun:
    return PastRun(
        run_id=run.info.run_id,
        experiment=experiment,
        status=run.info.status,
        signature=run.data.tags.get("cogx.signature", ""),
        output_hash=run.data.tags.get("cogx.output_hash", ""),
        start_time_ms=run.info.start_time,
        reused_from=run.data.tags.get("cogx.reused_from", run.data.tags.get("cogx.latents_from")),
        beside=run.data.tags.get("cogx.beside"),
        device_name=run.data.tags.get("cogx.env.device_name", ""),
        params=run.data.params,
        metrics=scalars(run),
        trial_tags={key: value for key, value in run.data.tags.items() if key.startswith(TRIAL)},
    )


def _lock_file(uri: str) -> Path:
    """A lock that all processes of this host share for one store."""
    path = cache_directory() / "locks" / f"{hashlib.sha256(uri.encode()).hexdigest()[:16]}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
