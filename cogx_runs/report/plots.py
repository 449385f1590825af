"""Every point of a metric against an axis, as SVG that takes its text colour from the page."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cogx_runs.report.cells import Cell
from cogx_runs.report.grids import Grid, Row
from cogx_runs.report.quantities import Quantity, write_value

COLOURS = ("#4c8bf5", "#e2703a", "#35a06b", "#b667d6", "#c99a1e", "#d9536f", "#2ba3b5", "#8a8f98")
"""Told apart on white and on black."""
_INK = "#010203"
"""Becomes the page's own text colour."""
MOST_TICKS = 12
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "cogx-runs", "font.family": "sans-serif", "font.size": 9,
    "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "text.parse_math": False,
}  # fmt: skip


def plot(grid: Grid, quantity: Quantity) -> Markup | None:
    """A point for each finished cell that has the metric, a line through those of one prompt and seed.

    None where there are fewer than two points. Seeds have no order, so that no line joins them.
    """
    points = [
        (row, [(column, cell) for column, cell in enumerate(row.cells) if _has(cell, quantity)]) for row in grid.rows
    ]
    found = [cell for _, cells in points for _, cell in cells if cell is not None]
    if len(found) < 2:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.8, 2.7), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        axes.grid(axis="y", linewidth=0.4, alpha=0.25, color=_INK)
        if grid.axis is None:
            _by_prompt(axes, found, quantity)
        else:
            _by_value(axes, grid, points, quantity)
        axes.set_ylabel(quantity.label + (f" ({quantity.unit})" if quantity.unit else ""))
        axes.margins(x=0.08, y=0.12)
        return _svg(figure, _alternative(grid, found, quantity))


def _has(cell: Cell | None, quantity: Quantity) -> bool:
    return cell is not None and cell.is_finished and quantity.metric in cell.metrics


def _by_prompt(axes: Axes, cells: Sequence[Cell], quantity: Quantity) -> None:
    names = list(dict.fromkeys(cell.prompt_name for cell in cells))
    heights = [cell.metrics[quantity.metric] / quantity.scale for cell in cells]
    axes.plot(
        [names.index(cell.prompt_name) for cell in cells], heights, "o", color=COLOURS[0], markersize=5, alpha=0.8
    )
    if len(names) <= MOST_TICKS:
        short = [name if len(name) <= 18 else f"{name[:17]}…" for name in names]
        axes.set_xticks(range(len(names)), short, rotation=35, ha="right")
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} prompts")


def _by_value(axes: Axes, grid: Grid, points: Sequence[tuple[Row, Any]], quantity: Quantity) -> None:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in grid.values)
    is_scale = numbers and grid.axis != "seed"
    places = [float(value) for value in grid.values] if is_scale else list(range(len(grid.values)))
    few = len(points) <= len(COLOURS)
    for index, (row, cells) in enumerate(points):
        axes.plot(
            [places[column] for column, _ in cells],
            [cell.metrics[quantity.metric] / quantity.scale for _, cell in cells],
            marker="o",
            linestyle="none" if grid.axis == "seed" else "-",
            linewidth=1.2 if few else 0.6,
            markersize=5 if few else 3,
            alpha=0.9 if few else 0.45,
            color=COLOURS[index] if few else COLOURS[0],
            label=f"{row.prompt_name} {row.label}".strip(),
        )
    if not is_scale or len(places) <= MOST_TICKS:
        axes.set_xticks(places, [write_value(value) for value in grid.values])
    axes.set_xlabel(str(grid.axis))
    if 1 < len(points) <= len(COLOURS):
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _alternative(grid: Grid, cells: Sequence[Cell], quantity: Quantity) -> str:
    values = [cell.metrics[quantity.metric] for cell in cells]
    against = "each prompt" if grid.axis is None else grid.axis
    return (
        f"{quantity.label} against {against}, {len(values)} points from {quantity.write(min(values))} to "
        f"{quantity.write(max(values))}; each number stands under its video."
    )


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
