"""The planned cells of a sweep file that no run was begun of."""

import pandas as pd

from cogx_runs.analysis.unbegun import with_unbegun
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import CogxError, first_line
from cogx_runs.planning.plan import Conditions
from cogx_runs.planning.planner import Planner
from cogx_runs.tracking.columns import STATUS, param_column, tag_column
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import OUTPUT_HASH


def add_unbegun(runs: pd.DataFrame, experiment: str, sweep: str) -> tuple[pd.DataFrame, list[str]]:
    """Adds the cells of the sweep file `sweep` that no run was begun of to an experiment's runs, planned for the device
    of its finished runs. An experiment's name tells no plan, and a search has none.

    Returns why they are not known, too: the file cannot be planned here, or plans other cells than were run.
    """
    device = runs.loc[runs[STATUS] == RunState.FINISHED, param_column("device")].dropna().mode()
    if experiment == sweep or device.empty:
        return runs, []
    reason = "it plans other cells than were run, as where they were run with --set"
    try:
        sweeps = [found for found in load_sweeps([sweep]) if found.name == experiment and found.optuna is None]
        if not sweeps:
            return runs, []
        planner = Planner(Conditions(PromptLibrary.find(None), device[0]), use_store=False)
        planned = [run.spec for run in planner.plan_cells(sweeps, []).runs]
        found = with_unbegun(runs, planned)
        finished = runs.loc[runs[STATUS] == RunState.FINISHED, tag_column(OUTPUT_HASH)].nunique()
        if found is None and finished >= len(planned):  # run with other values than the file's, and whole
            return runs, []
    except CogxError as error:
        found, reason = None, first_line(error)
    if found is None:
        return runs, [f"Cells of {sweep} that were never begun are not counted as lost: {reason}."]
    return found, []
