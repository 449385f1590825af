"""Runs in MLflow, written: claimed, finished, failed, killed. The only writer of the tracking store."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from cogx_runs.definitions.ranges import Direction, OptunaSearch
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError, first_line
from cogx_runs.metrics.registry import aim, cards
from cogx_runs.tracking.provenance import is_dead, is_own, process_tags
from cogx_runs.tracking.reader import CELLS, RunReader
from cogx_runs.tracking.tags import AXES, OBJECTIVES, QUESTION, SWEEP_FILE
from cogx_runs.tracking.uri import sqlite_path

TAG_LIMIT = 7900
"""Characters of a tag; MLflow refuses more than 8,000."""
EXPERIMENT_TAG_LIMIT = 19000
NUMBER = "number"
"""The kind of an axis of numbers; any other kind is `word`."""
BATCH = 1000
"""Metrics that MLflow takes at once."""
Series = Mapping[str, Sequence[float]]
"""Values by frame or by step, counted from 0; their names begin with `by_`."""
NO_SERIES: Series = MappingProxyType({})

_AT_WORK: set[str] = set()
"""The runs that this process has claimed and not ended."""


class RunStore(RunReader):
    """The runs of one MLflow tracking store, and who is at work on them."""

    def check_writable(self) -> None:
        """Raise CogxError where a SQLite store can only be read."""
        path = sqlite_path(self.uri)
        if path is not None and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            raise CogxError(f"{path}: cannot be written; work in another folder, or set MLFLOW_TRACKING_URI")

    def open_experiment(self, sweep: Sweep) -> str:
        """The id of the sweep's experiment, created where it is not there. Raises CogxError for a deleted one.

        Its axes are the sweep's, and those that it had before and that its runs differ in.
        """
        axes = {axis: _kind(values) for axis, values in sweep.axes.items()}
        tags = {
            SWEEP_FILE: sweep.file,
            QUESTION: sweep.description[:EXPERIMENT_TAG_LIMIT],
            AXES: json.dumps(axes),
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
        before = json.loads(found.tags.get(AXES, "{}"))
        kept = self._differing([axis for axis in before if axis not in axes], found.experiment_id)
        tags[AXES] = json.dumps(axes | {axis: before[axis] for axis in kept})
        self.tag_experiment(found.experiment_id, tags)
        return str(found.experiment_id)

    def _differing(self, axes: Sequence[str], experiment_id: str) -> list[str]:
        """Those of the axes that the experiment's runs have several values of."""
        runs = list(self._search([experiment_id], CELLS)) if axes else []
        return [axis for axis in axes if len({run.data.params.get(axis) for run in runs} - {None}) > 1]

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
            for run in self._search(experiment_ids, f"{CELLS} and attributes.status = 'RUNNING'"):
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
        same = f"{CELLS} and tags.`cogx.output_hash` = '{spec.output_hash}'"
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
        artifacts: Path | None = None,
    ) -> None:
        """Add values, and a folder's files, to a run that has ended, without touching its times; remove tags that no
        longer hold."""
        if artifacts is not None:
            self._client.log_artifacts(run_id, str(artifacts))
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
            self.is_of_this_host(other.data.tags) and other.data.tags.get("cogx.env.device_name") == device_name
            for other in self._others_at_work()
        )

    def _others_at_work(self) -> Iterator[Run]:
        for run in self._search(list(self._names()), f"{CELLS} and attributes.status = 'RUNNING'"):
            if not is_own(run.data.tags) and not is_dead(run.data.tags):
                yield run

    def is_of_this_host(self, tags: Mapping[str, str]) -> bool:
        """Whether a run was made on this host, where a dead process can be told from a living one."""
        return tags.get("cogx.process.host") == process_tags()["cogx.process.host"]


def _kind(values: Sequence[Any]) -> str:
    return NUMBER if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) else "word"


def _objectives(search: OptunaSearch) -> dict[str, Direction]:
    directions = search.directions or [aim(cards()[name]) for name in search.objectives]
    return dict(zip(search.objectives, directions, strict=True))
