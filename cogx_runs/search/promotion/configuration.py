"""A candidate's configuration, read from its run, and the cell with the same configuration at more steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cogx_runs.analysis.promotion.choice import Candidate, Choice
from cogx_runs.analysis.promotion.previews import STEPS
from cogx_runs.definitions.parameters import RESOLVED, Parameters
from cogx_runs.definitions.prompts import Prompt
from cogx_runs.definitions.spec import PIXEL_FIELDS, RunSpec
from cogx_runs.definitions.sweep import Sweep, parameters_of
from cogx_runs.definitions.variables import is_variable, variable_name
from cogx_runs.errors import CogxError
from cogx_runs.models.cards import HUB_MODELS, NAMES
from cogx_runs.tracking.artifacts import CONFIG
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.reader import RunReader

COMMAND_LINE = "(command line)"
_NEEDED = {"prompt_name", "prompt", "model", "model_source", "model_revision", "seed", *RESOLVED}


def read_config(store: RunReader, candidate: Candidate) -> dict[str, Any]:
    """Reads the parameters of a candidate's run, each in its own type. Raises CogxError where some are missing."""
    with temporary_folder() as folder:
        text = store.download(candidate.run_id, CONFIG, folder).read_text(encoding="utf-8")
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        config = None
    missing = sorted(_NEEDED - set(config)) if isinstance(config, dict) else ["parameters"]
    if missing:
        raise CogxError(
            f"{candidate.run_name} (run {candidate.run_id}): cannot be reproduced: its config.yaml has no "
            f"{', '.join(missing)}"
        )
    return dict(config)


def final_cell(
    experiment: str, config: Mapping[str, Any], steps: int, axes: Sequence[str], extra_metrics: Sequence[str] = ()
) -> Sweep:
    """Builds a sweep of one cell: this configuration with another step count."""
    named = config["model"] in NAMES or str(Path(config["model"]).expanduser().absolute()) == config["model_source"]
    values = {name: config[name] for name in Parameters.model_fields if name in config} | {
        "model": config["model"] if named else config["model_source"],
        "revision": config["model_revision"] if config["model"] in HUB_MODELS else None,
        "placement": "auto",
        STEPS: steps,
    }
    base = parameters_of(values)
    variables = tuple((variable_name(key), value) for key, value in config.items() if is_variable(key))
    return Sweep(
        name=experiment,
        file=COMMAND_LINE,
        description="",
        prompts=((Prompt(config["prompt_name"], config["prompt"], CONFIG, variables),),),
        base=base,
        axes={axis: (getattr(base, axis),) for axis in axes},
        vary="zip",
        extra_metrics=tuple(extra_metrics),
    )


def is_final_of(spec: RunSpec, config: Mapping[str, Any]) -> bool:
    """Checks whether a cell has a candidate's configuration, the step count aside."""
    return not _changes(spec, config) and spec.prompt_name == config["prompt_name"]


def not_reproducible(spec: RunSpec, configs: Mapping[str, Mapping[str, Any]], choice: Choice) -> CogxError:
    """Builds the error for a planned cell that has no candidate's configuration, by the candidate nearest to it."""
    nearest = min(choice.promoted, key=lambda one: len(_changes(spec, configs[one.run_id])))
    config = configs[nearest.run_id]
    changes = ", ".join(
        f"{name} was {config[name]} and is now {getattr(spec, name)}" for name in _changes(spec, config)
    )
    return CogxError(f"{nearest.run_name} (run {nearest.run_id}): cannot be reproduced: {changes}")


def _changes(spec: RunSpec, config: Mapping[str, Any]) -> list[str]:
    """Names the parameters that change the pixels and differ, the step count aside. A parameter that is newer than the
    run has the value that changes nothing."""
    return [name for name in PIXEL_FIELDS if name != STEPS and name in config and getattr(spec, name) != config[name]]
