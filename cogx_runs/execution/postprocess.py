"""Cells completed: their frames encoded, shown, scored and tracked, or all of it copied from a finished run."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

from cogx_runs.dashboard.notes import run_tags
from cogx_runs.dashboard.pictures import write_pictures
from cogx_runs.definitions.spec import MACHINE_FIELDS, RunSpec
from cogx_runs.errors import StoreError
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.inference import TAGS_OF_LATENTS, GeneratedVideo
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.execution.session import Session
from cogx_runs.metrics.degenerate import judge_frames, measure_frames
from cogx_runs.metrics.registry import EXTRAS, cards, titles
from cogx_runs.metrics.scoring import by_reason
from cogx_runs.metrics.subject import Subject
from cogx_runs.models.cards import ModelCard
from cogx_runs.progress import Progress
from cogx_runs.tracking import artifacts, columns, tags
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.record import (
    degenerate_tags,
    frame_series,
    identities,
    missing_tags,
    params,
    score_tags,
    spec_metrics,
    with_prefixes,
    write_cards,
    write_failures,
)
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.store import RunStore, Series
from cogx_runs.video import Frames, write_mp4

PHASES = ("encode_text_s", "denoise_s", "decode_s", "encode_video_s")
"""The phases of a run; its `wall_time_s` is their sum."""
_COPIED_ARTIFACTS = (
    artifacts.VIDEO, artifacts.CONTACT_SHEET, artifacts.METRIC_CARDS, artifacts.IMAGES, artifacts.LATENTS,
)  # fmt: skip
"""What a reused cell has of the run that it is a copy of."""


class PostprocessStage:
    """Completes cells, in whichever thread it is called."""

    def __init__(
        self,
        session: Session,
        store: RunStore,
        delivery: Delivery,
        *,
        write_mp4: Callable[[Frames, Path, int, float], None] = write_mp4,
        write_pictures: Callable[[Frames, int, Path], None] = write_pictures,
    ) -> None:
        self._session = session
        self._store = store
        self._delivery = delivery
        self._write_mp4 = write_mp4
        self._write_pictures = write_pictures
        self._noting = Lock()
        self._noted: set[tuple[str, str]] = set()
        """Metrics that failed, and why."""

    def forget_notes(self) -> None:
        """Has a metric that fails noted again, once, as at the beginning of a plan."""
        with self._noting:
            self._noted.clear()

    def run(self, cell: ClaimedCell, card: ModelCard, video: GeneratedVideo, progress: Progress) -> Outcome:
        """Encodes, scores and logs a cell whose frames are there."""
        spec = cell.spec
        folder = cell.spooled.files
        file = folder / artifacts.VIDEO
        write_started = time.perf_counter()
        self._write_mp4(video.frames, file, spec.fps, spec.video_quality)
        measured = video.measured | {"encode_video_s": time.perf_counter() - write_started}
        self._write_pictures(video.frames, spec.fps, folder)
        metrics = measured | spec_metrics(spec)
        metrics["wall_time_s"] = sum(measured[phase] for phase in PHASES)
        metrics["file_size_bytes"] = file.stat().st_size
        subject = Subject(video.frames, spec.prompt, spec.clip_model, spec.fps)
        scorer = self._session.scorer(spec, progress)
        scores = scorer.score(subject, file)
        metrics |= scores.values
        series = {**video.series, "by_frame.change": subject.changes.tolist(), **frame_series(scores.measured)}
        about = video.tags | score_tags(scores.measured) | missing_tags(scorer.unavailable | scores.reasons)
        write_failures(folder, scores.failures)
        self._note(scores.reasons, progress)
        definitions = identities(metrics, spec.clip_model)
        about[tags.DEFINITIONS] = json.dumps(definitions)
        write_cards(folder, definitions, scores.measured)
        weights_sha256 = self._session.loader.weights_sha256(card)
        if weights_sha256 is not None:
            about[tags.MODEL_WEIGHTS_SHA256] = weights_sha256
        about |= _degenerate(spec, subject, progress)
        if video.latents_kept is not None:
            about |= video.latents_kept.result()
        about |= run_tags(spec, cell.run_id, folder, metrics, about)
        run_id = self._delivery.end(cell.spooled, video.params, metrics, about, series=series)
        return Outcome(spec, OutcomeStatus.FINISHED, run_id, metrics, beside=about.get(tags.BESIDE))

    def copy_files(self, finished: TrackedRun, cell: ClaimedCell, progress: Progress) -> Series | None:
        """Gives a cell the files of a finished run of it, and returns that run's values by step; None where they cannot
        be read."""
        folder = cell.spooled.files
        progress.phase("copying")
        copied = [*_COPIED_ARTIFACTS, *({artifacts.VIDEO_LARGE} & finished.digests.keys())]
        try:
            self._store.download_each(finished.run_id, copied, folder)
            return self._store.series(finished)
        except StoreError as error:
            for name in copied:  # nothing of it is logged with the video that is made instead
                _remove(folder / name)
            progress.note(f"{cell.spec.run_name}: made again, since {error}")
            return None

    def copy(self, finished: TrackedRun, series: Series, cell: ClaimedCell) -> Outcome:
        """Tracks a cell that has the files of a finished run with that run's figures."""
        spec = cell.spec
        metrics = {key: value for key, value in finished.metrics.items() if not key.startswith(columns.AXIS)}
        metrics |= spec_metrics(spec)
        of_scores = tuple(f"{tags.PREFIX}{name}." for name in (*cards(), *EXTRAS))
        about = with_prefixes(finished.tags, (*TAGS_OF_LATENTS, tags.DEFINITIONS, tags.DEGENERATE, *of_scores))
        about[tags.REUSED_FROM] = finished.tags.get(tags.REUSED_FROM, finished.run_id)
        about |= run_tags(spec, cell.run_id, cell.spooled.files, metrics, about)
        # Where the figures were measured, which is not where this sweep would have run the cell.
        measured_on = {name: finished.params[name] for name in MACHINE_FIELDS}
        run_id = self._delivery.end(cell.spooled, params(spec) | measured_on, metrics, about, series=series)
        return Outcome(spec, OutcomeStatus.REUSED, run_id, metrics, beside=finished.beside)

    def _note(self, reasons: Mapping[str, str], progress: Progress) -> None:
        """Notes why metrics failed, once of each metric and reason."""
        with self._noting:
            new = {name: reason for name, reason in reasons.items() if (name, reason) not in self._noted}
            self._noted |= new.items()
        for reason, names in by_reason(new).items():
            progress.note(
                f"no {titles(names)}: {reason}; the runs finish without, {artifacts.METRIC_ERRORS} says where it was "
                "raised, and `cogx-runs rescore` tries it again"
            )


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _degenerate(spec: RunSpec, subject: Subject, progress: Progress) -> dict[str, str]:
    """The tags that say what degenerate frames are, with a note of it; empty for all others."""
    found = judge_frames(measure_frames(subject.frames, subject.changes))
    if found is None:
        return {}
    progress.note(f"{spec.run_name}: degenerate: {found.kind} ({found.reason})")
    return degenerate_tags(found.kind, found.reason)
