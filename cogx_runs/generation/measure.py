"""Seconds and memory of a piece of work."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import psutil
import torch

from cogx_runs.hardware import GIB, Device

SAMPLE_INTERVAL_S = 0.05


@dataclass
class Seconds:
    """What a `timed` block took."""

    value: float = 0.0


@contextmanager
def timed(device: Device) -> Iterator[Seconds]:
    """Wall time of a block, from an idle device to an idle device."""
    seconds = Seconds()
    _synchronize(device)
    start = time.perf_counter()
    yield seconds
    _synchronize(device)
    seconds.value = time.perf_counter() - start


def _synchronize(device: Device) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


class PeakMemory:
    """The most memory that was in use inside a `with` block.

    `vram_gib` is what torch's allocator had handed out, `vram_reserved_gib` what it held of the GPU; both None on a
    CPU. `ram_gib` is the resident set of this process, sampled every 50 ms.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._stop = threading.Event()
        self.ram_gib = 0.0
        self.vram_gib: float | None = None
        self.vram_reserved_gib: float | None = None

    def __enter__(self) -> "PeakMemory":
        if self._device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self._sample()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()
        if self._device == "cuda":
            self.vram_gib = torch.cuda.max_memory_allocated() / GIB
            self.vram_reserved_gib = torch.cuda.max_memory_reserved() / GIB

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_INTERVAL_S):
            self._sample()

    def _sample(self) -> None:
        self.ram_gib = max(self.ram_gib, self._process.memory_info().rss / GIB)
