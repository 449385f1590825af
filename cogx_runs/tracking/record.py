"""What is tracked of a cell beside its measurements: parameters, tags, the command that makes it again."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.spec import MACHINE_FIELDS, PARAM_FIELDS, ROLES, RunSpec, short_name
from cogx_runs.errors import DegenerateError
from cogx_runs.formatting import write_exact
from cogx_runs.metrics.degenerate import RULE_VERSION
from cogx_runs.metrics.failure import Failure
from cogx_runs.metrics.metric import Measured
from cogx_runs.metrics.registry import card_of
from cogx_runs.models.cards import HUB_MODELS, NAMES
from cogx_runs.tracking import artifacts, columns, tags


def params(spec: RunSpec) -> dict[str, Any]:
    """What is logged as a run's parameters: all of them as resolved; the prompt is a tag and an artifact."""
    return {name: getattr(spec, name) for name in PARAM_FIELDS}


def known_params(spec: RunSpec) -> dict[str, Any]:
    """The parameters that are certain before a cell is made; a reused one was measured elsewhere."""
    return {name: value for name, value in params(spec).items() if name not in MACHINE_FIELDS}


def spec_metrics(spec: RunSpec) -> dict[str, float]:
    """Each swept number again as a metric, by which MLflow's UI can sort."""
    return {columns.axis_metric(axis): value for axis, value in spec.axis_values.items()}


def score_tags(scores: Mapping[str, Measured]) -> dict[str, str]:
    """What the values depend on beside their definitions, as tags of the run."""
    return {
        tags.of_metric(metric, name): value
        for metric, measured in scores.items()
        for name, value in measured.conditions.items()
    }


def missing_tags(reasons: Mapping[str, str]) -> dict[str, str]:
    """Why a run has no value of these metrics, as tags of it."""
    return {tags.of_metric(metric, "missing"): reason for metric, reason in reasons.items()}


def beginning_with(present: Mapping[str, str], beginnings: tuple[str, ...]) -> dict[str, str]:
    """The tags whose names begin so."""
    return {key: value for key, value in present.items() if key.startswith(beginnings)}


def frame_series(scores: Mapping[str, Measured]) -> dict[str, Sequence[float]]:
    """The values of single frames, of the metrics that keep them."""
    return {f"by_frame.{metric}": measured.by_frame for metric, measured in scores.items() if measured.by_frame}


def identities(metrics: Iterable[str], clip_model: str) -> dict[str, str]:
    """Of each metric that has a card: what values must have in common to be compared. Kept in the tag DEFINITIONS."""
    return {name: card.identity(clip_model) for name in metrics if (card := card_of(name)) is not None}


def write_cards(folder: Path, identities: Mapping[str, str], scores: Mapping[str, Measured]) -> None:
    """Write the definitions of these metrics into artifacts.METRIC_CARDS; what it says of others stays."""
    file = folder / artifacts.METRIC_CARDS
    known: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, identity in identities.items():
        card = card_of(name)
        assert card is not None, "what has an identity has a card"
        known[name] = card.logged(identity, scores[name].conditions if name in scores else {})
    file.write_text(yaml.safe_dump(known, sort_keys=False, allow_unicode=True), encoding="utf-8")


def write_failures(folder: Path, failures: Mapping[str, Failure]) -> None:
    """Write where these metrics raised an exception into artifacts.METRIC_ERRORS; no file where none did."""
    if failures:
        told = (f"{metric}: {failure.reason}\n\n{failure.traceback}" for metric, failure in failures.items())
        (folder / artifacts.METRIC_ERRORS).write_text("\n".join(told), encoding="utf-8")


def degenerate_tags(kind: str, reason: str) -> dict[str, str]:
    """What a degenerate video is, and the quantity, its value and the threshold by which it was found."""
    return {tags.DEGENERATE: kind, tags.DEGENERATE_RULE: f"{reason}; version {RULE_VERSION}"}


def failure_tags(error: Exception) -> dict[str, str]:
    """What is told of a failed run beside its traceback."""
    return degenerate_tags(error.kind, error.reason) if isinstance(error, DegenerateError) else {}


def command(spec: RunSpec) -> str:
    """The command line that makes this cell again, with nothing left to a default."""
    parts = ["cogx-runs", "generate", spec.prompt]
    if " " not in spec.prompt:
        parts.append("--as-text")
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
            others += ["--set", f"{name}={json.dumps(value)}"]
    parts += ["--device", spec.device, *others]
    return shlex.join(parts)


def write_definition(spec: RunSpec, folder: Path) -> None:
    (folder / artifacts.PROMPT).write_text(spec.prompt + "\n", encoding="utf-8")
    definition = {"sweep": spec.sweep, "axes": list(spec.axes), "signature": spec.signature, **spec.config}
    (folder / artifacts.CONFIG).write_text(
        yaml.safe_dump(definition, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
