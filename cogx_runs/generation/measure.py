"""Seconds and memory of a piece of work."""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import psutil
import torch

from cogx_runs.system.hardware import GIB, Device

SAMPLE_INTERVAL_S = 0.05


def free_memory() -> None:
    """Gives back what nothing refers to any more, the GPU's share of it too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass
class Seconds:
    """What a `timed` block took."""

    value: float = 0.0


@contextmanager
def timed(device: Device) -> Iterator[Seconds]:
    """Times a block: on a GPU between two CUDA events on the stream that works, on a CPU by the clock.

    Events see this stream alone: what other threads do meanwhile on the CPU counts only where the GPU waits for it.
    """
    seconds = Seconds()
    if device == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        yield seconds
        end.record()
        end.synchronize()
        seconds.value = begin.elapsed_time(end) / 1000
    else:
        start = time.perf_counter()
        yield seconds
        seconds.value = time.perf_counter() - start


class IdleTime:
    """Seconds in which the device had nothing to do between one piece of work and the next."""

    def __init__(self) -> None:
        self._free_since: float | None = None
        self._idle_s = 0.0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Counts a block as work of the device, for which its end waits."""
        if self._free_since is not None:
            self._idle_s += time.perf_counter() - self._free_since
        try:
            yield
        finally:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self._free_since = time.perf_counter()

    def take(self) -> float | None:
        """Takes the idle seconds since they were last taken; None where no work came before."""
        if self._free_since is None:
            return None
        idle, self._idle_s = self._idle_s, 0.0
        return idle


@dataclass(frozen=True)
class Peak:
    """The most memory that was in use during a piece of work."""

    ram_gib: float
    """Resident set of this process, sampled every 50 ms."""
    vram_gib: float | None = None
    """What torch's allocator had handed out; None on a CPU."""
    vram_reserved_gib: float | None = None
    """What torch's allocator held of the GPU; None on a CPU."""

    def __or__(self, other: "Peak") -> "Peak":
        """Joins the peaks of two pieces of work."""
        return Peak(
            max(self.ram_gib, other.ram_gib),
            _larger(self.vram_gib, other.vram_gib),
            _larger(self.vram_reserved_gib, other.vram_reserved_gib),
        )


def _larger(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)


class PeakMemory:
    """Watches memory inside a `with` block; `peak` is known after it."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._ram_gib = 0.0
        self.peak = Peak(0.0)

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
        vram = reserved = None
        if self._device == "cuda":
            vram = torch.cuda.max_memory_allocated() / GIB
            reserved = torch.cuda.max_memory_reserved() / GIB
        self.peak = Peak(self._ram_gib, vram, reserved)

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_INTERVAL_S):
            self._sample()

    def _sample(self) -> None:
        self._ram_gib = max(self._ram_gib, self._process.memory_info().rss / GIB)
