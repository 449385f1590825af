"""Measures the metrics that finished runs lack."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cogx_runs.dashboard.board import show
from cogx_runs.dashboard.view import RunFilter
from cogx_runs.definitions.spec import EXACT_VALUES
from cogx_runs.definitions.sweep import parameters_of
from cogx_runs.errors import CogxError, InputError, WeightsUnavailableError, did_you_mean, first_line
from cogx_runs.formatting import shortened
from cogx_runs.metrics.card import Dependence
from cogx_runs.metrics.failure import Attempt
from cogx_runs.metrics.registry import EXTRAS, depends_on, metrics
from cogx_runs.metrics.scoring import Scores, by_reason
from cogx_runs.planning.cells import resolve_clip
from cogx_runs.rescore.decoder import Decoder
from cogx_runs.rescore.missing import (
    MissingMetric,
    lacking,
    lacking_to_exact,
    present_output_hash,
    reference_values,
    settings,
)
from cogx_runs.tracking.artifacts import METRIC_CARDS
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.record import (
    frame_series,
    missing_tags,
    score_tags,
    write_cards,
    write_failures,
)
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import DEFINITIONS, OUTPUT_HASH, metric_tag


@dataclass(frozen=True)
class Rescored:
    """The result for one run that was changed or has problems. One with neither values nor problems only got new tags:
    it lacked no value."""

    run_id: str
    run_name: str
    values: Mapping[str, float]
    """New values, by metric."""
    failed: Mapping[str, str]
    """Reason of each failed metric."""
    undecoded: str | None = None
    """Error of decoding its video, or that of its reference; or why nothing is written with it."""

    @property
    def problems(self) -> list[str]:
        """Failures with their reasons: `no sharpness, motion_magnitude: ValueError: empty`."""
        problems = [f"no {', '.join(names)}: {reason}" for reason, names in by_reason(self.failed).items()]
        return problems if self.undecoded is None else [*problems, self.undecoded]


def rescore_runs(
    sweep: str,
    *,
    clip_model: str | None = None,
    extra_metrics: Sequence[str] = (),
    reference: Mapping[str, Any] | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Rescored]:
    """Measures the metrics that the finished runs of a sweep lack; nothing is denoised. Only runs that change are
    written. A metric that raises is recorded as missing with the reason, and the others continue.

    Without `clip_model` those are all metrics of single videos, by the CLIP that each run names. With it they are the
    score of that CLIP, a separate metric such as `clip_score.ViT-L-14:openai`. `extra_metrics` names optional ones;
    those that a run has by an earlier definition, or was to have, need not be named. With `reference`, values of
    parameters such as `{"num_inference_steps": 50}`, each run is also compared with the one that has them and is
    otherwise equal, the seed included: separate metrics, such as `psnr.num_inference_steps_50`. The frames come from
    the kept latents, decoded on `device` as the run decoded them, but on a CPU in float32. The tag
    `cogx.<metric>.decoded_as` records it. Those of a metric of the file, such as `clip_score_file`, come from the kept
    mp4, which needs no model.

    Raises CogxError where no missing metric can be measured here, and where no run is the reference of another;
    InputError for an invalid reference or an unknown extra metric.
    """
    for name in extra_metrics:
        if name not in EXTRAS:
            raise InputError.single(f"--metric {shortened(name)}", f"no extra metric; {did_you_mean(name, EXTRAS)}")
    changed = reference_values(reference or {})
    asked = parameters_of({"clip_model": clip_model}).clip_model
    named = resolve_clip(asked) if asked else None
    store = RunStore(tracking_uri)
    names = experiments_of(sweep, store)
    runs = list(store.runs(names, finished_only=True))
    by_settings = {settings(run): run for run in runs}
    if changed and not any(settings(run, changed) in by_settings for run in runs):
        given = ", ".join(f"{name}={value}" for name, value in changed.items())
        raise CogxError(f"--reference {given}: {sweep} has no finished run with it to compare with")
    rescoring = _Rescoring(store, Decoder(device, store), report)
    # Runs of one reference follow each other, so that it is decoded once.
    for run in sorted(runs, key=lambda run: settings(run, changed)):
        other = by_settings.get(settings(run, changed))
        rescoring.measure(run, lacking(run, named, extra_metrics, changed, other))
    if rescoring.unavailable and not rescoring.done:
        raise rescoring.unavailable[0]
    return rescoring.shown(names)


def compare_with_exact(
    sweep: str,
    *,
    device: str = "auto",
    tracking_uri: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Rescored]:
    """Compares each finished run of a sweep whose pixels are approximate with the exact one that is otherwise equal,
    the seed included, where the sweep has it: `psnr.exact`, `ssim.exact`. What is measured is not measured again.

    The frames come from the kept latents, as those of `rescore_runs` do.
    """
    store = RunStore(tracking_uri)
    names = experiments_of(sweep, store)
    runs = list(store.runs(names, finished_only=True))
    by_settings = {settings(run): run for run in runs}
    rescoring = _Rescoring(store, Decoder(device, store), report)
    for run in sorted(runs, key=lambda run: settings(run, EXACT_VALUES)):
        exact = by_settings.get(settings(run, EXACT_VALUES))
        if exact is not None:
            rescoring.measure(run, lacking_to_exact(run, exact))
    return rescoring.shown(names)


class _Rescoring:
    """Measures what runs lack, one after the other, and writes it into the store."""

    def __init__(self, store: RunStore, decoder: Decoder, report: Callable[[str], None]) -> None:
        self._store = store
        self._decoder = decoder
        self._measurer = _Measurer(decoder, report)
        self.done: list[Rescored] = []

    @property
    def unavailable(self) -> list[WeightsUnavailableError]:
        """Errors of the metrics that cannot be measured here, except optional ones."""
        return self._measurer.unavailable

    def shown(self, names: Sequence[str]) -> list[Rescored]:
        """Brings the views of experiments up to date where anything changed, and returns what did."""
        for name in names if self.done else ():
            show(self._store, name, RunFilter())
        return self.done

    def measure(self, run: TrackedRun, missing_metrics: Sequence[MissingMetric]) -> None:
        """Measures what a run lacks; one metric's failure is that metric's alone."""
        if not self._store.is_in_place(run):
            why = f"its files are only in {run.artifact_folder}, which this study was copied from; copy them here first"
            self.done += [Rescored(run.run_id, run.name, {}, {}, why)] if missing_metrics else []
            return
        attempts: dict[str, Attempt] = {}
        undecoded: dict[bool, str] = {}  # by whether the frames are the mp4's: one may be there without the other
        for missing in filter(self._measurer.can_measure, missing_metrics):
            if missing.of_file in undecoded:
                continue
            try:
                attempts[missing.name] = self._measurer.measure(run, missing)
            except CogxError as error:
                undecoded[missing.of_file] = first_line(error)
        scores = Scores.of(attempts)
        # A value of an earlier definition cannot be removed: without a new one, it keeps its definition.
        known = {name for name, found in attempts.items() if found is not None or name not in run.metrics}
        up_to_date = {one.name: one.identity for one in missing_metrics if one.name in known - scores.failures.keys()}
        is_new = _amend(self._store, run, scores, up_to_date, self._decoder.precision(run))
        if is_new or scores.failures or undecoded:
            errors = "; ".join(dict.fromkeys(undecoded.values())) or None
            self.done.append(Rescored(run.run_id, run.name, scores.values, scores.reasons, errors))


class _Measurer:
    """Measures missing metrics; for runs with the same pixels and frame rate once."""

    def __init__(self, decoder: Decoder, report: Callable[[str], None]) -> None:
        self.unavailable: list[WeightsUnavailableError] = []
        """Errors of the metrics that cannot be measured here, except optional ones."""
        self._decoder = decoder
        self._report = report
        self._checked: dict[tuple[str, str], bool] = {}
        self._known: dict[tuple[Any, ...], Attempt] = {}

    def can_measure(self, missing: MissingMetric) -> bool:
        """Checks whether a metric can be measured here; reports once that it cannot."""
        key = missing.name, missing.identity
        if key not in self._checked:
            try:
                missing.check()
            except WeightsUnavailableError as error:
                self._report(f"no {missing.name}: {error}")
                self.unavailable += [] if missing.is_extra else [error]
                self._checked[key] = False
            else:
                self._checked[key] = True
        return self._checked[key]

    def measure(self, run: TrackedRun, missing: MissingMetric) -> Attempt:
        """Measures a metric of a run. Raises CogxError where a video cannot be decoded."""
        key = missing.video, missing.name, missing.identity
        if key not in self._known:
            self._report(f"{run.name}: {missing.name}")
            self._known[key] = missing.measure(self._decoder)
        return self._known[key]


def _amend(store: RunStore, run: TrackedRun, scores: Scores, up_to_date: Mapping[str, str], decoded_as: str) -> bool:
    """Adds values and failures to a run; returns whether anything of it changed.

    `up_to_date` are the identities of the metrics that have a value, or can have none. Once all metrics have their
    present definitions, the run gets the output hash of its cell in a new plan.
    """
    tags = score_tags(scores.measured) | {
        metric_tag(name, "decoded_as"): decoded_as
        for name in scores.measured
        if Dependence.FILE not in depends_on(name)
    }
    tags |= missing_tags(scores.reasons)
    identities = {**run.definitions, **up_to_date}
    if up_to_date:
        tags[DEFINITIONS] = json.dumps(identities)
    if all(identities.get(metric.card.name) == metric.card.identity(run.params["clip_model"]) for metric in metrics()):
        tags[OUTPUT_HASH] = present_output_hash(run)
    new = {key: value for key, value in tags.items() if run.tags.get(key) != value}
    if not new:
        return False
    with temporary_folder() as folder:
        if up_to_date:
            with suppress(CogxError):  # runs older than the cards have none
                store.download(run.run_id, METRIC_CARDS, folder)
            write_cards(folder, up_to_date, scores.measured)
        write_failures(folder, scores.failures)
        store.amend(
            run.run_id,
            scores.values,
            new,
            remove=list(missing_tags(up_to_date)),
            series=frame_series(scores.measured),
            artifacts=folder,
        )
    return True
