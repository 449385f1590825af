"""What happens when memory runs out."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from cogx_runs import load_runs
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.generation.loader import Loader
from cogx_runs.generation.oom_fallback import OomFallback
from cogx_runs.generation.pipeline import load_pipeline, load_text_encoder
from cogx_runs.models.memory import Budget
from cogx_runs.planning.plan import Plan
from tests.support.running import SmallGpu, run


def two(plan: Plan) -> Plan:
    return replace(plan, runs=plan.runs[:2])


def test_out_of_memory_in_denoising_steps_down_once_for_all_cells_and_is_recorded(plan: Plan) -> None:
    gpu = SmallGpu("denoise", ("resident",))

    assert run(two(plan), **gpu.parts) == ["finished", "finished"]

    assert gpu.calls == [
        ("denoise", 1, "resident"),
        ("denoise", 1, "group"), ("decode", 1, "group"),
        ("denoise", 2, "group"), ("decode", 2, "group"),
    ]  # fmt: skip
    runs = load_runs("exp")
    assert list(runs["params.placement"]) == ["group", "group"]
    assert runs["tags.cogx.stepped_down"].unique().tolist() == ["resident to group: out of the GPU's memory"]


def test_out_of_memory_in_decoding_denoises_nothing_again(plan: Plan) -> None:
    gpu = SmallGpu("decode", ("resident",))

    assert run(replace(plan, runs=plan.runs[:1]), **gpu.parts) == ["finished"]

    assert gpu.calls == [("denoise", 1, "resident"), ("decode", 1, "resident"), ("decode", 1, "group")]
    made = load_runs("exp").iloc[0]
    assert made["params.placement"] == "resident"
    assert made["tags.cogx.stepped_down"] == "resident to group in decoding: out of the GPU's memory"


def test_a_compiled_cell_never_falls_back_to_where_it_cannot_run(plan: Plan) -> None:
    compiled = [replace(planned, spec=planned.spec.replace(compile=True)) for planned in plan.runs[:1]]
    gpu = SmallGpu("denoise", ("resident", "group"))

    def load_plain(card: Any, spec: RunSpec) -> Any:
        return load_pipeline(card, spec.replace(compile=False))

    assert run(replace(plan, runs=tuple(compiled)), load_pipeline=load_plain, **gpu.parts) == ["failed"]

    assert [placement for _, _, placement in gpu.calls] == ["resident", "group"]


def test_a_host_without_room_to_pin_is_not_driven_to_group(plan: Plan) -> None:
    spec = plan.runs[0].spec
    card = plan.cards[spec.model_key]

    assert OomFallback(Loader()).smaller(card, spec) == "group"

    without_room = OomFallback(Loader(), budget=lambda _: Budget(vram_gib=80, ram_gib=0))
    assert without_room.smaller(card, spec) == "sequential"


@pytest.mark.slow
def test_the_text_encoder_out_of_memory_goes_layer_by_layer_and_then_says_so(plan: Plan) -> None:
    asked: list[str] = []

    def small(card: Any, dtype: Any, device: Any, placement: str, ends: bool = False) -> Any:
        asked.append(placement)
        if placement == "resident" or ends:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return load_text_encoder(card, dtype, device, "resident")

    with pytest.raises(CogxError, match="^the text encoder of .*: out of the GPU's memory even layer by layer"):
        run(two(plan), load_text_encoder=partial(small, ends=True))

    assert run(two(plan), load_text_encoder=small) == ["finished", "finished"]
    assert asked == ["resident", "sequential"] * 2


def test_the_gpu_is_capped_before_anything_is_loaded_and_not_left_so(plan: Plan) -> None:
    events: list[Any] = []

    def stop(*_: Any) -> Any:
        events.append("load")
        raise KeyboardInterrupt

    for cap in (6.0, None):
        with pytest.raises(KeyboardInterrupt):
            run(replace(plan, max_vram_gib=cap), cap_memory=events.append, load_pipeline=stop)

    assert events == [6.0, "load", None, "load"]


def test_a_placement_that_is_compared_is_not_replaced_by_another(plan: Plan) -> None:
    compared = tuple(
        replace(planned, spec=planned.spec.replace(axes=("placement",), placement=placement))
        for planned, placement in zip(plan.runs[:1] * 2, ("resident", "group"), strict=True)
    )
    gpu = SmallGpu("denoise", ("resident",))

    assert run(replace(plan, runs=compared), **gpu.parts) == ["failed", "finished"]

    assert [call for call in gpu.calls if call[0] == "denoise"] == [("denoise", 1, "resident"), ("denoise", 1, "group")]
    assert sorted(load_runs("exp")["params.placement"]) == ["group", "resident"]
