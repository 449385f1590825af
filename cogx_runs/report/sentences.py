"""The results in plain sentences that claim nothing beyond the numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cogx_runs.analysis.cells import MODEL, follow_model
from cogx_runs.analysis.effects import PRIMARY, Effect
from cogx_runs.analysis.grids import Grid
from cogx_runs.analysis.interactions import Interaction
from cogx_runs.analysis.seeds import SeedSpread
from cogx_runs.analysis.signflips import FEWEST
from cogx_runs.analysis.timing import TimeFit
from cogx_runs.analysis.wording import (
    best_sentence,
    change,
    counted,
    degenerate_counts,
    interaction_sentence,
    prompt_sentences,
    seed_sentences,
    sentence,
    uncompared_sentence,
)
from cogx_runs.definitions.parameters import is_guided
from cogx_runs.definitions.spec import FILE_FIELDS, ROLES
from cogx_runs.formatting import count, whole_seconds, write_value
from cogx_runs.metrics import clip_score
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.measured import FILE_SIZE, WALL_TIME
from cogx_runs.metrics.registry import is_of_machine
from cogx_runs.report.cells import timed_in
from cogx_runs.report.comparisons import HEADLINES, QUANTITIES, Comparisons
from cogx_runs.tracking.run import TrackedRun, is_true
from cogx_runs.tracking.tags import TEXT, metric_tag

FEW = 3
"""Most values of an axis that each get a sentence; of more, the largest change gets one, and the verdicts a line."""


def about_section(cells: Sequence[TrackedRun], unfinished: int) -> str:
    """Counts the cells by their outcome."""
    finished = sum(cell.state.is_finished for cell in cells)
    reused = sum(cell.is_copy for cell in cells)
    parts = [f"{count(finished, 'video')} finished"]
    if reused:
        parts.append(f"{reused} of them copied from another sweep with the figures measured there")
    if imported := sum(cell.imported_from is not None for cell in cells):
        parts.append(f"{imported} of them imported, made by another program, without time and memory")
    if degenerate := sum(cell.degenerate is not None for cell in cells if cell.state.is_finished):
        parts.append(f"{degenerate} of them degenerate")
    if failed := len(cells) - finished:
        parts.append(f"{failed} failed")
    if unfinished:
        parts.append(f"{unfinished} not finished yet and not shown")
    return "; ".join(parts) + "."


@dataclass(frozen=True)
class Said:
    """What a grid shows, in sentences."""

    answers: tuple[str, ...]
    """What a reader wants first."""
    details: tuple[str, ...] = ()
    """Each comparison, and what it leaves out."""


def about_grid(grid: Grid, comparisons: Comparisons, refused: str | None = None, primary: str = PRIMARY) -> Said:
    """Describes a grid's results: the effects along its axis, or the reason `refused` why there are none."""
    if grid.axis is None:
        return Said(tuple(_ranges(grid)))
    effects = comparisons.along(grid.axis)
    if refused:
        return Said((refused, *_traps(grid, effects)))
    answers = [
        best_sentence(one)
        for one in comparisons.best
        if one.axis == grid.axis and len(one.values) > 2 and one.prompts >= FEWEST
    ]
    answers += [
        f"{_named(effect)}: {text}"
        for effect in worst_of(effects, primary)
        if effect.prompts >= FEWEST
        for text in prompt_sentences(effect)
    ]
    if not effects and len(grid.values) > 1:
        answers.append(f"No two finished videos differ in {grid.axis} alone: there is nothing to compare.")
    answers += _too_few(effects)
    answers += _degenerate([effect for effect in effects if effect.metric == primary])
    details = [
        text
        for metric in dict.fromkeys((primary, *HEADLINES))
        for kind in dict.fromkeys(effect.kind for effect in effects)
        for text in _headline([effect for effect in effects if (effect.metric, effect.kind) == (metric, kind)])
    ]
    details += [
        uncompared_sentence(one) for one in comparisons.uncompared if one.axis == grid.axis and one.metric in HEADLINES
    ]
    return Said((*answers, *_traps(grid, effects)), (*details, *_left_out(grid, effects)))


