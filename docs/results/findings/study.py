"""The runs that docs/results/findings.md is about, as keep.py has kept them."""

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

import cogx_runs
from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.pairs import finished_cells, pair_cells
from cogx_runs.analysis.seeds import SeedSpread
from cogx_runs.analysis.threshold import Threshold, judge_threshold
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.metrics.registry import card_of

SWEEPS = Path(__file__).parents[3] / "sweeps" / "findings"
SWEEP_NAMES = ("seed", "guidance", "steps", "frames", "grid", "time", "threshold")
FOLDER = Path(__file__).parent / "study"
KEPT, VIDEO_PAIRS = "runs.parquet", "video_pairs.csv"
PROMPT, SEED = "params.prompt_name", "params.seed"
GUIDANCE, STEPS, FRAMES = AXES = ("guidance_scale", "num_inference_steps", "num_frames")
VALUES = ((GUIDANCE, 1.0), (GUIDANCE, 3.0), (GUIDANCE, 12.0), (STEPS, 5), (STEPS, 10), (STEPS, 25), (FRAMES, 25))
SCORE = "clip_score"
QUALITIES = (
    SCORE, "background_consistency", "temporal_flickering", "motion_magnitude", "sharpness", "colourfulness",
    "file_size_bytes",
)  # fmt: skip
MAY_LOSE = 0.29
"""The share of prompts that may lose more than the margin: the least that nine prompts without a loser can show."""
COSTS = ("denoise_s", "wall_time_s", "peak_vram_gib")


class Study:
    """The runs of the seven sweeps, and what several tables take from them."""

    def __init__(self, folder: Path = FOLDER) -> None:
        kept = pd.read_parquet(folder / KEPT)
        self._runs = {name: kept[kept["experiment"] == f"findings_{name}"] for name in SWEEP_NAMES}
        self.video_pairs = pd.read_csv(folder / VIDEO_PAIRS)
        """How far two videos of a prompt are apart, by seeds and lengths; `psnr` in dB."""

    def runs(self, *names: str) -> pd.DataFrame:
        """Of these sweeps, in the order named; of all without a name."""
        return pd.concat([self._runs[name] for name in names or self._runs], ignore_index=True)

    @cached_property
    def single(self) -> pd.DataFrame:
        """Of the sweeps that vary one parameter, and seeds."""
        return self.runs("seed", "guidance", "steps", "frames")

    @cached_property
    def effects(self) -> dict[tuple[str, str, float], Effect]:
        """By metric, axis and value; of a metric all seven as one family."""
        found = cogx_runs.effects(self.single, AXES, QUALITIES)
        return {(effect.metric, effect.axis, float(effect.value)): effect for effect in found}

    @cached_property
    def of_seeds(self) -> SeedSpread:
        """Of the CLIP score, at the baseline."""
        (spread,) = cogx_runs.seed_spreads(self._runs["seed"], [SCORE])
        return spread

    @cached_property
    def of_costs(self) -> list[Effect]:
        return cogx_runs.effects(self._runs["time"], AXES, COSTS)

    def by_pair(self, axis: str, value: float, metric: str = SCORE) -> "pd.Series[float]":
        """The change of each prompt and seed."""
        cells = finished_cells(self.single, (metric,), (axis,))
        cells = cells.assign(
            value=cells[f"params.{axis}"].astype(float), found=cells[f"metrics.{metric}"].astype(float)
        )
        table = cells.pivot_table(index=["prompt", "context"], columns="value", values="found")
        baseline = self.effects[metric, axis, float(value)].baseline
        changes = (table[float(value)] - table[float(baseline)]).dropna()
        assert np.isclose(changes.groupby("prompt").mean().mean(), self.effects[metric, axis, float(value)].mean)
        return changes

    def by_seed(self, metric: str = SCORE) -> pd.DataFrame:
        """Prompts by seeds, at the baseline."""
        runs = self._runs["seed"]
        return runs.pivot(index=PROMPT, columns=SEED, values=f"metrics.{metric}").astype(float)

    @cached_property
    def threshold(self) -> Threshold:
        """As `cogx-runs threshold` judges it, of all counts that are there."""
        (sweep,) = load_sweeps([SWEEPS / "threshold.yaml"])
        ladder = tuple(sweep.axes[STEPS])
        found = pair_cells(self._runs["threshold"], STEPS, ladder[:-1], ladder[-1], SCORE)
        card = card_of(SCORE)
        assert card is not None
        assert card.margin is not None
        return judge_threshold(
            {count: pairs.by_prompt for count, pairs in found}, ladder, margin=card.margin, better="higher",
            metric=SCORE, seeds=max(pairs.seeds for _, pairs in found), may_lose=MAY_LOSE,
        )  # fmt: skip
