"""A tracked run as a record, the same for planning, dashboard, report and rescoring."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from typing import Any, Protocol, get_type_hints

from cogx_runs.definitions.parameters import default_of
from cogx_runs.definitions.spec import OUTPUT_FIELDS, UNSIGNED_DEFAULTS, RunSpec
from cogx_runs.definitions.variables import is_variable
from cogx_runs.system.load import BUSY
from cogx_runs.tracking import tags
from cogx_runs.tracking.artifacts import VIDEO
from cogx_runs.tracking.digests import Digest, read_digests


class RunState(StrEnum):
    """The state of a run, by MLflow's names."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    @property
    def is_finished(self) -> bool:
        """Whether the run is complete."""
        return self is RunState.FINISHED

    @property
    def is_settled(self) -> bool:
        """Whether the cell has a result, good or bad; a killed or open run has none."""
        return self in {RunState.FINISHED, RunState.FAILED}


class Claimable(Protocol):
    """What a run is claimed for: a cell, or a video that is imported."""

    @property
    def sweep(self) -> str: ...
    @property
    def run_name(self) -> str: ...
    @property
    def signature(self) -> str: ...
    @property
    def output_hash(self) -> str: ...
    @property
    def prompt(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """One run of a cell as recorded in the tracking store."""

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
    """Metrics with one value; those by step or frame are `series`."""
    series: tuple[str, ...] = ()
    """Names of the metrics that have a value for each step or frame."""
    tags: Mapping[str, str] = field(default_factory=dict)
    artifact_folder: str | None = None
    """Folder of its artifacts; None where they are not on disks that this process sees."""

    @cached_property
    def config(self) -> dict[str, Any]:
        """Parameters in their own types, and the prompt's variables; unknown names are left out. A run made before a
        parameter existed has its default, where that gives the bits that there were before."""
        types = _parameter_types()
        known = {
            name: param_value(name, text) for name, text in self.params.items() if name in types or is_variable(name)
        }
        return UNSIGNED_DEFAULTS | known if known and self.imported_from is None else known

    @property
    def video(self) -> str | None:
        """Path of its video; None for a run that is not finished, or whose files this process does not see."""
        return f"{self.artifact_folder}/{VIDEO}" if self.artifact_folder and self.state.is_finished else None

    @property
    def prompt_name(self) -> str:
        """Name of the prompt; the run's name where it is not recorded."""
        return self.params.get("prompt_name", self.name)

    @property
    def cell(self) -> tuple[str, ...]:
        """Key of the cell, whatever the definitions of its metrics: pixels, file and CLIP."""
        file = (self.params.get(name, "") for name in OUTPUT_FIELDS)
        return (self.signature or self.run_id, *file)

    @property
    def outputs(self) -> dict[str, Any]:
        """Parameters on which file and scores depend; the default for a parameter newer than the run."""
        known = self.config
        return {name: known.get(name, default_of(name)) for name in OUTPUT_FIELDS}

    @property
    def signature(self) -> str:
        """Identity of the pixels; empty where it is not recorded."""
        return self.tags.get(tags.SIGNATURE, "")

    @property
    def output_hash(self) -> str:
        """Identity of pixels, file and scores; empty where it is not recorded."""
        return self.tags.get(tags.OUTPUT_HASH, "")

    @property
    def cost_axes(self) -> tuple[str, ...]:
        """Axes of its sweep that change time and memory alone."""
        return tuple(filter(None, self.tags.get(tags.COST_AXES, "").split(", ")))

    @property
    def order(self) -> tuple[int, str]:
        """What puts runs in the order in which they were begun, the same for all who read them."""
        return self.start_time_ms, self.run_id

    @property
    def prompt(self) -> str:
        """Text of the prompt."""
        return self.tags.get(tags.PROMPT, "")

    @property
    def is_copy(self) -> bool:
        """Whether the run is a copy of a finished one."""
        return tags.REUSED_FROM in self.tags

    @property
    def pixels_from(self) -> str | None:
        """Run whose pixels or latents this one reuses; None where it denoised its own."""
        return self.tags.get(tags.REUSED_FROM, self.tags.get(tags.LATENTS_FROM))

    @property
    def imported_from(self) -> str | None:
        """Name of the file that another program made; None for a cell of a sweep."""
        return self.tags.get(tags.IMPORTED_FROM)

    @property
    def beside(self) -> str | None:
        """Other work on the device, or a busy machine, at the same time; None where the run was timed alone."""
        return self.tags.get(tags.BESIDE)

    @property
    def is_on_busy_machine(self) -> bool:
        """Whether other processes than sweeps kept the machine busy while the run was timed."""
        return (self.beside or "").startswith(BUSY)

    @property
    def device_name(self) -> str:
        """Product name of the device; empty where it is not recorded."""
        return self.tags.get(tags.DEVICE_NAME, "")

    @cached_property
    def definitions(self) -> dict[str, str]:
        """Definition by which each metric was measured: version, CLIP, reference."""
        return tags.texts_tag(self.tags, tags.DEFINITIONS)

    @cached_property
    def digests(self) -> dict[str, Digest]:
        """Size and SHA-256 of each artifact; empty for a run of an earlier version."""
        return read_digests(self.tags.get(tags.DIGESTS, "{}"))

    @property
    def degenerate(self) -> str | None:
        """Class of a degenerate video: `noise`, `flat`, `frozen` or `nan`; None where it is not degenerate."""
        return self.tags.get(tags.DEGENERATE)

    @property
    def was_aborted(self) -> bool:
        """Whether `abort_degenerate` ended the run early."""
        is_aborting = self.config.get("abort_degenerate", False)
        return self.state is RunState.FAILED and self.degenerate is not None and bool(is_aborting)


def param_value(name: str, text: str) -> Any:
    """Reads a parameter's value from its text, in the type that it has in a RunSpec; an unknown name's stays text."""
    parameter_type = _parameter_types().get(name)
    if parameter_type is bool:
        return is_true(text)
    return parameter_type(text) if parameter_type in {int, float} else text


def is_true(text: str | None) -> bool:
    """Checks whether a stored text is a true boolean, as `str` writes it."""
    return text == str(True)


@cache
def _parameter_types() -> dict[str, Any]:
    return get_type_hints(RunSpec)
