"""Damaged model folders: the project's errors alone, in one line each, at once."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from cogx_runs.errors import CogxError
from cogx_runs.generation.pipeline import load_pipeline
from cogx_runs.generation.text import TextEncoding
from cogx_runs.planning.advice import advise
from cogx_runs.planning.cells import ResolvedCells, resolve_cells
from cogx_runs.progress import SilentProgress
from tests.support.advice import make_sweep
from tests.support.damage import Damage, damaged, damages
from tests.support.planning import library_of

HANGS_S = 30.0
"""Processor time beyond which nobody waits, on a busy machine too."""
_ANY: dict[str, Any] = {
    "deadline": None, "database": None, "derandomize": True, "print_blob": False,
    "suppress_health_check": list(HealthCheck), "phases": [Phase.generate],
}  # fmt: skip


def plan(model: Path) -> ResolvedCells:
    """Cells and advice of a sweep over the folder."""
    sweep = make_sweep(model=str(model), num_frames=9, num_inference_steps=2, clip_model="ViT-B-32:openai")
    cells = resolve_cells([sweep], library_of("A panda."), "cpu", {})
    errors = [found for found in advise(cells, [sweep]) if found.level == "error"]
    if errors:
        raise CogxError(errors[0].message)
    return cells


def refused(model: Path) -> str:
    """What planning says of a folder in one line, in time; empty where it takes it."""
    began = time.process_time()
    try:
        plan(model)
        said = ""
    except CogxError as error:
        said = str(error)
        assert said.splitlines() == [said]
        assert len(said) < 1000
    assert time.process_time() - began < HANGS_S
    return said


@settings(max_examples=100, **_ANY)
@given(wrong=damages())
def test_a_damaged_folder_is_one_line_while_planning(tiny_model: Path, shared: Path, wrong: list[Damage]) -> None:
    refused(damaged(tiny_model, shared / f"damaged-{os.getpid()}", wrong))


@pytest.mark.slow
def test_what_planning_takes_of_2000_damaged_folders_can_be_loaded_or_is_one_line_too(
    tiny_model: Path, tmp_path: Path
) -> None:
    counts: Counter[str] = Counter()
    late: list[str] = []

    @settings(max_examples=2000, **_ANY)
    @given(wrong=damages())
    def each(wrong: list[Damage]) -> None:
        model = damaged(tiny_model, tmp_path / "damaged", wrong)
        if refused(model):
            counts["refused while planning"] += 1
            return
        cells = plan(model)
        try:
            spec, (card,) = cells.specs[0], cells.cards.values()
            TextEncoding().encode_missing(card, [spec], SilentProgress())
            load_pipeline(card, spec)
            counts["taken, and loaded"] += 1
        except CogxError as error:
            late.append(str(error))
            counts["taken, and refused when loaded"] += 1

    each()
    print(dict(counts), *late, sep="\n")  # noqa: T201 (the counts are what is wanted of it)

    assert counts["refused while planning"] > 1000
    assert len(late) < 0.02 * counts.total()
