"""What is to be done for each cell, given what the tracking store remembers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cogx_runs.definitions.spec import RunSpec

Action = Literal["run", "reuse", "done", "failed"]
TRIAL = "cogx.trial"
"""The tag with the number of a run's trial in a search, and the beginning of the other tags of that trial."""


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """What a tracking store remembers of one run."""

    run_id: str
    experiment: str
    status: str
    signature: str
    output_hash: str
    start_time_ms: int
    reused_from: str | None
    """The run that this one took its pixels from; None where it made them."""
    beside: str | None
    """What ran on the device at the same time; None where it had the device to itself."""
    device_name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    definitions: Mapping[str, str] = field(default_factory=dict)
    """By metric that by which it was measured: its version, and what else its values must have in common."""
    degenerate: str | None = None
    """What its video is where it is degenerate: `noise`, `flat`, `frozen` or `nan`."""
    trial_tags: Mapping[str, str] = field(default_factory=dict)
    """Those of its tags, beginning with TRIAL, that say of which trial of a search it is."""

    @property
    def was_ended(self) -> bool:
        """Whether `abort_degenerate` ended it before it was whole."""
        is_aborting = self.params.get("abort_degenerate") == "True"
        return self.status == "FAILED" and self.degenerate is not None and is_aborting


@dataclass(frozen=True)
class Decision:
    """What is to be done for a cell."""

    action: Action
    finished: PastRun | None = None
    """The finished run of a cell that is done."""
    decodes: bool = False
    """Whether a reused cell's kept latents are decoded again, for another file or other scores."""


def choose_actions(specs: Sequence[RunSpec], history: Sequence[PastRun], retry_failed: bool = False) -> list[Decision]:
    """What is to be done for each cell, given what the tracking store remembers.

    A cell that failed is left unless `retry_failed`. One that `abort_degenerate` ended is run where the sweep has that
    switched off by now: it has not failed, and is asked for whole.
    """
    finished_here = {(run.experiment, run.output_hash): run for run in history if run.status == "FINISHED"}
    ended_here = {(run.experiment, run.output_hash) for run in history if run.was_ended}
    failed_here = {(run.experiment, run.output_hash) for run in history if run.status == "FAILED" and not run.was_ended}
    outputs = {run.output_hash for run in history if run.status == "FINISHED"}
    pixels = {run.signature for run in history if run.status == "FINISHED"}
    decisions = []
    for spec in specs:
        cell = (spec.sweep, spec.output_hash)
        if cell in finished_here:
            decisions.append(Decision("done", finished=finished_here[cell]))
        elif not retry_failed and (cell in failed_here or (spec.abort_degenerate and cell in ended_here)):
            decisions.append(Decision("failed"))
        else:
            known = spec.signature in pixels
            decisions.append(Decision("reuse" if known else "run", decodes=known and spec.output_hash not in outputs))
            pixels.add(spec.signature)
            outputs.add(spec.output_hash)
    return decisions
