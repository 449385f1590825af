"""Plots of metrics, effects and trials as SVG that takes its text colour from the page."""

import io
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Literal

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.grids import Grid, Row
from cogx_runs.analysis.tradeoff import TradeOff
from cogx_runs.analysis.verdict import Verdict
from cogx_runs.formatting import write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.fidelity import PSNR_LIMIT_DB
from cogx_runs.metrics.registry import card_or_name
from cogx_runs.report.trials import Trials, Tried
from cogx_runs.tracking.run import TrackedRun

COLOURS = ("#4c8bf5", "#e2703a", "#35a06b", "#b667d6", "#c99a1e", "#d9536f", "#2ba3b5", "#8a8f98")
"""Colours that are distinct on white and on black."""
_INK = "#010203"
"""Placeholder of the page's text colour."""
MOST_TICKS = 12
"""Most ticks with a label on the horizontal axis."""
_MARKS: dict[Verdict, tuple[str, str, bool]] = {
    "better": ("o", COLOURS[0], True),
    "worse": ("D", COLOURS[1], True),
    "higher": ("o", COLOURS[3], True),
    "lower": ("o", COLOURS[3], True),
    "equivalent": ("s", COLOURS[7], True),
    "inconclusive": ("o", COLOURS[7], False),
    "refused": ("x", COLOURS[7], False),
    "one prompt": ("x", COLOURS[7], False),
}
"""Marker, colour, and whether it is filled, by verdict."""
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "cogx-runs", "font.family": "sans-serif", "font.size": 9,
    "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "text.parse_math": False,
}  # fmt: skip


def plot(grid: Grid, quantity: MetricCard) -> Markup | None:
    """Draws a point for each finished cell that has the metric, and a line through those of one prompt and seed.

    None where there are fewer than two points, and for settings of several axes. Seeds and categories have no order, so
    that no line joins them.
    """
    points = [
        (row, [(column, cell) for column, cell in enumerate(row.cells) if _has(cell, quantity)]) for row in grid.rows
    ]
    found = [cell for _, cells in points for _, cell in cells if cell is not None]
    if len(found) < 2 or len(grid.axes) > 1:
        return None
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.7)
        axes.grid(axis="y", linewidth=0.4, alpha=0.25, color=_INK)
        if grid.axis is None:
            _by_prompt(axes, found, quantity)
        else:
            _by_value(axes, grid, points, quantity)
        axes.set_ylabel(quantity.title + (f" ({quantity.unit})" if quantity.unit else ""))
        axes.margins(x=0.08, y=0.12)
        return _svg(figure, _alternative(grid, found, quantity))


def plot_effects(effects: Sequence[Effect], quantity: MetricCard) -> Markup | None:
    """Draws the mean change at each value of one axis, its 95% interval, and the margin as a band around no change.

    None where no change has an interval.
    """
    found = [effect for effect in effects if effect.metric == quantity.name][::-1]
    if not any(effect.low is not None for effect in found):
        return None
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.75 + 0.3 * len(found))
        axes.spines["left"].set_visible(False)
        for place, effect in enumerate(found):
            _effect(axes, place, effect, quantity.scale)
        axes.axvline(0, color=_INK, linewidth=0.9)
        several = len({effect.kind for effect in found}) > 1
        names = [f"{write_value(one.value)} ({one.kind})" if several else write_value(one.value) for one in found]
        axes.set_yticks(range(len(found)), names)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(found) - 0.4)
        unit = f" ({quantity.unit})" if quantity.unit else ""
        baseline = f"{found[0].axis} {write_value(found[0].baseline)}"
        axes.set_xlabel(f"change of {quantity.title} against {baseline}{unit}")
        return _svg(figure, _effects_alternative(found, quantity))


def plot_prompts(effect: Effect) -> Markup | None:
    """Draws each prompt's change with its interval over seeds, sorted, and the margin as a band around no change: a
    forest plot, in which the few prompts that carry a mean are seen.

    None for one prompt.
    """
    if effect.prompts < 2:
        return None
    card = card_or_name(effect.metric)
    scale = card.scale
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.75 + 0.18 * effect.prompts)
        axes.spines["left"].set_visible(False)
        if effect.margin is not None:
            axes.axvspan(-effect.margin / scale, effect.margin / scale, color=_INK, alpha=0.1, linewidth=0)
        axes.axvline(0, color=_INK, linewidth=0.9)
        for place, one in enumerate(reversed(effect.by_prompt)):
            is_beyond = effect.margin is not None and abs(one.mean) > effect.margin
            colour = COLOURS[1] if is_beyond else COLOURS[7]
            if one.low is not None and one.high is not None:
                axes.plot([one.low / scale, one.high / scale], [place, place], color=colour, linewidth=1.2)
            axes.plot(one.mean / scale, place, "o", color=colour, markersize=4)
        names = [one.prompt if len(one.prompt) <= 24 else f"{one.prompt[:23]}…" for one in reversed(effect.by_prompt)]
        axes.set_yticks(range(effect.prompts), names, fontsize=7)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, effect.prompts - 0.4)
        compared = f"{effect.axis} {write_value(effect.value)} against {write_value(effect.baseline)}"
        axes.set_xlabel(f"change of {card.title}, {compared}" + (f" ({card.unit})" if card.unit else ""))
        lose = f"; {effect.losing} lose more than {card.write(effect.margin)}" if effect.margin is not None else ""
        lowest, highest = effect.by_prompt[0], effect.by_prompt[-1]
        return _svg(
            figure,
            f"Change of {card.title} of {effect.prompts} prompts, {compared}: from "
            f"{card.write(lowest.mean, signed=True)} ({lowest.prompt}) to {card.write(highest.mean, signed=True)} "
            f"({highest.prompt}){lose}.",
        )


