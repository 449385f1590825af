"""Cells completed: their frames encoded, shown, scored and tracked, or all of it taken over from another run."""

import json
import time
from collections.abc import Mapping
from threading import Lock

from cogx_runs.dashboard.notes import run_tags
from cogx_runs.dashboard.pictures import write_pictures
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.execution.inference import TAGS_OF_THE_LATENTS, Cell, Made
from cogx_runs.execution.outcomes import Outcome, Reporter
from cogx_runs.execution.session import Workbench
from cogx_runs.metrics.degenerate import judge_frames, measure_frames
from cogx_runs.metrics.registry import cards, titles
from cogx_runs.metrics.scoring import by_reason
from cogx_runs.metrics.subject import Subject
from cogx_runs.planning.plan import Plan
from cogx_runs.tracking.artifacts import CONTACT_SHEET, IMAGES, LATENTS, METRIC_CARDS, METRIC_ERRORS, VIDEO
from cogx_runs.tracking.record import (
    beginning_with,
    degenerate_tags,
    frame_series,
    identities,
    missing_tags,
    params,
    score_tags,
    spec_metrics,
    write_cards,
    write_failures,
)
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import DEFINITIONS
from cogx_runs.video import write_mp4

PHASES = ("encode_text_s", "denoise_s", "decode_s", "encode_video_s")
"""The phases of a run; its `wall_time_s` is their sum."""
_KEPT_ARTIFACTS = (VIDEO, CONTACT_SHEET, METRIC_CARDS, IMAGES, LATENTS)
"""Artifacts that a reused cell takes over."""


class Completer:
    """Completes the cells of one plan, in whichever thread it is called."""

    def __init__(self, bench: Workbench, plan: Plan, store: RunStore, reporter: Reporter) -> None:
        self._bench = bench
        self._plan = plan
        self._store = store
        self._report = reporter
        self._telling = Lock()
        self._told: set[tuple[str, str]] = set()
        """Metrics that failed, and why."""

    def complete(self, cell: Cell, made: Made) -> Outcome:
        """Encode, score and track a cell whose frames are there."""
        write_started = time.perf_counter()
        write_mp4(made.frames, cell.folder / VIDEO, cell.spec.fps, cell.spec.video_quality)
        measured = made.measured | {"encode_video_s": time.perf_counter() - write_started}
        write_pictures(made.frames, cell.spec.fps, cell.folder)
        metrics = measured | spec_metrics(cell.spec)
        metrics["wall_time_s"] = sum(measured[phase] for phase in PHASES)
        metrics["file_size_bytes"] = (cell.folder / VIDEO).stat().st_size
        subject = Subject(made.frames, cell.spec.prompt, cell.spec.clip_model)
        scorer = self._bench.scorer(cell.spec.clip_model)
        scores = scorer.score(subject)
        metrics |= scores.values
        series = {**made.series, "by_frame.change": subject.changes.tolist(), **frame_series(scores.measured)}
        tags = made.tags | score_tags(scores.measured) | missing_tags(scorer.unavailable | scores.reasons)
        write_failures(cell.folder, scores.failures)
        self._tell(scores.reasons)
        meant = identities(metrics, cell.spec.clip_model)
        tags[DEFINITIONS] = json.dumps(meant)
        write_cards(cell.folder, meant, scores.measured)
        weights_sha256 = self._bench.loader.weights_sha256(self._plan.cards[cell.spec.model_key])
        if weights_sha256 is not None:
            tags = tags | {"cogx.env.model_weights_sha256": weights_sha256}
        tags = tags | self._judged(cell.spec, subject)
        if made.latents_kept is not None:
            made.latents_kept.result()
        tags = tags | run_tags(cell.spec, cell.run_id, cell.folder, metrics, tags)
        self._store.finish(cell.run_id, cell.folder, made.params, metrics, tags, series=series)
        return Outcome(cell.spec, "finished", cell.run_id, metrics)

    def take_over(self, cell: Cell) -> Outcome | None:
        """Give a cell all that a finished run of it elsewhere has; None where there is none with its files."""
        made = self._store.find_finished(cell.spec.output_hash)
        if made is None:
            return None
        self._report.phase("taking over")
        try:
            for name in _KEPT_ARTIFACTS:
                self._store.download(made.run_id, name, cell.folder)
        except CogxError as error:
            self._report.note(f"{cell.spec.run_name}: made again, since {error}")
            return None
        metrics = {key: value for key, value in made.metrics.items() if not key.startswith("axis.")}
        metrics |= spec_metrics(cell.spec)
        of_scores = tuple(f"cogx.{name}." for name in cards())
        tags = beginning_with(made.tags, (*TAGS_OF_THE_LATENTS, DEFINITIONS, "cogx.degenerate", *of_scores))
        tags["cogx.reused_from"] = made.tags.get("cogx.reused_from", made.run_id)
        self._store.finish(
            cell.run_id,
            cell.folder,
            params(cell.spec) | _measured_on(made.params),
            metrics,
            tags | run_tags(cell.spec, cell.run_id, cell.folder, metrics, tags),
            series=self._store.series(made),
        )
        return Outcome(cell.spec, "reused", cell.run_id, metrics)

    def _tell(self, reasons: Mapping[str, str]) -> None:
        """Tell the reporter why metrics failed, once of each metric and reason."""
        with self._telling:
            new = {name: reason for name, reason in reasons.items() if (name, reason) not in self._told}
            self._told |= new.items()
        for reason, names in by_reason(new).items():
            self._report.note(
                f"no {titles(names)}: {reason}; the runs finish without, {METRIC_ERRORS} says where it was raised, and "
                "`cogx-runs rescore` tries it again"
            )

    def _judged(self, spec: RunSpec, subject: Subject) -> dict[str, str]:
        """The tags that say what degenerate frames are, the reporter told; empty for all others."""
        found = judge_frames(measure_frames(subject.frames, subject.changes))
        if found is None:
            return {}
        self._report.note(f"{spec.run_name}: degenerate: {found.kind} ({found.reason})")
        return degenerate_tags(found.kind, found.reason)


def _measured_on(params: Mapping[str, str]) -> dict[str, str]:
    """Where a reused run's figures were measured, which is not where this sweep would have run it."""
    return {name: params[name] for name in ("device", "placement")}
