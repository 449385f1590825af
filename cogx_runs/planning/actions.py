"""The actions that the cells of a plan need, given the runs of the tracking store."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.tracking.artifacts import LATENTS
from cogx_runs.tracking.lost import lost_artifacts
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
    lost: tuple[str, ...] = ()
    """The artifacts that the cell's finished run has lost, for which it is made again."""


def choose_actions(
    specs: Sequence[RunSpec], history: Sequence[TrackedRun], retry_failed: bool = False
) -> list[Decision]:
    """Decides the action for each cell, given the runs of the tracking store.

    A failed cell is skipped unless `retry_failed`. One that `abort_degenerate` ended runs again where the sweep has
    switched that off since: the whole video is wanted. A finished cell whose files are gone from this machine's disks
    is made again.
    """
    cells, signatures = {spec.output_hash for spec in specs}, {spec.signature for spec in specs}
    concerned = [run for run in history if run.output_hash in cells or run.signature in signatures]
    lost = {run.run_id: lost_artifacts(run) for run in concerned if run.state.is_finished}
    finished = [run for run in concerned if run.state.is_finished and set(lost[run.run_id]) <= {LATENTS}]
    failed = [run for run in history if run.state is RunState.FAILED]
    finished_here = {(run.experiment, run.output_hash): run for run in finished}
    aborted_here = {(run.experiment, run.output_hash) for run in failed if run.was_aborted}
    failed_here = {(run.experiment, run.output_hash) for run in failed if not run.was_aborted}
    outputs = {run.output_hash for run in finished if not lost[run.run_id]}
    pixels = {run.signature for run in concerned if run.run_id in lost and LATENTS not in lost[run.run_id]}
    lost_here = {(run.experiment, run.output_hash): lost[run.run_id] for run in concerned if lost.get(run.run_id)}
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
            decodes = known and spec.output_hash not in outputs
            decisions.append(Decision(action, decodes=decodes, lost=lost_here.get(cell, ())))
            pixels.add(spec.signature)
            outputs.add(spec.output_hash)
    return decisions
