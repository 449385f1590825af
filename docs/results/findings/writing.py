"""How the tables of docs/results/findings.md write their figures."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from cogx_runs.analysis.effects import Effect
from cogx_runs.analysis.interactions import Interaction
from cogx_runs.metrics.registry import card_of


def only(values: "pd.Series[Any]") -> str:
    found = values.dropna().unique().tolist()
    assert len(found) == 1, found
    return str(found[0])


def title(metric: str) -> str:
    card = card_of(metric)
    assert card is not None
    return f"{card.title}, {card.unit}" if card.unit else card.title


def number(metric: str, value: float, *, with_sign: bool = False) -> str:
    card = card_of(metric)
    assert card is not None
    digits = 2 if metric.endswith("_s") else card.digits
    return signed_number(value / card.scale, digits, with_sign=with_sign)


def signed_number(value: float | None, digits: int, *, with_sign: bool = True) -> str:
    if value is None:
        return "none"
    text = f"{abs(value):,.{digits}f}"
    is_zero = not any(digit in text for digit in "123456789")
    return ("" if is_zero else "−" if value < 0 else "+" if with_sign else "") + text


def mean_of(effect: Effect | Interaction) -> str:
    return number(effect.metric, effect.mean, with_sign=True)


def interval_of(effect: Effect | Interaction) -> str:
    assert effect.low is not None
    assert effect.high is not None
    low, high = (number(effect.metric, end, with_sign=True) for end in (effect.low, effect.high))
    return f"{low} to {high}"


def cell_of(effect: Effect) -> str:
    return f"{mean_of(effect)}<br>{interval_of(effect)}<br>{effect.verdict}"


def as_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
