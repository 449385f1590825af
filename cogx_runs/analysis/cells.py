"""The cells of an experiment, one run for each."""

from collections.abc import Callable, Hashable, Iterable

from cogx_runs.tracking.run import TrackedRun


def run_of_each_cell(runs: Iterable[TrackedRun]) -> list[TrackedRun]:
    """Selects for each cell its newest finished run, else its newest run, in the order of their start times.

    Runs that differ only in the definitions of their metrics belong to the same cell.
    """
    # A run that died before its parameters were written is known by its output hash alone.
    same_output = _best_by(runs, lambda run: run.output_hash or run.run_id)
    return sorted(_best_by(same_output, lambda run: run.cell), key=lambda run: run.start_time_ms)


def _best_by(runs: Iterable[TrackedRun], identity: Callable[[TrackedRun], Hashable]) -> list[TrackedRun]:
    found: dict[Hashable, TrackedRun] = {}
    for run in sorted(runs, key=lambda run: (run.state.is_finished, bool(run.params), run.start_time_ms)):
        found[identity(run)] = run
    return list(found.values())