def plot_trials(trials: Trials) -> list[Markup]:
    """Draws two objectives against each other, with the Pareto front as a line, and each objective by trial, with the
    best so far as a line.

    Empty where fewer than two trials are finished.
    """
    finished = [(one, one.values) for one in trials.finished if one.values is not None]
    if len(finished) < 2:
        return []
    drawn = []
    if len(trials.objectives) > 1:
        first, second = trials.objectives
        front = sorted((values[1], values[0]) for one, values in finished if one.is_best)
        points = [(values[1], values[0], one) for one, values in finished]
        drawn.append(_trials_plot(points, front, (second, first), "default"))
    for index, (card, direction) in enumerate(zip(trials.objectives, trials.directions, strict=True)):
        better = max if direction == "maximize" else min
        numbers = [one.number for one, _ in finished]
        so_far = accumulate((values[index] for _, values in finished), better)
        points = [(one.number, values[index], one) for one, values in finished]
        drawn.append(_trials_plot(points, list(zip(numbers, so_far, strict=True)), (None, card), "steps-post"))
    return drawn


def plot_trade_offs(found: Sequence[TradeOff], labels: Sequence[str]) -> Markup | None:
    """Draws nearness to the exact video against the time that it takes, by PSNR and by SSIM, with the exact cell in the
    upper right corner, where nothing is saved and nothing lost.

    None where no time compares.
    """
    points = [(one.time_share, one, label) for one, label in zip(found, labels, strict=True) if one.time_share]
    if not points:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 3.1), layout="constrained")
        figure.patch.set_alpha(0)
        left = min(0.0, *(share for share, _, _ in points))
        right = max(1.0, *(share for share, _, _ in points)) * 1.02
        psnrs = [one.psnr for _, one, _ in points if one.psnr < PSNR_LIMIT_DB]
        top_db = max(psnrs, default=PSNR_LIMIT_DB) + 4
        panels = (
            ("PSNR to exact, dB", top_db, [min(one.psnr, top_db) for _, one, _ in points]),
            ("SSIM to exact", 1.0, [one.ssim for _, one, _ in points]),
        )
        for place, (heading, top, heights) in enumerate(panels):
            axes = figure.add_subplot(1, 2, place + 1)
            axes.patch.set_alpha(0)
            axes.grid(linewidth=0.4, alpha=0.25, color=_INK)
            axes.plot(1, top, "s", color=_INK, markersize=6, clip_on=False, zorder=4)
            axes.annotate("exact", (1, top), (-7, 2), textcoords="offset points", ha="right", fontsize=8)
            for number, ((share, _, _), height) in enumerate(zip(points, heights, strict=True)):
                axes.plot(share, height, "o", color=COLOURS[number % len(COLOURS)], markersize=5, clip_on=False)
                axes.annotate(str(number + 1), (share, height), (5, -3), textcoords="offset points", fontsize=8)
            axes.set_xlim(left, right)
            axes.set_ylim(top=top)
            axes.set_xlabel("time, share of exact")
            axes.set_ylabel(heading)
        handles = [
            Line2D([], [], marker="o", linestyle="none", color=COLOURS[number % len(COLOURS)], markersize=5,
                   label=f"{number + 1}  {label}")
            for number, (_, _, label) in enumerate(points)
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=7)
        said = "; ".join(f"{label} {one.psnr:.1f} dB in {share:.0%} of the time" for share, one, label in points)
        return _svg(figure, f"PSNR and SSIM to the exact video against time, exact at 100%: {said}.")


