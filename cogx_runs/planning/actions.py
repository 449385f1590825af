"""What each cell of a plan still needs, given the runs of the tracking store."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.tracking.run import RunState, TrackedRun


class Action(StrEnum):
    """What is to be done for a cell."""

    RUN = "run"
    REUSE = "reuse"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Whether the cell is still to be brought to its end."""
        return self in {Action.RUN, Action.REUSE}


@dataclass(frozen=True)
class Decision:
    """What is to be done for a cell."""

    action: Action
    finished: TrackedRun | None = None
    """The finished run of a cell that is done."""
    decodes: bool = False
    """Whether a reused cell's kept latents are decoded again, for another file or other scores."""


def choose_actions(
    specs: Sequence[RunSpec], history: Sequence[TrackedRun], retry_failed: bool = False
) -> list[Decision]:
    """Decides for each cell what is to be done, given the runs of the tracking store.

    A cell that failed is left unless `retry_failed`. One that `abort_degenerate` ended is run where the sweep has that
    switched off by now: it has not failed, and is asked for whole.
    """
    finished = [run for run in history if run.state.is_finished]
    failed = [run for run in history if run.state is RunState.FAILED]
    finished_here = {(run.experiment, run.output_hash): run for run in finished}
    aborted_here = {(run.experiment, run.output_hash) for run in failed if run.was_aborted}
    failed_here = {(run.experiment, run.output_hash) for run in failed if not run.was_aborted}
    outputs = {run.output_hash for run in finished}
    pixels = {run.signature for run in finished}
    decisions = []
    for spec in specs:
        cell = (spec.sweep, spec.output_hash)
        if cell in finished_here:
            decisions.append(Decision(Action.DONE, finished=finished_here[cell]))
        elif not retry_failed and (cell in failed_here or (spec.abort_degenerate and cell in aborted_here)):
            decisions.append(Decision(Action.FAILED))
        else:
            known = spec.signature in pixels
            action = Action.REUSE if known else Action.RUN
            decisions.append(Decision(action, decodes=known and spec.output_hash not in outputs))
            pixels.add(spec.signature)
            outputs.add(spec.output_hash)
    return decisions
