"""The actions that the cells of a plan need, given the runs of the tracking store."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.tracking.run import RunState, TrackedRun


class Action(StrEnum):
    """The action that a cell needs."""

    RUN = "run"
    REUSE = "reuse"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Whether the cell still needs a run of its own."""
        return self in {Action.RUN, Action.REUSE}


@dataclass(frozen=True)
class Decision:
    """The action for a cell, with the run that it rests on."""

    action: Action
    finished: TrackedRun | None = None
    """The finished run of a cell that is done."""
    decodes: bool = False
    """Whether a reused cell's kept latents are decoded again, for another file or other scores."""


def choose_actions(
    specs: Sequence[RunSpec], history: Sequence[TrackedRun], retry_failed: bool = False
) -> list[Decision]:
    """Decides the action for each cell, given the runs of the tracking store.

    A failed cell is skipped unless `retry_failed`. One that `abort_degenerate` ended runs again where the sweep has
    switched that off since: the whole video is wanted.
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