def worst_of(effects: Sequence[Effect], metric: str) -> list[Effect]:
    """Selects, of each kind of runs, the value at which most prompts lose more than the margin; of those the one of the
    largest change."""
    of_metric = [effect for effect in effects if effect.metric == metric]
    kinds = dict.fromkeys(effect.kind for effect in of_metric)
    return [
        max((one for one in of_metric if one.kind == kind), key=lambda one: (one.losing, abs(one.mean)))
        for kind in kinds
    ]


def _named(effect: Effect) -> str:
    kind = f" ({effect.kind})" if effect.kind else ""
    return f"{effect.axis} {write_value(effect.value)}{kind}"


def _too_few(effects: Sequence[Effect]) -> list[str]:
    """Says that the prompts are too few for a verdict."""
    prompts = max((effect.prompts for effect in effects), default=FEWEST)
    if prompts >= FEWEST:
        return []
    are = f"{count(prompts, 'prompt')} {'is' if prompts == 1 else 'are'}"
    return [f"{are} too few for a verdict, which takes {FEWEST}: the changes are those of these videos."]


def about_seeds(grid: Grid, spreads: Sequence[SeedSpread]) -> Said:
    """Describes a grid of seeds by the `spreads` of its experiment."""
    shown = [one for metric in HEADLINES for one in spreads if one.metric == metric]
    answers = [text for one in shown for text in seed_sentences(one)]
    if not shown and len(grid.values) > 1:
        answers.append("No two finished videos differ in the seed alone: there is no spread to report.")
    return Said((*answers, *_texts(grid), *_aborted(grid)))


def about_interactions(found: Sequence[Interaction]) -> list[str]:
    """Describes the largest interaction of each pair of axes, metric and kind of runs."""
    largest: dict[tuple[str, ...], Interaction] = {}
    for one in found:
        key = (one.metric, one.axis_a, one.axis_b, one.kind)
        if key not in largest or abs(one.mean) > abs(largest[key].mean):
            largest[key] = one
    return [interaction_sentence(one) for one in largest.values()]


def about_fit(kind: str, fit: TimeFit) -> str:
    """Describes the linear fit of a time on its work, and how well it fits."""
    runs = f" ({kind})" if kind else ""
    if fit.s_per_million_tokens <= 0:
        return (
            f"{fit.metric}{runs}: over {count(fit.cells, 'video')} it does not grow with the work, tokens through the "
            f"transformer (R² {fit.r_squared:.3f}): something else, such as another process, outweighs it here."
        )
    slope = (
        whole_seconds(fit.s_per_million_tokens)
        if fit.s_per_million_tokens >= 100
        else f"{fit.s_per_million_tokens:.3g}"
    )
    sentences = [
        f"{fit.metric}{runs} = {WALL_TIME.write(fit.fixed_s)} + {slope} s for every million tokens "
        "that go through the transformer (steps, times two with guidance, times the tokens of video and text): R² "
        f"{fit.r_squared:.3f}, residuals {fit.residual_s:.2g} s, over {count(fit.cells, 'video')} of "
        f"{count(fit.prompts, 'prompt')} on {fit.device or 'a device not known'}"
        + (f", {fit.placement}." if fit.placement else ".")
    ]
    if fit.token_counts > 1:
        sentences.append(
            f"The videos have {fit.token_counts} lengths, and time grows faster than they do: one slope is a mean of "
            "theirs."
        )
    if fit.left_out:
        sentences.append(f"{count(fit.left_out, 'video')} left out: not measured alike.")
    return " ".join(sentences)


def about_chosen(videos: int) -> list[str]:
    """Explains why promoted videos are in no comparison; empty where there are none."""
    if not videos:
        return []
    are = "video was promoted and is" if videos == 1 else "videos were promoted and are"
    return [f"{videos} {are} in no comparison: what was picked for its score would show the luck of the pick."]


def about_constant(found: Sequence[MetricCard]) -> str:
    """Names the metrics that are the same in all videos; empty where there are none."""
    if not found:
        return ""
    named = " and ".join(card.title for card in found)
    varies, it = ("varies", "it") if len(found) == 1 else ("vary", "them")
    return f"{named} never {varies} here; ignore {it}."


