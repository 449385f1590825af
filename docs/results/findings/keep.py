"""Keeps of the store all that findings.md is computed from: the runs, how far their videos are apart, one picture.

python docs/results/findings/keep.py            # into docs/results/findings/study
python docs/results/findings/keep.py FOLDER     # elsewhere, of whatever model the store's runs are of

Run where the store is, or set MLFLOW_TRACKING_URI. Nothing is written to the store.
"""

import sys
import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import figures
import pandas as pd
from study import FOLDER, FRAMES, GUIDANCE, KEPT, PROMPT, SCORE, SEED, SWEEP_NAMES, VIDEO_PAIRS, Study

import cogx_runs
from cogx_runs.metrics.fidelity import psnr
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import Frames, read_mp4

OF_THE_MACHINE = (
    "params.model_source", "tags.cogx.env.model", "tags.cogx.env.host", "tags.cogx.env.command_line",
    "tags.cogx.env.platform", "tags.cogx.command", "tags.cogx.process", "tags.cogx.claim", "tags.cogx.picture",
    "tags.mlflow.user", "tags.mlflow.source",
)  # fmt: skip
"""Columns that say where the runs were made and by whom; no figure rests on them."""
MOST_SHOWN = 6
"""Pairs of which the picture shows a frame."""


def keep(folder: Path) -> None:
    runs = pd.concat(
        [cogx_runs.load_runs(f"findings_{name}", where=["status=FINISHED"]) for name in SWEEP_NAMES], ignore_index=True
    )
    runs = runs.drop(columns=[column for column in runs if str(column).startswith(OF_THE_MACHINE)])
    runs = runs.dropna(axis="columns", how="all")
    frames = runs[runs["experiment"] == "findings_frames"]
    videos = read_videos(frames, PROMPT, SEED, f"params.{FRAMES}")
    folder.mkdir(parents=True, exist_ok=True)
    runs.to_parquet(folder / KEPT, index=False, compression="zstd")
    pd.DataFrame(video_pairs(videos)).to_csv(folder / VIDEO_PAIRS, index=False, float_format="%.3f")
    study = Study(folder)
    changes = study.by_pair(GUIDANCE, 1)
    cells = figures.carrying_cells(changes, MOST_SHOWN)
    runs = study.runs("guidance")
    runs = runs[[cell in cells for cell in zip(runs[PROMPT], runs[SEED], strict=True)]]
    columns = [PROMPT, SEED, f"params.{GUIDANCE}"]
    scores = runs.set_index(columns)[f"metrics.{SCORE}"]
    figures.draw_carriers(cells, read_videos(runs, *columns), scores, folder / "guidance.png")


def video_pairs(videos: dict[Any, Frames]) -> Iterator[dict[str, Any]]:
    """PSNR of the shorter video of each prompt and seed to the longer's beginning, and of a prompt's longer ones."""
    short, long = sorted({count for _, _, count in videos})
    cells = sorted((prompt, seed) for prompt, seed, count in videos if count == long)
    pairs = [(prompt, (seed, short), (seed, long)) for prompt, seed in cells]
    pairs += [
        (prompt, (a, long), (b, long)) for (prompt, a), (other, b) in combinations(cells, 2) if prompt == other
    ]  # fmt: skip
    for prompt, a, b in pairs:
        first, second = videos[prompt, *a], videos[prompt, *b]
        yield {
            "prompt": prompt, "seed": a[0], "frames": a[1], "other_seed": b[0], "other_frames": b[1],
            "psnr": psnr(first, second[: len(first)]).mean(),
        }  # fmt: skip


def read_videos(runs: pd.DataFrame, *columns: str) -> dict[Any, Frames]:
    """The runs' videos by their values of the columns."""
    store = RunStore()
    with tempfile.TemporaryDirectory() as folder:
        return {
            tuple(run[column] for column in columns): read_mp4(store.download(run["run_id"], "video.mp4", Path(folder)))
            for run in runs.to_dict("records")
        }


if __name__ == "__main__":
    try:
        keep(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
    except cogx_runs.CogxError as error:
        sys.exit(f"{error}; the commands are in docs/results/findings.md")
