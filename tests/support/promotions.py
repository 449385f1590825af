"""Runs of candidates at few steps and of finals at many, without a store."""

from collections.abc import Mapping, Sequence
from typing import Any

from cogx_runs.tracking.record import params
from tests.support.specs import SPEC

OTHER = "clip_score.other"


def row(
    prompt: str,
    seed: int,
    steps: int,
    clip_score: float | None,
    *,
    status: str = "FINISHED",
    tags: Mapping[str, str] | None = None,
    other: float | None = None,
    **given: Any,
) -> dict[str, Any]:
    """A run as the store gives it."""
    text = given.pop("text", f"A text of {prompt}.")
    start_time = given.pop("start_time", 0)
    spec = SPEC.replace(prompt_name=prompt, prompt=text, seed=seed, num_inference_steps=steps, axes=("seed",), **given)
    return {
        "run_id": f"{prompt}{seed}{steps}{spec.signature}{status}",
        "run_name": spec.run_name,
        "status": status,
        "start_time": start_time,
        **{f"params.{name}": str(value) for name, value in params(spec).items()},
        "metrics.clip_score": clip_score,
        f"metrics.{OTHER}": other,
        "tags.cogx.signature": spec.signature,
        "tags.cogx.prompt": spec.prompt,
        **{f"tags.{name}": value for name, value in (tags or {}).items()},
    }


def both(scores: Mapping[str, tuple[Sequence[float], Sequence[float | None]]]) -> list[dict[str, Any]]:
    """Seeds 0, 1, ... of each prompt with a score at 25 steps and, where it is not None, one at 50."""
    rows = []
    for prompt, (before, after) in scores.items():
        rows += [row(prompt, seed, 25, score) for seed, score in enumerate(before)]
        rows += [row(prompt, seed, 50, score) for seed, score in enumerate(after) if score is not None]
    return rows


TWO = both({"fox": ([3.0, 5.0, 4.0], []), "owl": ([2.0, 1.0], [])})
