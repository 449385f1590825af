"""Imports: scores videos that other programs made, and tracks each as a finished run."""

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cogx_runs.dashboard.board import show
from cogx_runs.dashboard.notes import shown_tags
from cogx_runs.dashboard.pictures import write_pictures
from cogx_runs.dashboard.view import RunFilter
from cogx_runs.definitions.parameters import OF_VIDEO, Parameters
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import InputError, Mistake
from cogx_runs.importing.candidates import Candidate, left_out, named_videos
from cogx_runs.importing.checking import check_videos
from cogx_runs.importing.naming import name_pattern, read_old_layout
from cogx_runs.importing.table import read_table
from cogx_runs.metrics.degenerate import judge_frames, measure_frames
from cogx_runs.metrics.registry import titles
from cogx_runs.metrics.scoring import Scorer
from cogx_runs.metrics.subject import Subject
from cogx_runs.system.disk import check_disk, state_directory
from cogx_runs.tracking import artifacts, tags
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.delivery import Delivery, deliver_left_behind, telling_what_is_kept
from cogx_runs.tracking.lost import is_whole
from cogx_runs.tracking.record import (
    degenerate_tags,
    frame_series,
    identities,
    missing_tags,
    score_tags,
    write_cards,
    write_failures,
)
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.spool import SpooledRun, spooled_run
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import read_mp4

_EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class ImportedVideo:
    """One video and its run."""

    file: Path
    run_id: str
    run_name: str
    metrics: Mapping[str, float]
    is_new: bool
    """Whether it was imported by this call; one that was imported before is left as it is."""


