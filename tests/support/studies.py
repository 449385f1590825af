"""Runs at two guidance scales with given differences, and their effects."""

from collections.abc import Mapping, Sequence
from typing import Any

from cogx_runs.analysis.effects import Effect, effects
from tests.support.frames import frame_of, run

PROMPTS = tuple(f"prompt_{number}" for number in range(20))
SCORES = (0.5, 1.5, 1.0, 2.0, 0.0, 1.2, 0.8, 1.1, 0.9)


def study(differences: Sequence[float] = SCORES, **given: Any) -> list[dict[str, Any]]:
    """Guidance 6 and 12, with those differences of the CLIP score."""
    rows: list[dict[str, Any]] = []
    for prompt, difference in zip(PROMPTS, differences, strict=False):
        base = 25 + len(rows)
        rows.append(run(prompt_name=prompt, guidance_scale=6.0, clip_score=base, **given))
        rows.append(run(prompt_name=prompt, guidance_scale=12.0, clip_score=base + difference, **given))
    return rows


def clip_effects(rows: Sequence[Mapping[str, Any]], **given: Any) -> list[Effect]:
    return effects(frame_of(rows), ["guidance_scale"], ["clip_score"], **given)