def warnings_about(cells: Sequence[TrackedRun]) -> list[str]:
    """Lists the reasons why comparisons of these cells could mislead."""
    finished = [cell for cell in cells if cell.state.is_finished]
    groupings: tuple[tuple[str, Callable[[TrackedRun], str], str], ...] = (
        ("models", _model, "their numbers are compared along the model only"),
        ("devices", lambda cell: cell.device_name, "wall times are compared within a device only"),
        (
            "placements",
            lambda cell: "" if cell.cost_axes else str(cell.config.get("placement", "")),
            "wall times are compared within a placement only",
        ),
        (
            "CLIP models",
            lambda cell: cell.tags.get(metric_tag("clip_score", "model"), ""),
            "their scores have different scales; no difference below mixes them",
        ),
        (
            "definitions of the CLIP score",
            lambda cell: cell.definitions.get("clip_score", "").partition(" ")[0],
            "their scores do not compare",
        ),
    )
    sentences = []
    for noun, group, consequence in groupings:
        names = sorted({group(cell) for cell in finished} - {""})
        if len(names) > 1:
            sentences.append(f"This report holds {len(names)} {noun} ({', '.join(names)}): {consequence}.")
    truncated = metric_tag("clip_score", "prompt_truncated")
    cut = sorted({cell.prompt_name for cell in finished if is_true(cell.tags.get(truncated))})
    if cut:
        sentences.append(
            f"CLIP reads only the beginning of {', '.join(cut)}: the score says nothing of what comes after its "
            "token limit."
        )
    busy = sum(cell.is_on_busy_machine for cell in finished)
    shared = sum(cell.beside is not None for cell in finished) - busy
    if shared:
        sentences.append(
            f"{count(shared, 'video')} shared the device with another sweep: their wall times are not compared."
        )
    if busy:
        was = "was" if busy == 1 else "were"
        sentences.append(f"{count(busy, 'video')} {was} timed on a busy machine: no wall time of theirs is compared.")
    return sentences


def _model(cell: TrackedRun) -> str:
    return f"{cell.config.get('model', '')}@{str(cell.config.get('model_revision', ''))[:8]}"


def _ranges(grid: Grid) -> list[str]:
    """Describes the range of each metric with the cells at both ends; nothing along seeds, which are draws."""
    sentences: list[str] = []
    if grid.axis == "seed":
        return sentences
    if len({(_model(cell), cell.config.get("clip_model"), *timed_in(cell)) for cell in grid.cells}) > 1:
        return []
    for quantity in (clip_score.CARD, WALL_TIME):
        cells = [cell for cell in grid.cells if cell.state.is_finished and quantity.name in cell.metrics]
        if quantity is WALL_TIME:
            cells = [cell for cell in cells if cell.beside is None]
        if len(cells) < 2:
            continue
        low = min(cells, key=lambda cell: cell.metrics[quantity.name])
        high = max(cells, key=lambda cell: cell.metrics[quantity.name])
        sentences.append(
            f"Over {len(cells)} videos the {quantity.title} goes from {quantity.write(low.metrics[quantity.name])} "
            f"({_called(low, grid.axis)}) to {quantity.write(high.metrics[quantity.name])} "
            f"({_called(high, grid.axis)})."
        )
    return sentences


def _called(cell: TrackedRun, axis: str | None) -> str:
    return cell.prompt_name if axis is None else f"{axis} {write_value(cell.config[axis])}"


def _headline(effects: Sequence[Effect]) -> list[str]:
    """Describes effects of one metric and kind: each one, or the largest change and all verdicts of many."""
    if not effects:
        return []
    shown = effects if len(effects) <= FEW else [max(effects, key=lambda effect: abs(effect.mean))]
    if all(effect.prompts < FEWEST for effect in effects):
        return [f"{change(effect)} ({counted(effect)})." for effect in shown]
    sentences = [sentence(effect) for effect in shown]
    if len(shown) < len(effects):
        verdicts: dict[str, list[str]] = {}
        for effect in effects:
            verdicts.setdefault(effect.verdict, []).append(write_value(effect.value))
        parts = [f"{verdict} at {', '.join(values)}" for verdict, values in verdicts.items()]
        first = effects[0]
        kind = f" ({first.kind})" if first.kind else ""
        sentences.append(
            f"All {len(effects)} values for the {QUANTITIES[first.metric].title}{kind}: {'; '.join(parts)}."
        )
    return sentences


