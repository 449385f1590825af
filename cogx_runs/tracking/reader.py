"""Reads the runs of an MLflow tracking store: lists, finds and downloads them."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, DamagedArtifactError, StoreError, StoreUnavailableError, did_you_mean
from cogx_runs.formatting import count, shortened
from cogx_runs.tracking import columns, tags
from cogx_runs.tracking.digests import Digest, Digests, damage, read_digests
from cogx_runs.tracking.liveness import host
from cogx_runs.tracking.locations import check_location, missing_disk, path_of
from cogx_runs.tracking.lost import expected_artifacts, has_latents, is_whole
from cogx_runs.tracking.opening import open_store, store_lock
from cogx_runs.tracking.run import Claimable, RunState, TrackedRun
from cogx_runs.tracking.sqlite_file import ARTIFACTS
from cogx_runs.tracking.stored import RunQuery, StoredExperiment, StoredRun
from cogx_runs.tracking.uri import is_server, sqlite_path, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

    from cogx_runs.tracking.mlflow_api import MlflowApi

_QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # there would be one for every file
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # of each run that ends, with the password of the address
}
OF_CELLS = {tags.KIND: tags.CELL_KIND}
"""What the runs of cells are known by, and reports, overviews and comparisons are not."""


@dataclass(frozen=True)
class RecordedRun:
    """A run as the store has it, also one that was deleted there."""

    run: TrackedRun
    location: str
    """The place of its artifacts."""
    is_deleted: bool
    """Whether it was deleted in MLflow, and not yet for good."""


class RunReader:
    """The runs of one MLflow tracking store, read only."""

    def __init__(self, uri: str | None = None) -> None:
        """Opens a store, and creates it where it is a SQLite file that does not exist yet.

        Raises CogxError where it cannot be reached or opened.
        """
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        self.uri = tracking_uri(uri)
        self._is_file = sqlite_path(self.uri) is not None
        self._host = host()
        self.lock = store_lock(self.uri)
        """Held by one process of this host at a time, while it claims a run or creates an experiment."""
        opened = open_store(self.uri, self.lock)
        self._stored = opened.stored
        self._locations = opened.locations

    @cached_property
    def _api(self) -> "MlflowApi":
        """MLflow's client, for what is written, and for artifacts: importing it takes a second, which who only reads
        runs of a SQLite store does without."""
        from cogx_runs.tracking.mlflow_api import MlflowApi

        return MlflowApi(self.uri)

    @property
    def _client(self) -> "MlflowClient":
        return self._api.client

    def experiment_id(self, name: str) -> str:
        """Looks up the id of an experiment. Raises CogxError with the nearest name where there is none."""
        found = self._stored.experiment_named(name)
        if found is None:
            raise CogxError(
                f"no experiment {shortened(name)} in {self.uri}; {did_you_mean(name, self.experiment_names())}"
            )
        return str(found.experiment_id)

    def experiment_names(self) -> list[str]:
        """Lists the names of all experiments but MLflow's default one."""
        return [name for name in self._names().values() if name != "Default"]

    def deleted_experiments(self) -> dict[str, str]:
        """Reads the ids of the experiments that were deleted in MLflow and not yet for good, by their names."""
        return {found.name: found.experiment_id for found in self._stored.experiments() if found.is_deleted}

    def experiment_tags(self, experiment_id: str) -> dict[str, str]:
        """Reads the tags of an experiment."""
        return dict(self._stored.experiment(experiment_id).tags)

    def artifact_folder(self, experiment_id: str) -> Path | None:
        """Finds the folder of an experiment's artifacts; None where they are not on this machine's disks."""
        return self._place(self._stored.experiment(experiment_id))

    def is_in_place(self, run: TrackedRun) -> bool:
        """Checks whether a run's artifacts are where its experiment's are. Those of a study that this one was copied
        from without them are only read."""
        if run.artifact_folder is None:
            return True
        return Path(run.artifact_folder).parent.parent == self.artifact_folder(run.experiment_id)

    def check_place(self, experiment: str) -> None:
        """Raises CogxError where the artifacts of an experiment, which need not exist yet, are on a disk that is not
        mounted: its finished runs would count as lost, and new files would go below the mount point."""
        found = self._stored.experiment_named(experiment)
        if found is not None:
            check_location(experiment, found.location, sqlite_path(self.uri))
        is_kept_by_server = found is None and is_server(self.uri)
        place = Path(ARTIFACTS).absolute() if found is None else self._place(found)
        if place is not None and not is_kept_by_server:
            self.require_disk(place)

    def require_disk(self, place: Path) -> None:
        """Raises StoreError where the disk of a folder is not mounted on which runs of the store have files."""
        missing = missing_disk(place)
        if missing is None:
            return
        folders = [Path(run.artifact_folder) for run in self.runs() if run.artifact_folder and expected_artifacts(run)]
        kept = sum(folder.is_relative_to(missing) for folder in folders)
        if kept:
            what = f"links to {missing.readlink()}, which is not there" if missing.is_symlink() else "is empty"
            raise StoreError(
                f"{missing}: {what}, and {count(kept, 'run')} {'has' if kept == 1 else 'have'} files in it; mount its "
                "disk; if they are gone for good, remove it, and finished cells are made again"
            )

    def _place(self, experiment: StoredExperiment) -> Path | None:
        """Finds the folder of an experiment's artifacts; None where they are not on this machine's disks."""
        return path_of(self._locations.experiments.get(experiment.experiment_id, experiment.location))

    def created_ms(self, experiment_id: str) -> int:
        """Reads the creation time of an experiment, in ms since 1970."""
        return self._stored.experiment(experiment_id).created_ms

    def find_report(self, experiment_id: str) -> str | None:
        """Finds the id of the run that keeps an experiment's report; None where there is none."""
        return self._find(experiment_id, {tags.KIND: tags.REPORT_KIND})

    def find_overview(self, experiment_id: str) -> TrackedRun | None:
        """Finds the run that keeps an experiment's overview; None where there is none."""
        query = RunQuery(experiment_ids=[experiment_id], tags={tags.KIND: tags.OVERVIEW_KIND})
        return next(self._tracked({experiment_id: ""}, query), None)

    def _find(self, experiment_id: str, about: Mapping[str, str]) -> str | None:
        found = next(self._stored.runs(RunQuery(experiment_ids=[experiment_id], tags=about)), None)
        return None if found is None else found.run_id

    def series(self, run: TrackedRun) -> dict[str, list[float]]:
        """Reads the metrics of a run by frame or step; the later value of a step that was written twice."""
        found = {}
        for key in run.series:
            by_step = {point.step: point.value for point in self._stored.points(run.run_id, key)}
            found[key] = [by_step[step] for step in sorted(by_step)]
        return found

    def runs(self, experiments: Sequence[str] | None = None, finished_only: bool = False) -> Iterator[TrackedRun]:
        """Reads the runs of the named experiments, or of all, newest first."""
        names = self._names() if experiments is None else {self.experiment_id(name): name for name in experiments}
        state = RunState.FINISHED if finished_only else None
        yield from self._tracked(names, RunQuery(experiment_ids=list(names), tags=OF_CELLS, state=state))

    def runs_again(self, name: str, known: Iterable[TrackedRun], ended_since_ms: int) -> list[TrackedRun]:
        """Reads the runs of an experiment, newest first, given those that are `known`: anew are read those that are
        open, those that were, and those that have ended since, in ms since 1970. What was changed of others, as by
        `rescore`, or deleted, is not seen."""
        experiment_id = self.experiment_id(name)
        names, about = {experiment_id: name}, [experiment_id]
        found = {run.run_id: run for run in known}
        was_open = {run.run_id for run in found.values() if run.state is RunState.RUNNING}
        for query in (
            RunQuery(experiment_ids=about, tags=OF_CELLS, state=RunState.RUNNING),
            RunQuery(experiment_ids=about, tags=OF_CELLS, ended_since_ms=ended_since_ms),
        ):
            read = {run.run_id: run for run in self._tracked(names, query)}
            found |= read
            was_open -= read.keys()
        for run_id in was_open:  # ended at an earlier time that was recorded, or deleted
            found.pop(run_id)
            again = self._stored.run(run_id)
            if not again.is_deleted:
                found[run_id] = self._tracked_run(again, name)
        return sorted(found.values(), key=lambda run: (-run.start_time_ms, run.run_id))

    def rows(self, experiments: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Reads each run flat: `run_id`, `run_name`, `experiment`, `status`, `start_time` (ms), `video`, `params.*`,
        ..."""
        for run in self.runs(experiments):
            yield {
                columns.RUN_ID: run.run_id,
                columns.RUN_NAME: run.name,
                columns.EXPERIMENT: run.experiment,
                columns.STATUS: run.state.value,
                columns.START_TIME: run.start_time_ms,
                columns.VIDEO_FILE: run.video,
                **{columns.param_column(key): value for key, value in run.params.items()},
                **{columns.metric_column(key): value for key, value in run.metrics.items()},
                **{columns.tag_column(key): value for key, value in run.tags.items() if _is_shown(key)},
            }

    def history(self) -> list[TrackedRun]:
        """Reads every run of the store, newest first."""
        return list(self.runs())

    def recorded(self) -> Iterator[RecordedRun]:
        """Reads all runs of all experiments, of any kind, deleted ones too."""
        names = {found.experiment_id: found.name for found in self._stored.experiments()}
        for run in self._stored.runs(RunQuery(experiment_ids=list(names), with_deleted=True)):
            yield RecordedRun(self._tracked_run(run, names[run.experiment_id]), self._location(run), run.is_deleted)

    def locations(self) -> dict[str, str]:
        """Reads where the artifacts of each sweep's experiment are, also of a deleted one, by its name."""
        found = (experiment for experiment in self._stored.experiments() if tags.SWEEP_FILE in experiment.tags)
        return {
            experiment.name: self._locations.experiments.get(experiment.experiment_id, experiment.location)
            for experiment in found
        }

    def begun_ms(self) -> int:
        """Reads when the store's first experiment was created, in ms since 1970."""
        return min(experiment.created_ms for experiment in self._stored.experiments())

    def find_finished(self, output_hash: str) -> TrackedRun | None:
        """Finds a finished run of any experiment with this output hash that has its files; a generated one before a
        reused one."""
        names = self._names()
        about = OF_CELLS | {tags.OUTPUT_HASH: output_hash}
        query = RunQuery(experiment_ids=list(names), tags=about, state=RunState.FINISHED)
        whole = filter(is_whole, self._tracked(names, query))
        return min(whole, key=lambda run: (not has_latents(run), run.is_copy), default=None)

    def runs_of_cell(self, experiment_id: str, spec: Claimable) -> Iterator[TrackedRun]:
        """Reads the runs of a cell in its sweep's experiment, newest first."""
        return self._tracked({experiment_id: spec.sweep}, _of_cell(experiment_id, spec.output_hash))

    def runs_with_output(self, experiment_id: str, output_hash: str) -> Iterator[TrackedRun]:
        """Reads the runs of an experiment with this output hash, newest first; the experiment's name is not read."""
        return self._tracked({experiment_id: ""}, _of_cell(experiment_id, output_hash))

    def run(self, run_id: str, experiment: str) -> TrackedRun:
        """Reads one run, given the name of its experiment."""
        return self._tracked_run(self._stored.run(run_id), experiment)

    def is_open_for(self, run_id: str, cell_id: str) -> bool:
        """Checks whether a run is open, and claimed with this entry of the spool. Raises StoreError for one that was
        deleted."""
        found = self._stored.run(run_id)
        if found.is_deleted:
            raise StoreError(f"run {run_id} was deleted in MLflow; `mlflow runs restore --run-id {run_id}` restores it")
        return found.state is RunState.RUNNING and found.tags.get(tags.PROCESS_CELL, cell_id) == cell_id

    def require_experiment(self, experiment_id: str, name: str) -> None:
        """Raises StoreError where an experiment of this id has another name, as in a store that was begun anew."""
        found = self._stored.experiment(experiment_id).name
        if found != name:
            raise StoreError(f"experiment {experiment_id} is {found!r} here, not {name!r}: this is another store")

    def has_run(self, run_id: str) -> bool:
        """Checks whether the store has a run with this id."""
        try:
            self.is_open_for(run_id, "")
        except StoreUnavailableError:
            raise
        except StoreError:
            return False
        return True

    def run_of_entry(self, experiment_id: str, cell_id: str) -> str | None:
        """Finds the id of the run that was created for an entry of the spool; None where there is none."""
        return self._find(experiment_id, {tags.PROCESS_CELL: cell_id})

    def open_runs(
        self, experiment_ids: Sequence[str] | None = None, about: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[TrackedRun]:
        """Reads the runs of these experiments, or of all, that have not ended and have these tags, newest first; a
        deleted experiment has none."""
        names = self._names()
        if experiment_ids is not None:
            names = {experiment_id: name for experiment_id, name in names.items() if experiment_id in experiment_ids}
        query = RunQuery(experiment_ids=list(names), tags={**OF_CELLS, **about}, state=RunState.RUNNING)
        return self._tracked(names, query)

    def last_run(self, experiment_id: str, spec: RunSpec) -> TrackedRun | None:
        """Finds a cell's finished run in its sweep's experiment that has its files, else its latest; None where it has
        no run."""
        found = self.runs_of_cell(experiment_id, spec)
        return min(found, key=lambda run: (not is_whole(run), -run.start_time_ms), default=None)

    def find_latents(self, signature: str) -> list[TrackedRun]:
        """Finds the runs of any experiment that keep the latents of this signature, in any state; the one that denoised
        them first."""
        names = self._names()
        about = OF_CELLS | {tags.SIGNATURE: signature, tags.LATENTS: tags.LATENTS_KEPT}
        found = list(self._tracked(names, RunQuery(experiment_ids=list(names), tags=about)))
        return [run for run in reversed(found) if has_latents(run)]

    def download(self, run_id: str, artifact: str, folder: Path) -> Path:
        """Copies an artifact, or with `""` all of them, into `folder`.

        Raises StoreError where it cannot be read, DamagedArtifactError where it is not what was logged; the copy is
        removed then.
        """
        return self.download_each(run_id, [artifact], folder)[0]

    def download_each(self, run_id: str, artifacts: Sequence[str], folder: Path) -> list[Path]:
        """Copies several artifacts of one run, each as `download` does."""
        folder.mkdir(parents=True, exist_ok=True)
        with _reading(run_id, artifacts[0]):
            run = self._stored.run(run_id)
            repository = self._api.artifacts(self._location(run))
        logged = read_digests(run.tags.get(tags.DIGESTS, "{}"))
        return [self._download(run_id, repository, artifact, folder, logged) for artifact in artifacts]

    def _download(
        self, run_id: str, repository: "ArtifactRepository", artifact: str, folder: Path, logged: Digests
    ) -> Path:
        with _reading(run_id, artifact):
            path = Path(self._api.call(partial(repository.download_artifacts, artifact, str(folder))))
        for name, expected in logged.items():
            if name == artifact:
                _check(run_id, name, path, expected)
            elif not artifact or name.startswith(f"{artifact}/"):
                _check(run_id, name, path / name.removeprefix(f"{artifact}/"), expected)
        return path

    def _names(self) -> dict[str, str]:
        """Reads the name of each experiment, by its id."""
        return {found.experiment_id: found.name for found in self._stored.experiments() if not found.is_deleted}

    def _tracked(self, names: Mapping[str, str], query: RunQuery) -> Iterator[TrackedRun]:
        """Reads the runs that the query finds, newest first, given the names of their experiments by id."""
        for run in self._stored.runs(query):
            yield self._tracked_run(run, names[run.experiment_id])

    def _tracked_run(self, run: StoredRun, experiment: str) -> TrackedRun:
        return TrackedRun(
            run_id=run.run_id,
            name=run.name,
            experiment=experiment,
            experiment_id=run.experiment_id,
            state=run.state,
            start_time_ms=run.start_time_ms,
            params=run.params,
            metrics={key: value for key, value in run.metrics.items() if not is_series(key)},
            series=tuple(key for key in run.metrics if is_series(key)),
            tags=run.tags,
            artifact_folder=self._artifact_folder(run),
        )

    def _location(self, run: StoredRun) -> str:
        return self._locations.runs.get(run.run_id, run.location)

    def _artifact_folder(self, run: StoredRun) -> str | None:
        """Finds the folder of a run's artifacts. A path that another host wrote into a shared store is one of its own
        disks."""
        is_seen = self._is_file or run.tags.get(tags.PROCESS_HOST) == self._host
        folder = path_of(self._location(run)) if is_seen else None
        return None if folder is None else str(folder)


@contextmanager
def _reading(run_id: str, artifact: str) -> Iterator[None]:
    """Names the artifact in what the store refuses."""
    try:
        yield
    except StoreUnavailableError:
        raise
    except StoreError as error:
        raise StoreError(f"run {run_id}: artifact {artifact or 'folder'} cannot be read: {error}") from error


def _check(run_id: str, name: str, file: Path, expected: Digest) -> None:
    """Raises DamagedArtifactError, and removes the copy, where a file is not what was logged."""
    what = damage(file, expected)
    if what is not None:
        file.unlink(missing_ok=True)
        raise DamagedArtifactError(f"run {run_id}: artifact {name} cannot be read: it is {what}")


def _of_cell(experiment_id: str, output_hash: str) -> RunQuery:
    return RunQuery(experiment_ids=[experiment_id], tags=OF_CELLS | {tags.OUTPUT_HASH: output_hash})


def _is_shown(tag: str) -> bool:
    return tag.startswith(tags.PREFIX) and tag != tags.DIGESTS


def is_series(metric: str) -> bool:
    """Checks whether a metric has a value for each frame or step; MLflow's listing has only the last of them."""
    return metric.startswith("by_")
