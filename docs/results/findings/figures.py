"""The figures of docs/results/findings.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.promotion.previews import previews
from cogx_runs.analysis.threshold import Threshold
from cogx_runs.report.plots import COLOURS
from cogx_runs.video import Frames

IMAGES = Path(__file__).parents[2] / "images"
SHORT = {"guidance_scale": "guidance", "num_inference_steps": "steps", "num_frames": "frames"}
_STYLE: Any = {
    "svg.hashsalt": "cogx-runs", "svg.fonttype": "none", "font.family": "sans-serif",
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.6, "axes.axisbelow": True,
}  # fmt: skip
GREY = COLOURS[7]


def draw_effects(effects: Sequence[Effect]) -> None:
    """Mean changes of the CLIP score with their intervals, and the margin as a band."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(6.4, 2.8)
        for place, effect in enumerate(reversed(effects)):
            assert effect.low is not None
            assert effect.high is not None
            told = effect.verdict != "inconclusive"
            colour = COLOURS[0] if told else GREY
            axes.plot([effect.low, effect.high], [place, place], color=colour, linewidth=1.6)
            axes.plot(effect.mean, place, "o", color=colour, markerfacecolor=colour if told else "white")
            said = effect.verdict
            axes.text(1.02, place, said, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        margin = effects[0].margin
        assert margin is not None
        axes.axvspan(-margin, margin, color="black", alpha=0.09, linewidth=0)
        axes.axvline(0, color="black", linewidth=0.8)
        names = [f"{SHORT[one.axis]} {one.value:g} against {one.baseline:g}" for one in reversed(effects)]
        axes.set_yticks(range(len(effects)), names)
        axes.set_xlabel(f"change of the CLIP score; 95% intervals over {effects[0].prompts} prompts; band: margin")
        _save(figure, "findings_effects.svg")


def draw_threshold(threshold: Threshold) -> None:
    """The search's curve, with the interval that each verdict rests on."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(5.6, 2.9)
        for point in threshold.curve:
            shown = point.verdict == "not inferior"
            colour = COLOURS[0] if shown else GREY
            axes.plot([point.count, point.count], [point.low, point.high], color=colour, linewidth=1.6)
            axes.plot(point.count, point.mean, "o", color=colour, markerfacecolor=colour if shown else "white")
        axes.plot(threshold.reference, 0, "s", color="black", markersize=5)
        axes.annotate(
            "reference", (threshold.reference, 0), (0, 7), textcoords="offset points", ha="center", fontsize=7
        )
        axes.axhline(0, color="black", linewidth=0.6)
        axes.axhline(-threshold.margin, color=COLOURS[1], linewidth=1, linestyle="--")
        axes.text(
            1.01,
            -threshold.margin,
            "margin",
            transform=axes.get_yaxis_transform(),
            va="center",
            color=COLOURS[1],
            fontsize=8,
        )
        handles = [
            Line2D([], [], color=colour, marker="o", markerfacecolor=face, linewidth=1.6, label=label)
            for colour, face, label in (
                (COLOURS[0], COLOURS[0], "not inferior"),
                (GREY, "white", "inconclusive or inferior"),
            )
        ]
        axes.legend(handles=handles, frameon=False, fontsize=8, loc="lower right")
        axes.set_xticks([*(point.count for point in threshold.curve), threshold.reference])
        axes.margins(y=0.15)
        axes.set_xlabel("num_inference_steps")
        axes.set_ylabel(f"CLIP score less {threshold.reference}'s")
        _save(figure, "findings_threshold.svg")


def draw_previews(runs: pd.DataFrame) -> None:
    """Each video's CLIP score at few steps against that at 50, coloured by prompt."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        panels = figure.subplots(1, 3, sharex=True, sharey=True)
        for axes, few in zip(panels, (5, 10, 25), strict=True):
            rows = previews(runs, "clip_score", few, 50)
            far = [name for name, group in rows.groupby("prompt") if group["final"].std() > 1]
            axes.axline((30, 30), slope=1, color="black", linewidth=0.6, alpha=0.5)
            others = rows[~rows["prompt"].isin(far)]
            axes.plot(others["preview"], others["final"], "o", color=GREY, alpha=0.7, markersize=4, label="the others")
            for colour, name in zip(COLOURS, far, strict=False):
                here = rows[rows["prompt"] == name]
                axes.plot(here["preview"], here["final"], "o", color=colour, alpha=0.85, markersize=5, label=name)
            axes.set_xlabel(f"CLIP score at {few} steps")
            axes.grid(linewidth=0.4, alpha=0.3)
        panels[0].set_ylabel("CLIP score at 50 steps")
        panels[0].legend(frameon=False, fontsize=7, loc="lower right")
        _save(figure, "findings_previews.svg")


def carrying_cells(changes: "pd.Series[float]", few: int) -> list[tuple[str, int]]:
    """Prompt and seed of the pairs whose changes lie furthest to the mean's side."""
    picked = changes.sort_values(ascending=bool(changes.mean() < 0))[:few]
    return [(prompt, int(context[1][0])) for prompt, context in picked.index]


def draw_carriers(
    cells: Sequence[tuple[str, int]], videos: dict[Any, Frames], scores: "pd.Series[float]", path: Path
) -> None:
    """The middle frame of each prompt and seed at each guidance; videos and scores go by these three."""
    values, few = sorted({guidance for _, _, guidance in videos}), len(cells)
    with mpl.rc_context({**_STYLE, "font.size": 7}):
        figure = Figure(figsize=(1.25 * few + 0.6, 1.36 * len(values)), layout="constrained")
        panels = figure.subplots(len(values), few, squeeze=False)
        for column, (prompt, seed) in enumerate(cells):
            for row, value in enumerate(values):
                frames = videos[prompt, seed, value]
                axes = panels[row][column]
                axes.imshow(frames[len(frames) // 2], interpolation="nearest")
                axes.set(xticks=[], yticks=[], ylabel="" if column else f"guidance {value:g}")
                over = "" if row else f"{prompt}\nseed {seed}\n"
                axes.set_title(f"{over}{scores[prompt, seed, value]:.1f}")
        figure.savefig(path, dpi=110)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="x", linewidth=0.4, alpha=0.3)
    return figure, axes


def _save(figure: Figure, name: str) -> None:
    """White behind, so that it reads on a dark page."""
    figure.savefig(IMAGES / name, facecolor="white", metadata={"Date": None})
