"""Metrics that a finished run lacks, and their measurement."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.role import names_where
from cogx_runs.definitions.spec import PIXEL_FIELDS, ROLES, output_hash
from cogx_runs.definitions.sweep import parameters_of
from cogx_runs.errors import InputError
from cogx_runs.formatting import cut
from cogx_runs.metrics import clip_score, fidelity
from cogx_runs.metrics.failure import Attempt, attempt
from cogx_runs.metrics.metric import Comparison, Metric
from cogx_runs.metrics.registry import COMPARISONS, EXACT, EXTRAS, metrics, versions
from cogx_runs.rescore.decoder import Decoder
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.tags import metric_tag

_OTHER_SHAPES = frozenset(names_where(ROLES, lambda role: role.is_shape))
"""Parameters across which videos are not compared frame by frame."""


@dataclass(frozen=True)
class MissingMetric:
    """A metric that a run should have and lacks."""

    name: str
    identity: str
    check: Callable[[], None]
    """Raises WeightsUnavailableError where it cannot be measured here, for any run whose value has this identity."""
    measure: Callable[[Decoder], Attempt]
    """Raises CogxError where a video cannot be decoded."""
    video: tuple[Any, ...]
    """What is measured: one value serves all runs of which this is equal."""
    of_file: bool = False
    """Whether it is measured over the frames of the mp4, which needs no latents."""
    is_extra: bool = False
    """Whether it is optional, as a comparison that needs an optional package."""


def lacking(
    run: TrackedRun,
    clip_model: str | None,
    extra_metrics: Collection[str],
    changed: Mapping[str, Any],
    reference: TrackedRun | None,
) -> list[MissingMetric]:
    """Lists the metrics that a run lacks by their present definitions: another CLIP's score, or all by its own CLIP;
    the named extras, and those that the run was to have; and the comparisons with the reference, which has the
    `changed` values."""
    own = run.params["clip_model"]
    missing = []
    if clip_model is None or clip_model == own:
        missing += [_of_video(run, metric, metric.card.name, own) for metric in metrics()]
    else:
        missing += [_of_video(run, clip_score.METRIC, _other_score(clip_model), clip_model)]
    missing += [
        _of_video(run, metric, name, own)
        for name, metric in EXTRAS.items()
        if name in extra_metrics or name in run.definitions or metric_tag(name, "missing") in run.tags
    ]
    if changed and reference is not None and reference.signature != run.signature:
        named = "_".join(f"{name}_{value}" for name, value in changed.items())
        missing += [_against(run, reference, comparison, named) for comparison in COMPARISONS]
    return _not_measured(run, missing)


def lacking_to_exact(run: TrackedRun, exact: TrackedRun) -> list[MissingMetric]:
    """Lists the comparisons with its exact cell that a run lacks: those that need no weights."""
    if exact.signature == run.signature:
        return []
    return _not_measured(run, [_against(run, exact, comparison, EXACT) for comparison in fidelity.COMPARISONS])


def _not_measured(run: TrackedRun, metrics: Iterable[MissingMetric]) -> list[MissingMetric]:
    return [one for one in metrics if run.definitions.get(one.name) != one.identity]


def reference_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the values of a reference to their parameters' types. Raises InputError where they are invalid."""
    parameters = parameters_of(values)
    for name in values:
        if name not in PIXEL_FIELDS or name in _OTHER_SHAPES:
            valid = ", ".join(sorted(set(PIXEL_FIELDS) & set(Parameters.model_fields) - _OTHER_SHAPES))
            raise InputError.single(f"--reference {cut(name)}", f"videos are not compared across it; valid: {valid}")
    return {name: getattr(parameters, name) for name in values}


def settings(run: TrackedRun, changed: Mapping[str, Any] = MappingProxyType({})) -> tuple[str, ...]:
    """Lists all that a run's pixels depend on, with some parameters changed."""
    own = {name: run.config.get(name, "") for name in PIXEL_FIELDS} | {"prompt": run.prompt}
    return tuple(str(changed.get(name, value)) for name, value in own.items())


def present_output_hash(run: TrackedRun) -> str:
    """Computes the output hash that a run would have by the present definitions of all metrics."""
    return output_hash(run.signature, run.outputs, versions())


def _of_video(run: TrackedRun, metric: Metric, name: str, clip_model: str) -> MissingMetric:
    of_file = metric.card.of_file

    def measure(decoder: Decoder) -> Attempt:
        return attempt(partial(metric.measure, decoder.subject(run, clip_model, of_file=of_file)))

    return MissingMetric(
        name,
        metric.card.identity(clip_model),
        partial(metric.check, clip_model),
        measure,
        video=(run.signature, run.params["fps"], *(run.outputs.values() if of_file else ())),
        of_file=of_file,
    )


def _against(run: TrackedRun, reference: TrackedRun, comparison: Comparison, named: str) -> MissingMetric:
    def measure(decoder: Decoder) -> Attempt:
        return attempt(partial(comparison.compare, decoder.frames(run), decoder.frames(reference)))

    # One metric for each reference: `psnr.num_inference_steps_50`.
    name = f"{comparison.card.name}.{re.sub(r'[^A-Za-z0-9_.-]', '_', named)}"
    return MissingMetric(
        name, comparison.card.identity(""), comparison.check, measure, video=(run.signature,), is_extra=True
    )


def _other_score(clip_model: str) -> str:
    """Names the metric of a CLIP that is not the run's own; a folder is named without its parents."""
    name = Path(clip_model).name if Path(clip_model).is_absolute() else clip_model
    return f"clip_score.{re.sub(r'[^A-Za-z0-9_.: -]', '_', name)}"
