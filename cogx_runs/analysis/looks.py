"""The record of the looks at an experiment's primary metric, and at thresholds in it, kept in its tags."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cogx_runs.analysis.effects import PRIMARY
from cogx_runs.analysis.sequential import Looks
from cogx_runs.errors import StoreError, first_line
from cogx_runs.tracking import tags as names
from cogx_runs.tracking.tags import json_tag

if TYPE_CHECKING:
    from cogx_runs.tracking.store import RunStore

_PROMPTS, _MOST = "prompts", "max_prompts"
_THRESHOLD = "threshold "


def primary_of(tags: Mapping[str, str]) -> str:
    """Returns the metric that carries the verdicts of an experiment."""
    return tags.get(names.PRIMARY, PRIMARY)


def threshold_of(metric: str, reference: int) -> str:
    """Names the looks at the smallest step count by a metric, which are apart from those at the primary metric."""
    return f"{_THRESHOLD}{metric} {reference}"


def looks_of(tags: Mapping[str, str], metric: str) -> Looks:
    """Reads the looks at a metric, or at a `threshold_of` one, so far. The `max_prompts` is that of the first look,
    whatever the sweep file says by now."""
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


def keep_looks(store: "RunStore", experiment: str, metric: str, looks: Looks) -> str | None:
    """Keeps the looks at a metric in the tags of an experiment. Returns why the store does not, as where it is read
    only; None where it does."""
    experiment_id = store.experiment_id(experiment)
    tags = store.experiment_tags(experiment_id)
    try:
        store.tag_experiment(experiment_id, with_looks(tags, metric, looks))
    except StoreError as error:
        return first_line(error)
    return None


def changed_since(tags: Mapping[str, str], metric: str) -> list[str]:
    """Describes what was changed after the first look, so that 5% is no longer what it says; else empty."""
    sentences = []
    others = sorted(name for name in json_tag(tags, names.LOOKS) if not name.startswith(_THRESHOLD) and name != metric)
    if others and not metric.startswith(_THRESHOLD):
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