def _canvas(height_in: float) -> tuple[Figure, Axes]:
    """Creates a transparent figure of the page's width."""
    figure = Figure(figsize=(4.8, height_in), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    return figure, axes


def _trials_plot(
    points: Sequence[tuple[float, float, Tried]],
    line: Sequence[tuple[float, float]],
    cards: tuple[MetricCard | None, MetricCard],
    style: Literal["default", "steps-post"],
) -> Markup:
    """Draws a point for each trial, the best filled and numbered, and a line.

    `cards` are those of the horizontal and vertical axis; None stands for the trial's number.
    """
    across, up = cards
    wide = 1.0 if across is None else across.scale
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.7)
        axes.grid(axis="y", linewidth=0.4, alpha=0.25, color=_INK)
        axes.plot(
            [x / wide for x, _ in line], [y / up.scale for _, y in line],
            color=COLOURS[0], linewidth=1.2, alpha=0.6, drawstyle=style,
        )  # fmt: skip
        for x, y, one in points:
            face = COLOURS[0] if one.is_best else "none"
            axes.plot(x / wide, y / up.scale, "o", color=COLOURS[0], markerfacecolor=face, markersize=5)
            if one.is_best:
                axes.annotate(str(one.number), (x / wide, y / up.scale), (4, 4), textcoords="offset points", fontsize=8)
        if across is None:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial" if across is None else across.heading)
        axes.set_ylabel(up.heading)
        axes.margins(x=0.08, y=0.15)
        title = f"{up.title} {'by trial' if across is None else f'against {across.title}'}"
        return _svg(figure, f"{title}, {len(points)} trials; the table has the numbers.")


def _effect(axes: Axes, place: int, effect: Effect, scale: float) -> None:
    marker, colour, is_filled = _MARKS[effect.verdict]
    if effect.margin is not None:
        axes.barh(
            place, 2 * effect.margin / scale, 1.0, left=-effect.margin / scale, color=_INK, alpha=0.1, linewidth=0
        )
    if effect.low is not None and effect.high is not None:
        axes.plot([effect.low / scale, effect.high / scale], [place, place], color=colour, linewidth=1.4)
    face = colour if is_filled else "none"
    axes.plot(effect.mean / scale, place, marker, color=colour, markerfacecolor=face, markersize=5.5, linewidth=1.4)
    axes.text(
        1.02, place, effect.verdict, transform=axes.get_yaxis_transform(), va="center",
        fontsize=8,
    )  # fmt: skip


def _has(cell: TrackedRun | None, quantity: MetricCard) -> bool:
    return cell is not None and cell.state.is_finished and quantity.name in cell.metrics


def _by_prompt(axes: Axes, cells: Sequence[TrackedRun], quantity: MetricCard) -> None:
    names = list(dict.fromkeys(cell.prompt_name for cell in cells))
    heights = [cell.metrics[quantity.name] / quantity.scale for cell in cells]
    axes.plot(
        [names.index(cell.prompt_name) for cell in cells], heights, "o", color=COLOURS[0], markersize=5, alpha=0.8
    )
    if len(names) <= MOST_TICKS:
        short = [name if len(name) <= 18 else f"{name[:17]}…" for name in names]
        axes.set_xticks(range(len(names)), short, rotation=35, ha="right")
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} prompts")


def _by_value(axes: Axes, grid: Grid, points: Sequence[tuple[Row, Any]], quantity: MetricCard) -> None:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in grid.values)
    is_scale = numbers and grid.axis != "seed"
    places = [float(value) for value in grid.values] if is_scale else list(range(len(grid.values)))
    few = len(points) <= len(COLOURS)
    for index, (row, cells) in enumerate(points):
        axes.plot(
            [places[column] for column, _ in cells],
            [cell.metrics[quantity.name] / quantity.scale for _, cell in cells],
            marker="o",
            linestyle="-" if is_scale else "none",
            linewidth=1.2 if few else 0.6,
            markersize=5 if few else 3,
            alpha=0.9 if few else 0.45,
            color=COLOURS[index] if few else COLOURS[0],
            label=f"{row.prompt_name} {row.label}".strip(),
        )
    apart = min((abs(a - b) for a, b in pairwise(places)), default=1.0) >= 0.04 * (max(places) - min(places))
    if not is_scale or (len(places) <= MOST_TICKS and apart):
        axes.set_xticks(places, [write_value(value) for value in grid.values])
    axes.set_xlabel(str(grid.axis))
    if 1 < len(points) <= len(COLOURS):
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _alternative(grid: Grid, cells: Sequence[TrackedRun], quantity: MetricCard) -> str:
    values = [cell.metrics[quantity.name] for cell in cells]
    against = "each prompt" if grid.axis is None else grid.axis
    return (
        f"{quantity.title} against {against}, {len(values)} points from {quantity.write(min(values))} to "
        f"{quantity.write(max(values))}; each number stands under its video."
    )


def _effects_alternative(effects: Sequence[Effect], quantity: MetricCard) -> str:
    changes = [
        f"{write_value(effect.value)}{f' ({effect.kind})' if effect.kind else ''} "
        f"{quantity.write(effect.mean, signed=True)}, {effect.verdict}"
        for effect in reversed(effects)
    ]
    against = f"{effects[0].axis} {write_value(effects[0].baseline)}"
    return f"Change of {quantity.title} against {against}: {'; '.join(changes)}; intervals are in the table."


def _svg(figure: Figure, alternative: str) -> Markup:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
    label = escape(alternative)
    named = Markup('<svg class="plot" role="img" aria-label="{}" ').format(label)
    # matplotlib escapes the text it writes.
    body = re.sub(r"^<svg ", "", svg, count=1)
    opened, _, rest = body.partition(">")
    return named + Markup(opened) + Markup("><title>{}</title>").format(label) + Markup(rest)
