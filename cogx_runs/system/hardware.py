"""What the machine has, asked without importing torch."""

import os
import platform
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

import psutil

from cogx_runs.errors import CogxError, did_you_mean

Device = Literal["cuda", "cpu"]
DEVICES = ("auto", "cuda", "cpu")
"""What a user may ask for."""
_NO_MPS = (
    "Apple's GPU is not used: times and memory are measured by CUDA, and nothing was ever tried on one; take cpu, with "
    "--model toy"
)
GIB = 2**30
WORKING_PERCENT = 5
"""Utilisation of a GPU's multiprocessors from which a process counts as at work on it."""


@dataclass(frozen=True)
class Gpu:
    """The GPU that a run would use, as far as it stays what it is."""

    uuid: str
    """NVIDIA's, which no other GPU or MIG slice has."""
    name: str
    driver: str
    total_bytes: int
    compute_capability: tuple[int, int]


@cache
def gpu() -> Gpu | None:
    """Finds the first GPU that CUDA_VISIBLE_DEVICES leaves visible, by NVIDIA's management library; None without one.

    Asked once a process. What is free of its memory is asked by `free_vram`.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return None
    import pynvml

    first = visible.split(",")[0].strip() if visible else "0"
    try:
        with _management_library():
            if first.isdigit():
                handle = pynvml.nvmlDeviceGetHandleByIndex(int(first))
            else:
                handle = pynvml.nvmlDeviceGetHandleByUUID(first)
            return Gpu(
                uuid=pynvml.nvmlDeviceGetUUID(handle),
                name=pynvml.nvmlDeviceGetName(handle),
                driver=pynvml.nvmlSystemGetDriverVersion(),
                total_bytes=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
                compute_capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
            )
    except pynvml.NVMLError:
        return None


def free_vram(found: Gpu) -> int:
    """Asks how many bytes of a GPU this process can have now: what is free, and what its own torch holds, which it
    gives back before it loads another model. Raises CogxError where the driver does not answer."""
    import pynvml

    try:
        with _management_library():
            free = int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByUUID(found.uuid)).free)
    except pynvml.NVMLError as error:
        raise CogxError(
            f"{found.name}: the driver does not say how much memory is free ({error}); see what `nvidia-smi` says, or "
            "give --device cpu"
        ) from error
    return free + _held_by_torch()


def others_on_gpu(found: Gpu, since_us: int) -> int:
    """Counts the other processes that have computed on a GPU since a time, in microseconds since 1970; where the driver
    keeps no record of that, those that hold its memory. 0 where it does not show this process among them, as in a
    container that does not share the host's process numbers: which are others cannot be told then."""
    import pynvml

    try:
        with _management_library():
            handle = pynvml.nvmlDeviceGetHandleByUUID(found.uuid)
            present = {process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}
            try:
                samples = pynvml.nvmlDeviceGetProcessUtilization(handle, since_us)
                working = {sample.pid for sample in samples if sample.smUtil >= WORKING_PERCENT}
            except pynvml.NVMLError_NotFound:  # nobody has computed
                working = set()
            except pynvml.NVMLError_NotSupported:
                working = present
    except pynvml.NVMLError:
        return 0
    return len(working - {os.getpid()}) if os.getpid() in present else 0


@contextmanager
def _management_library() -> Iterator[None]:
    """Opens NVML for a block. Raises NVMLError where it is not installed or finds no driver."""
    import pynvml

    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _held_by_torch() -> int:
    """Asks torch's allocator, in a process that has imported torch, how many bytes of the GPU it holds."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return int(cuda.memory_reserved()) if cuda is not None and cuda.is_initialized() else 0


def avoid_fragmentation(environment: MutableMapping[str, str] = os.environ, platform: str = sys.platform) -> None:
    """Has torch's allocator on a GPU grow its segments, as long as torch is not imported yet.

    Else a third of what it holds can be free and still be in no piece large enough: measured at 2.3 GiB of 6. A setting
    of the user's own stays.
    """
    settings = {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"}
    if platform == "linux" and not settings & set(environment):
        environment["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"


def available_memory() -> int:
    """Asks how many bytes of host memory can be had without swapping."""
    return int(psutil.virtual_memory().available)


def total_memory() -> int:
    """Asks how many bytes of host memory there are, those on the disk with them."""
    return int(psutil.virtual_memory().total + psutil.swap_memory().total)


def usable_cpus() -> set[int]:
    """Lists the logical CPUs that this process may use; outside of Linux all that there are."""
    return set(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def cpu_cores() -> int:
    """Counts the CPU's cores that this process may use."""
    allowed = len(usable_cpus())
    return min(allowed, psutil.cpu_count(logical=False) or allowed)


def choose_device(asked: str = "auto") -> Device:
    """Chooses `cuda` where there is a GPU, else `cpu`. Raises CogxError where `cuda` is asked for and there is none,
    and for a device that is none of DEVICES."""
    if asked not in DEVICES:
        raise CogxError(f"--device {asked}: {_NO_MPS if asked == 'mps' else did_you_mean(asked, DEVICES)}")
    if asked == "cuda" and gpu() is None:
        raise CogxError("--device cuda: no NVIDIA GPU is visible here; `cogx-runs doctor` says more")
    if asked == "auto":
        return "cpu" if gpu() is None else "cuda"
    return "cuda" if asked == "cuda" else "cpu"


def device_name(device: Device) -> str:
    """Names the device under which timings are kept."""
    return name_of(gpu() if device == "cuda" else None)


def name_of(found: Gpu | None) -> str:
    """Names a GPU; this machine's CPU for None."""
    return found.name if found else f"{_cpu_model()} ({psutil.cpu_count()} threads)"


def device_id(device: Device) -> str:
    """Tells the devices of one host apart, also two GPUs of one product: the UUID of the GPU, or `cpu`."""
    found = gpu() if device == "cuda" else None
    return found.uuid if found else "cpu"


@cache
def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 (no file of ours)
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []
    return models[0] if models else platform.processor() or platform.machine()
