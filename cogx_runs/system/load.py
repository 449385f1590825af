"""How busy other processes keep the machine while something of this one is timed."""

import time
from dataclasses import dataclass

import psutil

from cogx_runs.formatting import count
from cogx_runs.system.hardware import Device, cpu_cores, gpu, others_on_gpu, usable_cpus

BUSY = "busy machine"
"""Beginning of the description of a load."""
BUSY_SHARE = 0.15
"""Share of the cores that the timed work needs which others may take of it."""
GPU_CORES = 2
"""Cores that work on a GPU needs: one that launches its kernels, and one that encodes the video before."""
_BUSY_KINDS = ("user", "nice", "system", "irq", "softirq", "steal")
"""What a CPU does besides idling; other systems than Linux have fewer of them."""
SHORTEST_S = 0.5
"""Seconds below which the system's ticks of 10 ms tell nothing."""


@dataclass(frozen=True)
class CpuTimes:
    """CPU seconds at one moment."""

    at_s: float
    busy_s: float
    """Of all processes on the cores that this one may use, and what a hypervisor took from them."""
    own_s: float
    """Of this process and of those that it has begun and that have ended."""


def cpu_times() -> CpuTimes:
    """Asks for the CPU seconds until now."""
    cores = psutil.cpu_times(percpu=True)
    allowed = [cores[number] for number in usable_cpus() if number < len(cores)]
    busy = sum(getattr(one, kind, 0.0) for one in allowed for kind in _BUSY_KINDS)
    return CpuTimes(time.monotonic(), busy, sum(psutil.Process().cpu_times()[:4]))


class LoadWatch:
    """Watches, from when it is made, what others take of the machine."""

    def __init__(self, device: Device) -> None:
        """`device` is the one on which the timed work runs."""
        self._device = device
        self._begin = cpu_times()
        self._since_us = time.time_ns() // 1000

    def load(self) -> str | None:
        """Describes the load under which what was timed until now ran, beginning with BUSY; None where the work had
        what it needs."""
        found = gpu() if self._device == "cuda" else None
        others = 0 if found is None else others_on_gpu(found, self._since_us)
        if others:
            return f"{BUSY}: other work on the GPU ({count(others, 'program')})"
        now = cpu_times()
        wall_s = now.at_s - self._begin.at_s
        if wall_s < SHORTEST_S:
            return None
        cores = len(usable_cpus())
        taken = (now.busy_s - self._begin.busy_s - (now.own_s - self._begin.own_s)) / wall_s
        needed = min(GPU_CORES if self._device == "cuda" else cpu_cores(), cores)
        if taken > cores - needed + BUSY_SHARE * needed:
            return f"{BUSY}: others took {taken:.1f} of {cores} CPU cores"
        return None
