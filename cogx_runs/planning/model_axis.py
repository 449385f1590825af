"""What a comparison across models does not say, where their videos differ in more than the model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.metrics.card import Likeness
from cogx_runs.metrics.registry import cards_of_every_cell
from cogx_runs.models.cards import ModelCard
from cogx_runs.planning.cells import ResolvedCells
from cogx_runs.planning.plan import Advice

Property = Callable[[RunSpec, ModelCard], str]
_PROPERTIES: dict[Likeness, Property] = {
    Likeness.RATE: lambda _, card: str(card.fps),
    Likeness.LENGTH: lambda spec, _: str(spec.num_frames),
    Likeness.SIZE: lambda spec, _: f"{spec.height}x{spec.width}",
}


def advise_across_models(cells: ResolvedCells, sweeps: Iterable[Sweep]) -> Iterator[Advice]:
    """Warns of metrics that compare the models' frame rates, frame counts, sizes or CLIPs in a sweep over models."""
    for sweep in sweeps:
        if "model" not in sweep.axes:
            continue
        by_model: dict[str, list[RunSpec]] = {}
        for spec in cells.specs:
            if spec.sweep == sweep.name:
                by_model.setdefault(spec.model, []).append(spec)
        yield from _different_videos(sweep, by_model, cells)
        yield from _different_clips(sweep, by_model)


def _different_videos(
    sweep: Sweep, by_model: Mapping[str, Sequence[RunSpec]], cells: ResolvedCells
) -> Iterator[Advice]:
    models = {name: cells.cards[specs[0].model_key] for name, specs in by_model.items()}
    instead = {
        Likeness.RATE: "no setting makes them alike",
        Likeness.LENGTH: _common_frames(models.values()),
        Likeness.SIZE: "name height and width for all",
    }
    for likeness, value_of in _PROPERTIES.items():
        values = {
            name: dict.fromkeys(value_of(spec, models[name]) for spec in specs) for name, specs in by_model.items()
        }
        if len({tuple(found) for found in values.values()}) > 1:
            each = ", ".join(f"{name} {' and '.join(found)}" for name, found in values.items())
            titles = [
                card.title for card in cards_of_every_cell(sweep.extra_metrics).values() if likeness in card.presumes
            ]
            message = f"the models differ in {likeness} ({each}), and so, for that alone, in {', '.join(titles)}"
            yield Advice("warning", sweep.where("model"), f"{message}; {instead[likeness]}")


def _common_frames(models: Iterable[ModelCard]) -> str:
    """Names the largest frame count that all models make."""
    common = reduce(set.intersection, [set(card.valid_frames()) for card in models])
    return f"num_frames: {max(common)} suits all" if common else "no number suits all"


def _different_clips(sweep: Sweep, by_model: Mapping[str, Sequence[RunSpec]]) -> Iterator[Advice]:
    clips = {name: " and ".join(dict.fromkeys(spec.clip_model for spec in specs)) for name, specs in by_model.items()}
    if len(set(clips.values())) > 1:
        each = ", ".join(f"{name} by {clip}" for name, clip in clips.items())
        message = f"the models are scored by different CLIPs ({each}), whose scores are not compared; name one for all"
        yield Advice("warning", sweep.where("clip_model"), message)
