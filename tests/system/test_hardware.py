"""What is asked of the GPU once, and what each time."""

import sys
from types import SimpleNamespace

import pytest

from cogx_runs.errors import CogxError
from cogx_runs.system import hardware
from cogx_runs.system.hardware import GIB, Gpu
from tests.support.gpus import FakeGpu, PlugIn


def test_free_memory_is_asked_each_time_and_the_rest_once(plug_in: PlugIn) -> None:
    fake = FakeGpu(free_gib=70)
    plug_in(fake)
    found = hardware.gpu()
    assert found == Gpu("GPU-1", "NVIDIA H100", "580.65", 80 * GIB, (9, 0))

    before = hardware.free_vram(found)
    fake.free_gib, fake.name = 12, "another"

    assert (before, hardware.free_vram(found)) == (70 * GIB, 12 * GIB)
    assert hardware.gpu() is found


def test_what_this_process_itself_holds_counts_as_free(plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(FakeGpu(free_gib=20))
    found = hardware.gpu()
    assert found is not None
    cuda = SimpleNamespace(is_initialized=lambda: True, memory_reserved=lambda: 8 * GIB)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))

    assert hardware.free_vram(found) == 28 * GIB


def test_a_driver_that_does_not_answer_is_one_clear_line(plug_in: PlugIn) -> None:
    fake = FakeGpu()
    plug_in(fake)
    found = hardware.gpu()
    assert found is not None
    fake.answers = False

    with pytest.raises(CogxError, match=r"^NVIDIA H100: the driver does not say how much .* \(GPU is lost\); see what"):
        hardware.free_vram(found)


@pytest.mark.parametrize(("visible", "expected"), [("GPU-1", True), ("GPU-2", False), ("", False), ("-1", False)])
def test_the_gpu_is_the_first_that_is_visible(
    plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch, visible: str, expected: bool
) -> None:
    plug_in(FakeGpu())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert (hardware.gpu() is not None) is expected


def test_without_a_driver_there_is_no_gpu(plug_in: PlugIn) -> None:
    plug_in(None)

    assert hardware.gpu() is None
