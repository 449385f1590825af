"""What happens when memory runs out."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from cogx_runs import load_runs
from cogx_runs.errors import CogxError
from cogx_runs.execution import session
from cogx_runs.execution.session import Workbench
from cogx_runs.models.memory import Budget
from cogx_runs.planning.plan import Plan
from tests.support.running import out_of_memory_at, run


def two(plan: Plan) -> Plan:
    return replace(plan, runs=plan.runs[:2])


def test_out_of_memory_in_denoising_steps_down_once_for_all_cells_and_is_recorded(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = out_of_memory_at(monkeypatch, "denoise", ("resident",))

    assert run(two(plan)) == ["finished", "finished"]

    assert calls == [
        ("denoise", 1, "resident"),
        ("denoise", 1, "group"), ("decode", 1, "group"),
        ("denoise", 2, "group"), ("decode", 2, "group"),
    ]  # fmt: skip
    runs = load_runs("exp")
    assert list(runs["params.placement"]) == ["group", "group"]
    assert runs["tags.cogx.stepped_down"].unique().tolist() == ["resident to group: out of the GPU's memory"]


def test_out_of_memory_in_decoding_denoises_nothing_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = out_of_memory_at(monkeypatch, "decode", ("resident",))

    assert run(replace(plan, runs=plan.runs[:1])) == ["finished"]

    assert calls == [("denoise", 1, "resident"), ("decode", 1, "resident"), ("decode", 1, "group")]
    made = load_runs("exp").iloc[0]
    assert made["params.placement"] == "resident"
    assert made["tags.cogx.stepped_down"] == "resident to group in decoding: out of the GPU's memory"


def test_a_compiled_cell_never_steps_down_to_where_it_cannot_run(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = [replace(planned, spec=planned.spec.replace(compile=True)) for planned in plan.runs[:1]]
    monkeypatch.setattr("cogx_runs.generation.pipeline.compile_blocks", lambda _: None)
    calls = out_of_memory_at(monkeypatch, "denoise", ("resident", "group"))

    assert run(replace(plan, runs=tuple(compiled))) == ["failed"]

    assert [placement for _, _, placement in calls] == ["resident", "group"]


def test_a_host_without_room_to_pin_is_not_driven_to_group(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = plan.runs[0].spec
    smaller = partial(Workbench().within_memory.smaller, plan.cards[spec.model_key], spec)
    assert smaller() == "group"

    monkeypatch.setattr(Budget, "here", classmethod(lambda *_: Budget(vram_gib=80, ram_gib=0)))

    assert smaller() == "sequential"


def test_the_text_encoder_out_of_memory_goes_layer_by_layer_and_then_says_so(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogx_runs.generation import text

    load = text.load_text_encoder
    asked: list[str] = []

    def small(card: Any, dtype: Any, device: Any, placement: str, ends: bool = False) -> Any:
        asked.append(placement)
        if placement == "resident" or ends:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return load(card, dtype, device, "resident")

    monkeypatch.setattr(text, "load_text_encoder", partial(small, ends=True))
    with pytest.raises(CogxError, match="^the text encoder of .*: out of the GPU's memory even layer by layer"):
        run(two(plan))
    monkeypatch.setattr(text, "load_text_encoder", small)

    assert run(two(plan)) == ["finished", "finished"]
    assert asked == ["resident", "sequential"] * 2


def test_the_gpu_is_capped_before_anything_is_loaded_and_not_left_so(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Any] = []
    monkeypatch.setattr(session, "cap_memory", events.append)
    monkeypatch.setattr(
        "cogx_runs.generation.loader.load_pipeline", lambda *_: events.append("load") or pytest.fail("stop here")
    )
    for cap in (6.0, None):
        with pytest.raises(pytest.fail.Exception):
            run(replace(plan, max_vram_gib=cap))

    assert events == [6.0, "load", None, "load"]
