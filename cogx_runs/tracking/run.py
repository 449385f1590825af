"""A tracked run as a record, the same for planning, dashboard, report and rescoring."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from typing import Any, get_type_hints

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.spec import OUTPUT_FIELDS, RunSpec
from cogx_runs.tracking import tags


class RunState(StrEnum):
    """How far a run has come, by MLflow's names."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    @property
    def is_finished(self) -> bool:
        """Whether the run has all that it was to have."""
        return self is RunState.FINISHED

    @property
    def is_settled(self) -> bool:
        """Whether the cell has a result, good or bad; a killed or open run has none."""
        return self in {RunState.FINISHED, RunState.FAILED}


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """One run of a cell as the tracking store has it."""

    run_id: str
    name: str
    experiment: str
    """Name of the experiment."""
    experiment_id: str = ""
    state: RunState
    start_time_ms: int
    """Milliseconds since 1970."""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Those with one value; those by step or frame are `series`."""
    series: tuple[str, ...] = ()
    """Names of the metrics that have a value for each step or frame."""
    tags: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The parameters in their own types; those that no cell has are left out."""
        types = _parameter_types()
        return {name: param_value(name, text) for name, text in self.params.items() if name in types}

    @property
    def prompt_name(self) -> str:
        """Name of the prompt; that of the run where it does not say."""
        return self.params.get("prompt_name", self.name)

    @property
    def cell(self) -> tuple[str, ...]:
        """What two runs of one cell share, whatever the definitions of their metrics: pixels, file and CLIP."""
        file = (self.params.get(name, "") for name in OUTPUT_FIELDS)
        return (self.signature or self.run_id, *file)

    @property
    def outputs(self) -> dict[str, Any]:
        """What file and scores depend on; the default of a parameter that there was none of when the run was made."""
        known = self.config
        return {name: known.get(name, Parameters.model_fields[name].default) for name in OUTPUT_FIELDS}

    @property
    def signature(self) -> str:
        """Identity of the pixels; empty where the run does not say."""
        return self.tags.get(tags.SIGNATURE, "")

    @property
    def output_hash(self) -> str:
        """Identity of pixels, file and scores; empty where the run does not say."""
        return self.tags.get(tags.OUTPUT_HASH, "")

    @property
    def prompt(self) -> str:
        """The prompt's text."""
        return self.tags.get(tags.PROMPT, "")

    @property
    def is_copy(self) -> bool:
        """Whether the run is a copy of a finished one."""
        return tags.REUSED_FROM in self.tags

    @property
    def pixels_from(self) -> str | None:
        """The run that this one took its pixels from; None where it denoised them."""
        return self.tags.get(tags.REUSED_FROM, self.tags.get(tags.LATENTS_FROM))

    @property
    def beside(self) -> str | None:
        """What ran on the device at the same time; None where the run had it to itself."""
        return self.tags.get(tags.BESIDE)

    @property
    def device_name(self) -> str:
        """Product name of the device; empty where the run does not say."""
        return self.tags.get(tags.DEVICE_NAME, "")

    @cached_property
    def definitions(self) -> dict[str, str]:
        """Of each metric the definition by which it was measured: version, CLIP, reference."""
        found: dict[str, str] = json.loads(self.tags.get(tags.DEFINITIONS, "{}"))
        return found

    @property
    def degenerate(self) -> str | None:
        """What the video is where it is degenerate: `noise`, `flat`, `frozen` or `nan`."""
        return self.tags.get(tags.DEGENERATE)

    @property
    def was_aborted(self) -> bool:
        """Whether `abort_degenerate` ended it before it was whole."""
        is_aborting = self.config.get("abort_degenerate", False)
        return self.state is RunState.FAILED and self.degenerate is not None and bool(is_aborting)


def param_value(name: str, text: str) -> Any:
    """Reads a parameter's value from its text, in the type that it has in a RunSpec; a name that no cell has stays
    text."""
    kind = _parameter_types().get(name)
    if kind is bool:
        return is_true(text)
    return kind(text) if kind in {int, float} else text


def is_true(text: str | None) -> bool:
    """Whether a stored text is a true boolean, as `str` writes it."""
    return text == str(True)


@cache
def _parameter_types() -> dict[str, Any]:
    return get_type_hints(RunSpec)
