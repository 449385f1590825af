"""A linear fit of the time of a run to its steps, frames and guidance."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cogx_runs.analysis.pairs import finished_cells, largest_machine
from cogx_runs.analysis.strata import check_not_mixed
from cogx_runs.definitions.parameters import is_guided
from cogx_runs.errors import CogxError
from cogx_runs.tracking.columns import metric_column, param_column, tag_column
from cogx_runs.tracking.tags import DEVICE_NAME

LATENT_FRAMES = 4
"""Frames to one latent frame, after the first."""
TOKEN_PIXELS = 16
"""Pixels along either side of a token: 8 to a latent pixel of the VAE, times 2 to a patch of the transformer."""


@dataclass(frozen=True)
class TimeFit:
    """A least-squares fit of time to work: `fixed_s + s_per_million_tokens * work`.

    The work is the tokens that go through the transformer, in millions: steps, times two where guidance is on, times
    the tokens of video and text.
    """

    metric: str
    fixed_s: float
    """Time that does not grow with the work, seconds."""
    s_per_million_tokens: float
    r_squared: float
    """The share of the variance over cells that the line explains."""
    residual_s: float
    """Root of the residuals' mean square over the degrees of freedom, seconds."""
    cells: int
    prompts: int
    token_counts: int
    """Different numbers of tokens among the cells. The fit is linear in them, and attention grows faster: with two or
    more the slope is an average."""
    device: str
    placement: str
    left_out: int
    """Cells measured on another device or in another placement."""


def tokens_of(num_frames: int, height: int, width: int, text: int) -> int:
    """Counts the tokens of a video and its text in CogVideoX's transformer; 17,776 for 49 frames of 480x720 with 226 of
    text. CogVideoX 1.5 has half as many of the video, which halves the slope of its line and changes nothing else."""
    latent_frames = (num_frames - 1) // LATENT_FRAMES + 1
    return latent_frames * (height // TOKEN_PIXELS) * (width // TOKEN_PIXELS) + text


def fit_time(frame: pd.DataFrame, metric: str = "denoise_s") -> TimeFit:
    """Fits the time of finished cells of one model that were timed alone, on the device and in the placement of most.

    Raises CogxError for several models, and for fewer than three cells or a single amount of work.
    """
    found = finished_cells(frame, (metric,))
    check_not_mixed(found, (metric,), f"{metric} against steps, frames and guidance")
    cells = largest_machine(found)
    columns = ("num_frames", "height", "width", "max_sequence_length")
    shapes = cells[[param_column(name) for name in columns]].astype(int).itertuples(index=False)
    tokens = np.array([tokens_of(*shape) for shape in shapes], dtype=float)
    passes = 1 + cells[param_column("guidance_scale")].map(is_guided).to_numpy(dtype=float)
    work = cells[param_column("num_inference_steps")].to_numpy(dtype=float) * passes * tokens / 1e6
    if len(cells) < 3 or len(np.unique(work)) < 2:
        raise CogxError(
            f"{metric}: {len(cells)} finished cells with {len(np.unique(work))} different amounts of work; a line "
            "needs three cells and two amounts"
        )
    times = cells[metric_column(metric)].to_numpy(dtype=float)
    line = stats.linregress(work, times)
    residuals = times - line.intercept - line.slope * work
    total = float(((times - times.mean()) ** 2).sum())
    return TimeFit(
        metric=metric,
        fixed_s=float(line.intercept),
        s_per_million_tokens=float(line.slope),
        r_squared=1 - float((residuals**2).sum()) / total if total else 1.0,
        residual_s=float(np.sqrt((residuals**2).sum() / (len(cells) - 2))),
        cells=len(cells),
        prompts=int(cells["prompt"].nunique()),
        token_counts=len(np.unique(tokens)),
        device=_only(cells, tag_column(DEVICE_NAME)),
        placement=_only(cells, param_column("placement")),
        left_out=len(found) - len(cells),
    )


def _only(cells: pd.DataFrame, column: str) -> str:
    values = cells[column].dropna().unique().tolist() if column in cells.columns else []
    return str(values[0]) if values else ""
