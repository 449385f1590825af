"""What is asked of the GPU once, and what each time."""

import os
import re
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


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("mps", "--device mps: Apple's GPU is not used: times and memory are measured by CUDA"),
        ("gpu", "--device gpu: did you mean 'cpu'?"),
    ],
)
def test_a_device_that_is_none_is_refused_with_what_to_take_instead(device: str, said: str) -> None:
    with pytest.raises(CogxError, match=re.escape(said)):
        hardware.choose_device(device)


def test_where_no_affinity_is_known_all_cpus_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")

    assert hardware.usable_cpus() == set(range(os.cpu_count() or 1))
