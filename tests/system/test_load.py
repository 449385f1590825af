"""The load of other processes under which something is timed."""

import os
from collections.abc import Callable

import pytest

from cogx_runs.system import load
from cogx_runs.system.hardware import Gpu, others_on_gpu
from cogx_runs.system.load import CpuTimes, LoadWatch
from tests.support.gpus import FakeGpu, PlugIn

Elapse = Callable[[float, float, float], None]
"""Lets seconds pass: by the clock, of all processes, of this one."""


@pytest.fixture
def elapse(monkeypatch: pytest.MonkeyPatch) -> Elapse:
    now = CpuTimes(0.0, 0.0, 0.0)
    monkeypatch.setattr(load, "cpu_times", lambda: now)
    monkeypatch.setattr(load, "cpu_cores", lambda: 2)
    monkeypatch.setattr(load, "usable_cpus", lambda: {0, 1})

    def pass_time(wall_s: float, busy_s: float, own_s: float) -> None:
        nonlocal now
        now = CpuTimes(now.at_s + wall_s, now.busy_s + busy_s, now.own_s + own_s)

    return pass_time


@pytest.mark.parametrize(
    ("busy_s", "own_s", "found"),
    [
        (20.0, 20.0, None),
        (20.0, 18.0, None),
        (20.0, 10.0, "busy machine: others took 1.0 of 2 CPU cores"),
    ],
)
def test_a_machine_is_busy_where_others_take_cores_that_the_work_needs(
    elapse: Elapse, busy_s: float, own_s: float, found: str | None
) -> None:
    watch = LoadWatch("cpu")

    elapse(10.0, busy_s, own_s)

    assert watch.load() == found


def test_too_short_a_time_tells_nothing(elapse: Elapse) -> None:
    watch = LoadWatch("cpu")

    elapse(0.1, 0.2, 0.0)

    assert watch.load() is None


@pytest.mark.parametrize(
    ("at_work", "others"),
    [
        ({os.getpid(): 90, 7: 40, 8: 1}, 1),
        ({os.getpid(): 90}, 0),
        ({7: 40, 8: 90}, 0),
    ],
    ids=["one at work and one idle", "alone", "other process numbers than ours"],
)
def test_others_on_a_gpu_are_those_that_compute(plug_in: PlugIn, at_work: dict[int, int], others: int) -> None:
    plug_in(FakeGpu(at_work=at_work))

    assert others_on_gpu(Gpu("GPU-1", "NVIDIA H100", "", 1, (9, 0)), 0) == others


def test_work_of_others_on_the_gpu_makes_a_machine_busy(plug_in: PlugIn) -> None:
    plug_in(FakeGpu(at_work={os.getpid(): 90, 7: 40}))

    assert LoadWatch("cuda").load() == "busy machine: other work on the GPU (1 program)"
