"""Runs that were made because they were chosen: no sample of what they were chosen among."""

import pandas as pd

from cogx_runs.definitions.spec import PIXEL_FIELDS
from cogx_runs.tracking.columns import param_column, tag_column
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import PROMOTED_FROM, PROMPT

_FROM, _STEPS = tag_column(PROMOTED_FROM), param_column("num_inference_steps")


def without_chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs, as `load_runs` gives them, without the finals that `promote` made of some candidates of a prompt alone.

    Compared with the candidates they would show the luck of those that were picked, not what the steps do. Where every
    finished candidate of the prompt has a final, nothing was picked, and all stay.
    """
    if _FROM not in frame.columns:
        return frame
    of = ["experiment", tag_column(PROMPT)]
    settings = [param_column(name) for name in PIXEL_FIELDS if param_column(name) in frame.columns]
    settings.remove(_STEPS)
    finished = frame[frame["status"] == RunState.FINISHED]
    cells = finished[[*of, *settings]].astype(str).agg(tuple, axis="columns")
    left_out: list[object] = []
    for place, final in finished[finished[_FROM].notna()].iterrows():
        candidate = finished[finished["run_id"] == final[_FROM]]
        alike = (finished[of] == final[of]).all(axis="columns")
        before, after = (
            set(cells[alike & (finished[_STEPS] == steps)]) for steps in (candidate[_STEPS].max(), final[_STEPS])
        )
        if candidate.empty or not before <= after:
            left_out.append(place)
    return frame.drop(index=left_out)
