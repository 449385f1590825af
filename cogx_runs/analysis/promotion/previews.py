"""Cells at few steps, each with the same cell at more."""

import pandas as pd

from cogx_runs.analysis.pairs import finished_cells
from cogx_runs.tracking.columns import metric_column, param_column, tag_column
from cogx_runs.tracking.tags import PROMPT, SIGNATURE

STEPS = "num_inference_steps"


def previews(frame: pd.DataFrame, metric: str, from_steps: int, steps: int) -> pd.DataFrame:
    """One row a finished cell at `from_steps` that has a value of the metric.

    `frame` is as `load_runs` gives it. Columns: `prompt`, `text` (its name and words, by which prompts are told
    apart), `signature`, `number` (its seed), `run_id`, `run_name`, `device`, `start_time`, `preview` (the value),
    `is_degenerate`; and of the cell that differs from it in the step count alone, missing where there is none with a
    value: `final`, `final_run_id` and `final_is_degenerate`. Raises CogxError for a metric that is not there.
    """
    cells = finished_cells(frame, (metric,), (STEPS,))
    before, after = (cells[cells[param_column(STEPS)] == count] for count in (from_steps, steps))
    finals = pd.DataFrame(
        {
            "context": after["context"],
            "machine": after["machine"],
            "final": after[metric_column(metric)].astype(float),
            "final_run_id": after["run_id"],
            "final_is_degenerate": after["is_degenerate"],
        }
    )
    rows = pd.DataFrame(
        {
            "prompt": before["prompt"],
            "text": before["context"].map(lambda context: context[0]),
            "signature": before[tag_column(SIGNATURE)],
            "number": before[param_column("seed")].astype(int),
            "run_id": before["run_id"],
            "run_name": before["run_name"],
            "device": before[param_column("device")],
            "start_time": before["start_time"],
            "preview": before[metric_column(metric)].astype(float),
            "is_degenerate": before["is_degenerate"],
            "context": before["context"],
            "machine": before["machine"],
        }
    )
    return rows.merge(finals, on=["context", "machine"], how="left").drop(columns=["context", "machine"])


def ranked(rows: pd.DataFrame, direction: str) -> pd.DataFrame:
    """The rows by prompt, best preview first; of equal ones the smaller seed, so that the choice is always the same.

    Those whose preview is degenerate are left out: no metric was made to tell noise from noise, and some take a video
    that stands still for the best of all.
    """
    rows = rows[~rows["is_degenerate"]]
    signed = -rows["preview"] if direction == "higher" else rows["preview"]
    ordered = rows.assign(signed=signed).sort_values(["prompt", "signed", "number", "signature"], kind="stable")
    return ordered.drop(columns="signed")


def of_newest_texts(frame: pd.DataFrame, from_steps: int) -> pd.DataFrame:
    """The runs without those of a text that its prompt had before the newest run at `from_steps`."""
    if tag_column(PROMPT) not in frame.columns:
        return frame
    here = frame[_at(frame, from_steps)].sort_values("start_time", kind="stable")
    newest = here.groupby(param_column("prompt_name"))[tag_column(PROMPT)].last()
    return frame[frame[tag_column(PROMPT)] == frame[param_column("prompt_name")].map(newest)]


def _at(frame: pd.DataFrame, steps: int) -> "pd.Series[bool]":
    found: pd.Series[bool] = (frame[param_column(STEPS)] == steps).fillna(False).astype(bool)
    return found
