"""Finished runs are given the metrics that they lack."""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cogx_runs.dashboard.board import show
from cogx_runs.dashboard.view import RunFilter
from cogx_runs.errors import CogxError, WeightsUnavailableError, first_line
from cogx_runs.metrics.failure import Attempt
from cogx_runs.metrics.registry import metrics
from cogx_runs.metrics.scoring import Scores, by_reason
from cogx_runs.planning.cells import resolve_clip
from cogx_runs.rescore.decoder import Decoder
from cogx_runs.rescore.missing import MissingMetric, lacking, present_output_hash, reference_values, settings
from cogx_runs.tracking.artifacts import METRIC_CARDS
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.record import (
    frame_series,
    missing_tags,
    score_tags,
    write_cards,
    write_failures,
)
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import DEFINITIONS, OUTPUT_HASH, of_metric


@dataclass(frozen=True)
class Rescored:
    """What became of one run that has changed, or that should have. One with neither values nor problems was only
    brought up to date: it needs no value that it has not."""

    run_id: str
    run_name: str
    values: Mapping[str, float]
    """New ones, by metric."""
    failed: Mapping[str, str]
    """Why a metric has no value that should have one."""
    undecoded: str | None = None
    """Why its video could not be decoded, or that of its reference."""

    @property
    def problems(self) -> list[str]:
        """What failed and why: `no sharpness, motion_magnitude: ValueError: empty`."""
        told = [f"no {', '.join(names)}: {reason}" for reason, names in by_reason(self.failed).items()]
        return told if self.undecoded is None else [*told, self.undecoded]


def rescore_runs(
    sweep: str,
    *,
    clip_model: str | None = None,
    reference: Mapping[str, Any] | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Rescored]:
    """Give the finished runs of a sweep the metrics that they lack; nothing is denoised. A run is written to only where
    something of it changes. A metric that raises is missing with the reason, and the others go on.

    Without `clip_model` those are all metrics of single videos, by the CLIP that each run names. With it they are the
    score of that CLIP, a metric of its own such as `clip_score.ViT-L-14:openai`. With `reference`, values of parameters
    such as `{"num_inference_steps": 50}`, each run is also compared with the one that has them and shares all else, its
    seed too: metrics of their own, such as `psnr.num_inference_steps_50`. The frames come from the kept latents,
    decoded on `device` as the run decoded them; what a GPU decoded in half precision is decoded in float32 on a CPU,
    and the tag `cogx.<metric>.decoded_as` says so.

    Raises CogxError where nothing of what is lacking can be measured here, and where no run is the reference of
    another; InputError for a reference that is none.
    """
    changed = reference_values(reference or {})
    named = resolve_clip(clip_model) if clip_model else None
    store = RunStore(tracking_uri)
    names = experiments_of(sweep, store)
    runs = list(store.runs(names, finished_only=True))
    by_settings = {settings(run): run for run in runs}
    if changed and not any(settings(run, changed) in by_settings for run in runs):
        given = ", ".join(f"{name}={value}" for name, value in changed.items())
        raise CogxError(f"--reference {given}: {sweep} has no finished run with it to compare with")
    decoder = Decoder(device, store)
    measurer = _Measurer(decoder, report)
    rescored = []
    # Those of one reference side by side, so that it is decoded once.
    for run in sorted(runs, key=lambda run: settings(run, changed)):
        todo = lacking(run, named, changed, by_settings.get(settings(run, changed)))
        attempts: dict[str, Attempt] = {}
        undecoded = None
        for wanted in filter(measurer.can, todo):
            try:
                attempts[wanted.name] = measurer.measure(run, wanted)
            except CogxError as error:
                undecoded = first_line(error)
                break
        scores = Scores.of(attempts)
        # A value of an earlier definition cannot be removed: where there is no new one, it keeps its own.
        known = {name for name, found in attempts.items() if found is not None or name not in run.metrics}
        meant = {one.name: one.identity for one in todo if one.name in known - scores.failures.keys()}
        is_new = _amend(store, run, scores, meant, decoder.way(run))
        if is_new or scores.failures or undecoded:
            rescored.append(Rescored(run.run_id, run.name, scores.values, scores.reasons, undecoded))
    if measurer.why_not and not rescored:
        raise measurer.why_not[0]
    for name in names if rescored else ():
        show(store, name, RunFilter())
    return rescored


class _Measurer:
    """Measures what runs lack; of runs with the same pixels, once."""

    def __init__(self, decoder: Decoder, report: Callable[[str], None]) -> None:
        self.why_not: list[WeightsUnavailableError] = []
        """Why what should be there cannot be measured here."""
        self._decoder = decoder
        self._report = report
        self._checked: dict[tuple[str, str], bool] = {}
        self._known: dict[tuple[str, str, str], Attempt] = {}

    def can(self, wanted: MissingMetric) -> bool:
        """Whether it can be measured here; the first time that it cannot, that is reported."""
        key = wanted.name, wanted.identity
        if key not in self._checked:
            try:
                wanted.check()
            except WeightsUnavailableError as error:
                self._report(f"no {wanted.name}: {error}")
                self.why_not += [] if wanted.is_extra else [error]
                self._checked[key] = False
            else:
                self._checked[key] = True
        return self._checked[key]

    def measure(self, run: TrackedRun, wanted: MissingMetric) -> Attempt:
        """Raises CogxError where a video cannot be decoded."""
        key = run.signature, wanted.name, wanted.identity
        if key not in self._known:
            self._report(f"{run.name}: {wanted.name}")
            self._known[key] = wanted.measure(self._decoder)
        return self._known[key]


def _amend(store: RunStore, run: TrackedRun, scores: Scores, meant: Mapping[str, str], decoded_as: str) -> bool:
    """Add to a run what it was found to be, and tell whether that changes anything of it. `meant` are the identities of
    the metrics that it has now, or that it can have no value of. Where those are all metrics by their present
    definitions, it is the finished run of the cell that a plan would name now."""
    tags = score_tags(scores.measured) | {of_metric(name, "decoded_as"): decoded_as for name in scores.measured}
    tags |= missing_tags(scores.reasons)
    identities = {**run.definitions, **meant}
    if meant:
        tags[DEFINITIONS] = json.dumps(identities)
    if all(identities.get(metric.card.name) == metric.card.identity(run.params["clip_model"]) for metric in metrics()):
        tags[OUTPUT_HASH] = present_output_hash(run)
    new = {key: value for key, value in tags.items() if run.tags.get(key) != value}
    if not new:
        return False
    with tempfile.TemporaryDirectory(prefix="cogx-runs-") as name:
        folder = Path(name)
        if meant:
            with suppress(CogxError):  # a run from before there were cards has none
                store.download(run.run_id, METRIC_CARDS, folder)
            write_cards(folder, meant, scores.measured)
        write_failures(folder, scores.failures)
        store.amend(
            run.run_id,
            scores.values,
            new,
            remove=list(missing_tags(meant)),
            series=frame_series(scores.measured),
            artifacts=folder,
        )
    return True