def _degenerate(effects: Sequence[Effect]) -> list[str]:
    """Counts the degenerate videos in each comparison."""
    counts = [counts for effect in effects if (counts := degenerate_counts(effect))]
    return [f"Degenerate videos, which count like any other: {'; '.join(counts)}."] if counts else []


def _traps(grid: Grid, effects: Sequence[Effect]) -> list[str]:
    sentences = _differ_with_model(grid) if MODEL in grid.axes else []
    if grid.axis == "num_frames":
        sentences.append(
            "More frames make a larger file, whatever their quality, and the CLIP score is a mean over other frames at "
            "each value."
        )
    elif grid.axis in FILE_FIELDS:
        sentences.append(f"{grid.axis} changes how the same frames are encoded: the files' sizes compare encodings.")
    elif any(effect.metric == FILE_SIZE.name for effect in effects):
        sentences.append("A larger file has more motion, detail or noise; its size does not show which.")
    values = [value for value in grid.values if isinstance(value, int | float)]
    if grid.axis == "guidance_scale" and not is_guided(min(values)) and is_guided(max(values)):
        sentences.append("Guidance 1 switches CFG off: one model call a step instead of two.")
    if any(effect.metric == WALL_TIME.name for effect in effects):
        sentences += _texts(grid)
    return sentences + _aborted(grid)


def _differ_with_model(grid: Grid) -> list[str]:
    """Names what differs with the model besides its weights."""
    configs = [cell.config for cell in grid.cells]
    names = [name for name in follow_model(configs) if ROLES[name].is_distinguishing and name != "model_revision"]
    parts = [
        f"{name} ({', '.join(dict.fromkeys(write_value(config.get(name)) for config in configs))})" for name in names
    ]
    scorers = {cell.config.get("clip_model") for cell in grid.cells}
    apart = ["Scores of different CLIPs are not compared."] if len(scorers) > 1 else []
    return ([f"With the model differ: {', '.join(parts)}."] if parts else []) + apart


def _texts(grid: Grid) -> list[str]:
    """Counts the wall times that include encoding a text, where only some do."""
    texts = [cell.tags.get(TEXT) for cell in grid.cells if cell.state.is_finished]
    if not {"encoder", "cache"} <= set(texts):
        return []
    return [f"{texts.count('encoder')} of {len(texts)} wall times include encoding a text; comparisons leave it out."]


def _aborted(grid: Grid) -> list[str]:
    """Counts the videos of each value that were ended as degenerate, and so are in no mean."""
    counts = [
        f"{ended} at {write_value(value)}"
        for place, value in enumerate(grid.values)
        if (ended := sum(_was_aborted(row.cells[place]) for row in grid.rows))
    ]
    if not counts:
        return []
    return [f"Stopped early as degenerate, and in no comparison: {', '.join(counts)}."]


def _was_aborted(cell: TrackedRun | None) -> bool:
    return cell is not None and not cell.state.is_finished and cell.degenerate is not None


def _left_out(grid: Grid, effects: Sequence[Effect]) -> list[str]:
    """Counts the pairs that are not compared, by reason."""
    sentences, counts = [], []
    for metric, quantity in QUANTITIES.items():
        of_metric = [effect for effect in effects if effect.metric == metric]
        worst = max(of_metric, key=lambda effect: effect.left_out, default=None)
        if worst is not None and worst.lost:
            reasons = ", ".join(f"{number} {reason}" for reason, number in worst.lost)
            counts.append(f"{count(worst.left_out, 'pair')} of {quantity.title} ({reasons})")
        elif not of_metric and effects and is_of_machine(metric) and _has_pair(grid, metric):
            sentences.append(f"No {quantity.title} is compared: no two were measured alike.")
    if counts:
        sentences.append(f"Lost, and in no comparison: {', '.join(counts)}.")
    return sentences


def _has_pair(grid: Grid, metric: str) -> bool:
    """Tests whether a finished video and its row's baseline both have the metric."""
    rows = [
        [cell is not None and cell.state.is_finished and metric in cell.metrics for cell in row.cells]
        for row in grid.rows
    ]
    return any(has[grid.baseline] and sum(has) > 1 for has in rows)
