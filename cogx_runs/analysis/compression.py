"""How far the scores of the mp4, which is what people see, are from those of the frames before H.264."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cogx_runs.analysis.cells import distinguishing
from cogx_runs.analysis.strata import NEVER_MIXED
from cogx_runs.definitions.spec import FILE_FIELDS
from cogx_runs.formatting import count, write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.compression import compression_change
from cogx_runs.metrics.registry import qualities

SAME = "the same"


def compression_sentences(cells: Sequence[tuple[Mapping[str, Any], Mapping[str, float]]]) -> list[str]:
    """Describes what H.264 does to the scores of videos, each given by its parameters and metrics.

    `In the mp4, which you see, the CLIP score is 1.30 lower than in the frames (mean of 24 videos; furthest 4.10
    lower).`

    A sentence for each kind of videos: models, CLIPs, sizes, precisions, frame rates and qualities of the mp4 are never
    averaged over. Nothing where no video has both scores, or all are of their mp4 already.
    """
    sentences = []
    for card in qualities():
        changes = [
            (config, change) for config, metrics in cells if (change := compression_change(card, metrics)) is not None
        ]
        named = distinguishing([config for config, _ in changes], ("model", *NEVER_MIXED, *FILE_FIELDS))
        by_kind: dict[str, list[float]] = {}
        for config, change in changes:
            by_kind.setdefault(_kind(config, named), []).append(change)
        sentences += [_sentence(card, kind, found) for kind, found in by_kind.items()]
    return sentences


def _kind(config: Mapping[str, Any], named: Iterable[str]) -> str:
    return ", ".join(f"{name} {write_value(config.get(name))}" for name in named)


def _sentence(card: MetricCard, kind: str, changes: Sequence[float]) -> str:
    of = f" ({kind})" if kind else ""
    videos = count(len(changes), "video")
    if len(changes) > 1:
        videos = f"mean of {videos}; furthest {_apart(card, max(changes, key=abs))}"
    mean = _apart(card, sum(changes) / len(changes))
    than = "as" if mean == SAME else "than"
    return f"In the mp4, which you see, the {card.title}{of} is {mean} {than} in the frames ({videos})."


def _apart(card: MetricCard, change: float) -> str:
    """Writes a change without its sign: `1.30 lower`."""
    if card.number(change, signed=True) == card.number(0.0):
        return SAME
    return f"{card.write(abs(change))} {'lower' if change < 0 else 'higher'}"