def import_videos(
    folder: str | Path,
    *,
    name: str | None = None,
    pattern: str | None = None,
    table: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    tracking_uri: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[ImportedVideo]:
    """Scores the mp4 files of a folder by the metrics of every cell, and tracks each as a finished run.

    Its experiment is `name`, by default called as the folder. A file is imported once, by its bytes.

    Parameters come from the files' names, as `export` writes them or by `pattern`, or from the columns of `table`, a
    CSV; from `overrides`, which hold for all; and from the frames themselves. What is not known is not recorded. Times
    and memory are never: no estimate, comparison or plan takes an imported run for a cell.

    Raises InputError naming every mistake before anything is written, CogxError for a folder without videos.
    """
    folder = Path(folder)
    experiment = folder.absolute().name if name is None else name
    if not _EXPERIMENT.fullmatch(experiment):
        raise InputError.single(
            f"--name {experiment}", "must be letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
    if pattern is not None and table is not None:
        raise InputError.single("--pattern", "a table says what the names would; give one of them")
    rows = (
        named_videos(folder, name_pattern(pattern) if pattern else read_old_layout)
        if table is None
        else read_table(Path(table))
    )
    videos = check_videos(folder, rows, experiment, overrides or {}, PromptLibrary.find(prompts))
    for file in left_out(folder, rows):
        report(f"{file}: is not in {table}, and is left out")
    store = RunStore(tracking_uri)
    known = _known(store, experiment)
    _check_known(videos, known)
    found = {
        video.sha256: ImportedVideo(video.path, run.run_id, run.name, run.metrics, is_new=False)
        for video in videos
        if (run := known.get(video.sha256)) is not None
    }
    new = [video for video in videos if video.sha256 not in found]
    if new:
        with telling_what_is_kept(store.uri):
            for video, imported in zip(new, _Importer(store, new, folder, report).run(), strict=True):
                found[video.sha256] = imported
        show(store, experiment, RunFilter())
    return [found[video.sha256] for video in videos]


class _Importer:
    """Imports videos that an experiment lacks."""

    def __init__(
        self, store: RunStore, videos: Sequence[Candidate], folder: Path, report: Callable[[str], None]
    ) -> None:
        """Loads the metrics. Raises CogxError for a CLIP's name or file that cannot be right."""
        self._store = store
        self._videos = videos
        self._folder = folder
        self._report = report
        self._delivery = Delivery(store)
        names = dict.fromkeys(str(video.known["clip_model"]) for video in videos)
        self._scorers = {name: Scorer(name) for name in names}
        for reason, missing in (item for scorer in self._scorers.values() for item in scorer.reasons.items()):
            report(f"no {titles(missing)}: {reason}; `cogx-runs rescore` adds what is missing")

    def run(self) -> list[ImportedVideo]:
        """Imports the videos in turn. One that another process is at is left to it."""
        self._store.check_writable()
        with Claims(self._store) as claims:
            experiment_id = self._open_experiment()
            for delivered in deliver_left_behind(self._store):
                self._report(f"delivered {delivered.name}, which an earlier process left in the spool")
            claims.end_stale_runs([experiment_id])
            imported = []
            for number, video in enumerate(self._videos, start=1):
                self._report(f"{number}/{len(self._videos)} {video.path.name}")
                imported.append(self._import(video, claims, experiment_id))
        return imported

    def _open_experiment(self) -> str:
        """Opens the experiment; one that sweeps have too keeps its question, and gets the new axes."""
        video = self._videos[0]
        about = {}
        if video.sweep in self._store.experiment_names():
            about = self._store.experiment_tags(self._store.experiment_id(video.sweep))
        given: dict[str, dict[Any, None]] = {}
        for one in self._videos:
            for name, value in one.given.items():
                given.setdefault(name, {})[value] = None
        return self._store.open_experiment(
            Sweep(
                name=video.sweep,
                file=about.get(tags.SWEEP_FILE, str(self._folder)),
                description=about.get(tags.QUESTION, f"Videos imported from {self._folder.name}."),
                prompts=tuple(dict.fromkeys(one.prompt_name for one in self._videos)),
                base=Parameters(),
                axes={name: tuple(values) for name, values in given.items() if name in OF_VIDEO and len(values) > 1},
                vary="grid",
            )
        )

    def _import(self, video: Candidate, claims: Claims, experiment_id: str) -> ImportedVideo:
        check_disk(state_directory())
        about = {tags.IMPORTED_FROM: video.path.name, tags.IMPORTED_SHA256: video.sha256}
        claim = claims.claim(experiment_id, video, about)
        if claim is None:
            run = next(self._store.runs_of_cell(experiment_id, video))
            self._report(f"{video.path.name}: is imported by another process")
            return ImportedVideo(video.path, run.run_id, run.name, run.metrics, is_new=False)
        spooled = spooled_run(claims.holder, claim.cell_id)
        try:
            metrics, about, series = self._score(video, spooled.files, claim.run_id)
            run_id = self._delivery.end(spooled, video.params, metrics, about, series=series)
            self._require_delivered(spooled)
        finally:
            spooled.close()
        return ImportedVideo(video.path, run_id, video.run_name, metrics, is_new=True)

    def _require_delivered(self, spooled: SpooledRun) -> None:
        """Raises StoreUnavailableError where the store did not take a run: the next ones would wait in vain too."""
        if spooled.is_dear:
            self._delivery.deliver(spooled)

    def _score(
        self, video: Candidate, folder: Path, run_id: str
    ) -> tuple[dict[str, float], dict[str, str], dict[str, Sequence[float]]]:
        """Writes a video's artifacts into `folder`, and measures it; returns metrics, tags and values by frame."""
        shutil.copyfile(video.path, folder / artifacts.VIDEO)
        frames = read_mp4(folder / artifacts.VIDEO)
        write_pictures(frames, video.known["fps"], folder)
        _write_definition(video, folder)
        clip_model = video.known["clip_model"]
        subject = Subject(frames, video.prompt, clip_model, video.known["fps"])
        scorer = self._scorers[clip_model]
        scores = scorer.score(subject)
        metrics = {**video.axis_metrics, **scores.values, "file_size_bytes": float(video.path.stat().st_size)}
        definitions = identities(metrics, clip_model)
        write_failures(folder, scores.failures)
        write_cards(folder, definitions, scores.measured)
        about = score_tags(scores.measured) | missing_tags(scorer.unavailable | scores.reasons)
        about |= {tags.metric_tag(metric, "decoded_as"): tags.OF_ITS_MP4 for metric in scores.measured}
        about[tags.DEFINITIONS] = json.dumps(definitions)
        degenerate = judge_frames(measure_frames(frames, subject.changes))
        if degenerate is not None:
            about |= degenerate_tags(degenerate.kind, degenerate.reason)
            self._report(f"{video.path.name}: degenerate: {degenerate.kind} ({degenerate.reason})")
        what = f"{video.run_name}: imported from {video.path.name}, made by another program; its time and memory are "
        what += f"not known. {len(frames)} frames, {video.known['model']}, in {video.sweep}."
        about |= shown_tags(what, video.prompt, run_id, folder, metrics, about)
        return metrics, about, {"by_frame.change": subject.changes.tolist(), **frame_series(scores.measured)}


def _known(store: RunStore, experiment: str) -> dict[str, TrackedRun]:
    """The imported runs of an experiment that are finished and have their files, by the SHA-256 of what came in."""
    if experiment not in store.experiment_names():
        return {}
    runs = store.runs([experiment], finished_only=True)
    whole = filter(is_whole, runs)
    return {sha256: run for run in whole if (sha256 := run.tags.get(tags.IMPORTED_SHA256)) is not None}


def _check_known(videos: Sequence[Candidate], known: Mapping[str, TrackedRun]) -> None:
    """Raises InputError for videos that were imported before with other values than they are given."""
    mistakes = []
    for video in videos:
        run = known.get(video.sha256)
        if run is None:
            continue
        now = {name: str(value) for name, value in video.params.items()}
        names = sorted(name for name in now.keys() | run.params.keys() if now.get(name) != run.params.get(name))
        changes = [f"{name} {run.params.get(name, 'unknown')}, not {now.get(name, 'unknown')}" for name in names]
        if run.prompt != video.prompt[: len(run.prompt)]:
            changes.append("another prompt")
        if changes:
            message = f"is imported already with {'; '.join(changes)}; delete its run {run.run_id} first"
            mistakes.append(Mistake(video.path.name, message))
    if mistakes:
        raise InputError(mistakes)


def _write_definition(video: Candidate, folder: Path) -> None:
    """Writes the prompt and what is known of a video as artifacts."""
    (folder / artifacts.PROMPT).write_text(video.prompt + "\n", encoding="utf-8")
    definition = {"imported_from": video.path.name, "sha256": video.sha256, "prompt": video.prompt, **video.params}
    text = yaml.safe_dump(definition, sort_keys=False, allow_unicode=True)
    (folder / artifacts.CONFIG).write_text(text, encoding="utf-8")
