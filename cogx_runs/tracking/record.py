"""Parameters, tags and files that are logged for a cell besides its measurements."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.spec import MACHINE_FIELDS, PARAM_FIELDS, ROLES, RunSpec, short_name
from cogx_runs.errors import DegenerateError, first_line
from cogx_runs.formatting import write_exact
from cogx_runs.metrics.metric import Measured
from cogx_runs.metrics.registry import card_of
from cogx_runs.models.cards import HUB_MODELS, NAMES
from cogx_runs.tracking import artifacts, columns, tags

if TYPE_CHECKING:  # torch, which a sweep with nothing to run does without
    from cogx_runs.metrics.failure import Failure


def params(spec: RunSpec) -> dict[str, Any]:
    """Returns the parameters of a run, all resolved, and its prompt's variables; the prompt is a tag and an artifact
    instead."""
    return {name: getattr(spec, name) for name in PARAM_FIELDS} | spec.variables


def known_params(spec: RunSpec) -> dict[str, Any]:
    """Returns the parameters that are certain before a cell runs; a reused one was measured elsewhere."""
    return {name: value for name, value in params(spec).items() if name not in MACHINE_FIELDS or name in spec.cost_axes}


def spec_metrics(spec: RunSpec) -> dict[str, float]:
    """Repeats each swept number as a metric, by which MLflow's UI can sort."""
    return {columns.axis_metric(axis): value for axis, value in spec.axis_values.items()}


def score_tags(scores: Mapping[str, Measured]) -> dict[str, str]:
    """Returns the conditions of the values, besides their definitions, as tags of the run."""
    return {
        tags.metric_tag(metric, name): value
        for metric, measured in scores.items()
        for name, value in measured.conditions.items()
    }


def missing_tags(reasons: Mapping[str, str]) -> dict[str, str]:
    """Returns the reasons of missing metrics, as tags of the run."""
    return {tags.metric_tag(metric, "missing"): reason for metric, reason in reasons.items()}


def with_prefixes(present: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """Selects the tags whose names begin with one of `prefixes`."""
    return {key: value for key, value in present.items() if key.startswith(prefixes)}


def frame_series(scores: Mapping[str, Measured]) -> dict[str, Sequence[float]]:
    """Returns the values of single frames, for the metrics that keep them."""
    return {f"by_frame.{metric}": measured.by_frame for metric, measured in scores.items() if measured.by_frame}


def identities(metrics: Iterable[str], clip_model: str) -> dict[str, str]:
    """Returns the identity of each metric with a card, which comparable values share; logged as the tag DEFINITIONS."""
    return {name: card.identity(clip_model) for name in metrics if (card := card_of(name)) is not None}


def write_cards(folder: Path, identities: Mapping[str, str], scores: Mapping[str, Measured]) -> None:
    """Writes the definitions of these metrics into artifacts.METRIC_CARDS; those of other metrics stay."""
    file = folder / artifacts.METRIC_CARDS
    known: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, identity in identities.items():
        card = card_of(name)
        assert card is not None, "a metric with an identity has a card"
        known[name] = card.logged(identity, scores[name].conditions if name in scores else {})
    file.write_text(yaml.safe_dump(known, sort_keys=False, allow_unicode=True), encoding="utf-8")


def write_failures(folder: Path, failures: "Mapping[str, Failure]") -> None:
    """Writes the tracebacks of failed metrics into artifacts.METRIC_ERRORS; no file where none failed."""
    if failures:
        entries = (f"{metric}: {failure.reason}\n\n{failure.traceback}" for metric, failure in failures.items())
        (folder / artifacts.METRIC_ERRORS).write_text("\n".join(entries), encoding="utf-8")


def degenerate_tags(kind: str, reason: str) -> dict[str, str]:
    """Returns the tags of a degenerate video: its class, and the quantity, value and threshold behind it."""
    from cogx_runs.metrics.degenerate import RULE_VERSION

    return {tags.DEGENERATE: kind, tags.DEGENERATE_RULE: f"{reason}; version {RULE_VERSION}"}


def failure_tags(error: Exception) -> dict[str, str]:
    """Returns the tags of a failed run, besides its traceback."""
    degenerate = degenerate_tags(error.kind, error.reason) if isinstance(error, DegenerateError) else {}
    return {tags.FAILURE: first_line(error), **degenerate}


def command(spec: RunSpec) -> str:
    """Writes the command line that reproduces this cell, with nothing left to a default."""
    parts = [] if " " in spec.prompt else ["--as-text"]
    names = {
        "model": spec.model if spec.model in NAMES else spec.model_source,
        "revision": spec.model_revision if spec.model in HUB_MODELS else None,
    }
    others = []
    for name, field in Parameters.model_fields.items():
        value = names[name] if name in names else getattr(spec, name)
        if ROLES[name].is_stated:
            parts += [f"--{short_name(name)}", write_exact(value) if isinstance(value, float) else str(value)]
        elif value != field.default:
            others += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    parts += ["--device", spec.device, *others]
    if spec.prompt.startswith("-"):  # else taken for an option
        return shlex.join(["cogx-runs", "generate", *parts, "--", spec.prompt])
    return shlex.join(["cogx-runs", "generate", spec.prompt, *parts])


def write_definition(spec: RunSpec, folder: Path) -> None:
    """Writes the prompt and the resolved parameters of a cell as artifacts."""
    (folder / artifacts.PROMPT).write_text(spec.prompt + "\n", encoding="utf-8")
    definition = {"sweep": spec.sweep, "axes": list(spec.axes), "signature": spec.signature, **spec.config}
    (folder / artifacts.CONFIG).write_text(
        yaml.safe_dump(definition, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
