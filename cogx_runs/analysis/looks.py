"""The record of the looks at an experiment's primary metric, kept in its tags."""

import json
from collections.abc import Mapping
from typing import Any

from cogx_runs.analysis.effects import PRIMARY
from cogx_runs.analysis.sequential import Looks
from cogx_runs.tracking import tags as names
from cogx_runs.tracking.tags import json_tag

_PROMPTS, _MOST = "prompts", "max_prompts"


def primary_of(tags: Mapping[str, str]) -> str:
    """Returns the metric that carries the verdicts of an experiment."""
    return tags.get(names.PRIMARY, PRIMARY)


def looks_of(tags: Mapping[str, str], metric: str) -> Looks:
    """Reads the looks at a metric so far. The `max_prompts` is that of the first look, whatever the sweep file says by
    now."""
    found = json_tag(tags, names.LOOKS).get(metric)
    found = found if isinstance(found, dict) else {}
    prompts = found.get(_PROMPTS)
    counts = [count for count in prompts if isinstance(count, int)] if isinstance(prompts, list) else []
    most = found.get(_MOST) if counts else _number(tags.get(names.MAX_PROMPTS))
    return Looks(prompts=tuple(sorted(set(counts))), max_prompts=most if isinstance(most, int) else None)


def with_looks(tags: Mapping[str, str], metric: str, looks: Looks) -> dict[str, str]:
    """Returns the tag that keeps the looks at a metric beside those at others."""
    kept: dict[str, Any] = json_tag(tags, names.LOOKS)
    return {names.LOOKS: json.dumps(kept | {metric: {_PROMPTS: looks.prompts, _MOST: looks.max_prompts}})}


def changed_since(tags: Mapping[str, str], metric: str) -> list[str]:
    """Describes what was changed after the first look, so that 5% is no longer what it says; else empty."""
    sentences = []
    others = sorted(set(json_tag(tags, names.LOOKS)) - {metric})
    if others:
        sentences.append(
            f"The primary metric was {', '.join(others)} at earlier looks, and is {metric} now: who chooses it after "
            "looking is wrong in more than 5%."
        )
    fixed, named = looks_of(tags, metric), _number(tags.get(names.MAX_PROMPTS))
    if fixed.prompts and fixed.max_prompts != named:
        then = "not given" if fixed.max_prompts is None else str(fixed.max_prompts)
        sentences.append(
            f"max_prompts was {then} at the first look, and is {named or 'not given'} now: the first one holds."
        )
    return sentences


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
