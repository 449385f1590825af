"""Sets of videos: whether the videos at one value of an axis differ from those at the baseline, as a whole."""

from typing import Any

import numpy as np
import pandas as pd

from cogx_runs.analysis.effects import baseline_of
from cogx_runs.analysis.pairs import check_axis, values_of
from cogx_runs.analysis.sets import set_distance
from cogx_runs.analysis.strata import check_not_mixed
from cogx_runs.errors import CogxError
from cogx_runs.formatting import write_value
from cogx_runs.metrics.clip import encoder_of
from cogx_runs.tracking.artifacts import VIDEO
from cogx_runs.tracking.columns import RUN_ID, STATUS, param_column
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import RunState
from cogx_runs.video import read_mp4

_PAIR = [param_column("prompt_name"), param_column("seed")]


def compare_sets(
    frame: pd.DataFrame, axis: str, baseline: Any = None, *, tracking_uri: str | None = None
) -> pd.DataFrame:
    """Compares the videos at each value of an axis with those at the baseline, as sets of CLIP's embeddings.

    `frame` is as `load_runs` returns it, with one run for each prompt, seed and value; filter it first. A video is the
    mean over its frames, read from its mp4, of the normalised embeddings of its run's CLIP. Returns a row for each
    value: `value`, `baseline`, `distance`, `p` (see `SetDistance`), `videos` a side. It tells that the videos differ,
    not which are better, and p holds for these prompts.

    Raises CogxError for an axis that is not compared, runs of several models, sizes, precisions or CLIPs, several runs
    of one prompt, seed and value, fewer than two pairs at every value, and a video that cannot be read.
    """
    check_axis(axis, frame)
    runs = frame[frame[STATUS] == RunState.FINISHED]
    check_not_mixed(runs, (), f"{axis}: the sets", (axis,))
    base = baseline_of(runs, axis, {} if baseline is None else {axis: baseline})
    column = param_column(axis)
    clips = runs[param_column("clip_model")].unique().tolist()
    if len(clips) > 1:
        raise CogxError(f"{axis}: runs of several CLIPs ({', '.join(clips)}); filter them to one")
    repeated = runs[runs.duplicated([*_PAIR, column], keep=False)]
    if len(repeated):
        one = repeated.iloc[0]
        raise CogxError(
            f"{axis}: several runs of {one[_PAIR[0]]}, seed {one[_PAIR[1]]:g} at {write_value(one[column])}; "
            "filter the other axes"
        )
    by_value = {value: runs[runs[column] == value].set_index(_PAIR)[RUN_ID] for value in values_of(runs, axis)}
    pairs = {
        value: by_value[base].to_frame("base").join(own.to_frame("own"), how="inner")
        for value, own in by_value.items()
        if value != base
    }
    pairs = {value: found for value, found in pairs.items() if len(found) > 1}
    if not pairs:
        raise CogxError(
            f"{axis}: no value has two videos with their pairs at {write_value(base)}; a set needs two at least"
        )
    wanted = {run_id for found in pairs.values() for run_id in (*found["base"], *found["own"])}
    store = RunReader(tracking_uri)
    embeddings = {run_id: _embedding(store, run_id, clips[0]) for run_id in sorted(wanted)}
    rows = []
    for value, found in pairs.items():
        first, second = (np.stack([embeddings[run_id] for run_id in found[side]]) for side in ("base", "own"))
        compared = set_distance(first, second)
        rows.append((value, base, compared.distance, compared.p, compared.pairs))
    return pd.DataFrame(rows, columns=["value", "baseline", "distance", "p", "videos"])


def _embedding(store: RunReader, run_id: str, clip_model: str) -> np.ndarray:
    with temporary_folder() as folder:
        frames = read_mp4(store.download(run_id, VIDEO, folder))
    embedded = encoder_of(clip_model).embed_frames(frames)
    mean: np.ndarray = (embedded / np.linalg.norm(embedded, axis=-1, keepdims=True)).mean(0)
    return mean
