"""What the numbers say, in plain sentences that claim nothing beyond them."""

import json
from collections.abc import Callable, Sequence

from cogx_runs.report.cells import Cell
from cogx_runs.report.differences import Difference
from cogx_runs.report.grids import Grid
from cogx_runs.report.quantities import CLIP, SIZE, WALL, Quantity, write_value


def about_section(cells: Sequence[Cell], unfinished: int) -> str:
    """How many cells there are, and what became of them."""
    finished = sum(cell.is_finished for cell in cells)
    reused = sum(cell.is_reused for cell in cells)
    parts = [f"{_count(finished, 'video')} finished"]
    if reused:
        parts.append(f"{reused} of them taken over from another sweep with the figures measured there")
    if failed := len(cells) - finished:
        parts.append(f"{failed} failed")
    if unfinished:
        parts.append(f"{unfinished} not finished yet and not shown")
    return "; ".join(parts) + "."


def about_grid(grid: Grid, differences: Sequence[Difference]) -> list[str]:
    """What a grid's numbers say; intervals and verdicts are not among it."""
    if grid.axis is None:
        return _ranges(grid)
    said = [_difference(found) for quantity in (CLIP, WALL) for found in differences if found.quantity is quantity]
    if grid.axis == "seed":
        said = [*_ranges(grid), *said]
    if differences:
        said.append(_uncertainty(differences))
    elif len(grid.values) > 1:
        said.append(f"No two finished videos differ in {grid.axis} alone: there is nothing to compare.")
    return said + _traps(grid, differences)


def warnings_about(cells: Sequence[Cell]) -> list[str]:
    """What would mislead a comparison of these cells."""
    finished = [cell for cell in cells if cell.is_finished]
    kinds: tuple[tuple[str, Callable[[Cell], str], str], ...] = (
        ("models", _model, "never compare their numbers; no difference below mixes them"),
        ("devices", lambda cell: cell.tags.get("env.device_name", ""), "wall times are compared within a device only"),
        (
            "placements",
            lambda cell: str(cell.config.get("placement", "")),
            "wall times are compared within a placement only",
        ),
        (
            "CLIP models",
            lambda cell: cell.tags.get("clip_score.model", ""),
            "their scores have different scales; no difference below mixes them",
        ),
        (
            "definitions of the CLIP score",
            lambda cell: json.loads(cell.tags.get("metrics", "{}")).get("clip_score", ""),
            "their scores do not compare",
        ),
    )
    said = []
    for what, kind, so in kinds:
        names = sorted({kind(cell) for cell in finished} - {""})
        if len(names) > 1:
            said.append(f"This report holds {len(names)} {what} ({', '.join(names)}): {so}.")
    cut = sorted({cell.prompt_name for cell in finished if cell.tags.get("clip_score.prompt_truncated") == "True"})
    if cut:
        said.append(
            f"CLIP reads only the beginning of {', '.join(cut)}: the score says nothing of what comes after its "
            "token limit."
        )
    beside = sum("beside" in cell.tags for cell in finished)
    if beside:
        said.append(
            f"{_count(beside, 'video')} shared the device with another sweep: no wall time of theirs is compared."
        )
    return said


def _model(cell: Cell) -> str:
    return f"{cell.config.get('model', '')}@{str(cell.config.get('model_revision', ''))[:8]}"


def _ranges(grid: Grid) -> list[str]:
    """From where to where each metric goes, with the cells at both ends."""
    said = []
    if len({(_model(cell), cell.config.get("clip_model"), *cell.timed_in) for cell in grid.cells}) > 1:
        return []
    for quantity in (CLIP, WALL):
        cells = [cell for cell in grid.cells if cell.is_finished and quantity.metric in cell.metrics]
        if len(cells) < 2:
            continue
        low = min(cells, key=lambda cell: cell.metrics[quantity.metric])
        high = max(cells, key=lambda cell: cell.metrics[quantity.metric])
        said.append(
            f"Over {len(cells)} videos the {quantity.label} goes from {quantity.write(low.metrics[quantity.metric])} "
            f"({_called(low, grid.axis)}) to {quantity.write(high.metrics[quantity.metric])} "
            f"({_called(high, grid.axis)})."
        )
    return said


def _called(cell: Cell, axis: str | None) -> str:
    return cell.prompt_name if axis is None else f"{axis} {write_value(cell.config[axis])}"


def _difference(found: Difference) -> str:
    quantity = found.quantity
    at = f"At {found.axis} {write_value(found.value)} the {quantity.label} is"
    base = f"at {write_value(found.baseline)}"
    count = len(found.by_pair)
    if count == 1:
        return f"{at} {_by(quantity, found.mean)} {base}, in the one pair there is."
    low, high = (quantity.write(end, signed=True) for end in (min(found.by_pair), max(found.by_pair)))
    direction = "higher" if found.mean > 0 else "lower"
    return (
        f"{at} on average {_by(quantity, found.mean)} {base}, over {count} pairs "
        f"(from {low} to {high}; {direction} in {found.same_sign} of {count})."
    )


def _by(quantity: Quantity, difference: float) -> str:
    written = quantity.write(abs(difference))
    if written == quantity.write(0.0):
        return "the same to the digits shown as"
    return f"{written} {'higher' if difference > 0 else 'lower'} than"


def _uncertainty(differences: Sequence[Difference]) -> str:
    widest = max(differences, key=lambda found: len(found.by_pair))
    pairs, seeds = len(widest.by_pair), "seed" if widest.axis != "seed" else ""
    if pairs == 1:
        of = "One prompt and one seed" if seeds else "One prompt and one pair of seeds"
        return f"{of}: no uncertainty can be stated. Another seed may turn every difference around."
    if widest.prompts == 1:
        return "One prompt: how far this holds for others cannot be told. No interval or verdict is stated."
    return f"Raw differences over {widest.prompts} prompts and {_count(widest.seeds, 'seed')}: no interval is stated."


def _traps(grid: Grid, differences: Sequence[Difference]) -> list[str]:
    said = []
    if grid.axis == "num_frames":
        said.append(
            "More frames make a larger file: that is their number and says nothing of quality. The CLIP score is a "
            "mean over other frames at each value."
        )
    elif grid.axis in {"fps", "video_quality"}:
        said.append(f"{grid.axis} changes how the same frames are encoded: the files' sizes compare encodings.")
    elif any(found.quantity is SIZE for found in differences):
        said.append("A larger file has more motion, detail or noise; which of them, its size does not tell.")
    values = [value for value in grid.values if isinstance(value, int | float)]
    if grid.axis == "guidance_scale" and min(values) <= 1 < max(values):
        said.append("At 1 or below guidance is off: a step calls the model for half as many videos.")
    left_out = max((found.not_comparable for found in differences), default=0)
    if left_out:
        said.append(f"{_count(left_out, 'pair')} of wall times left out: not measured alike.")
    return said


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
