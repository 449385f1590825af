"""`fast`: what it stands for on a machine, and that what is named stays as it is."""

from importlib import metadata
from typing import Any

import pytest

from cogx_runs.definitions.parameters import STANDS_FOR
from cogx_runs.models.memory import Budget
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.system.hardware import GIB, Device, Gpu
from tests.support.advice import advice_on, make_sweep
from tests.support.planning import library_of

H100 = Gpu("GPU-1", "H100", "580.65", 80 * GIB, (9, 0))
LARGE, SMALL = Budget(vram_gib=70, ram_gib=100), Budget(vram_gib=1.0, ram_gib=100)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "1.0")


def parts(budget: Budget | None, gpu: Gpu | None, **base: Any) -> tuple[object, ...]:
    sweep = make_sweep(fast=True, **base)
    device: Device = "cpu" if gpu is None else "cuda"
    (spec,) = resolve_cells([sweep], library_of("A panda."), device, {}, budget, gpu).specs
    return tuple(getattr(spec, name) for name in STANDS_FOR["fast"])


@pytest.mark.parametrize(
    ("base", "budget", "gpu", "expected"),
    [
        ({}, LARGE, H100, (True, "fa4", "fused")),
        ({"attention": "sdpa", "decoder": "exact"}, LARGE, H100, (True, "sdpa", "exact")),
        ({"compile": False}, LARGE, H100, (False, "fa4", "fused")),
        ({"dtype": "float32"}, LARGE, H100, (True, "sdpa", "fused")),
        ({}, LARGE, Gpu("GPU-1", "T4", "580.65", 16 * GIB, (7, 5)), (True, "sdpa", "fused")),
        ({}, SMALL, H100, (False, "fa4", "fused")),
        ({"quantization": "fp8_storage"}, LARGE, H100, (False, "fa4", "fused")),
        ({"cache": "pab"}, LARGE, H100, (False, "fa4", "fused")),
        ({"cache": "first_block"}, LARGE, H100, (True, "fa4", "fused")),
        ({}, None, None, (False, "sdpa", "exact")),
    ],
)
@pytest.mark.usefixtures("installed")
def test_fast_is_what_the_machine_has_where_nothing_else_is_named(
    base: dict[str, Any], budget: Budget | None, gpu: Gpu | None, expected: tuple[object, ...]
) -> None:
    assert parts(budget, gpu, **base) == expected


def test_fast_does_without_a_kernel_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "flash-attn-4":
            raise metadata.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)

    assert parts(LARGE, H100) == (True, "sdpa", "fused")


def test_what_fast_came_to_is_noted_and_a_cell_is_known_by_it_alone() -> None:
    assert [(one.level, one.message) for one in advice_on(fast=True)] == [("note", "fast changes nothing on a CPU")]
    plain, fast = (make_sweep(fast=value) for value in (False, True))
    specs = [resolve_cells([one], library_of("A panda."), "cpu", {}).specs[0] for one in (plain, fast)]
    assert specs[0].output_hash == specs[1].output_hash
    assert "fast" not in specs[1].config
