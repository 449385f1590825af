"""What the machine has, asked without importing torch."""

import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from typing import Literal

import psutil

from cogx_runs.errors import CogxError

Device = Literal["cuda", "cpu"]
GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """The GPU that a run would use."""

    uuid: str
    """NVIDIA's, which no other GPU or MIG slice has."""
    name: str
    driver: str
    total_bytes: int
    free_bytes: int
    compute_capability: tuple[int, int]


@cache
def gpu() -> Gpu | None:
    """The first GPU that CUDA_VISIBLE_DEVICES leaves visible, by NVIDIA's management library; None without one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        first = visible.split(",")[0].strip() if visible else "0"
        if first.isdigit():
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(first))
        else:
            handle = pynvml.nvmlDeviceGetHandleByUUID(first)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return Gpu(
            uuid=pynvml.nvmlDeviceGetUUID(handle),
            name=pynvml.nvmlDeviceGetName(handle),
            driver=pynvml.nvmlSystemGetDriverVersion(),
            total_bytes=memory.total,
            free_bytes=memory.free,
            compute_capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
        )
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def avoid_fragmentation() -> None:
    """Have torch's allocator on a GPU grow its segments, as long as torch is not imported yet.

    Else a third of what it holds can be free and still be in no piece large enough: measured at 2.3 GiB of 6. A setting
    of the user's own stays.
    """
    settings = {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"}
    if sys.platform == "linux" and not settings & set(os.environ):
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"


def available_memory() -> int:
    """Bytes of host memory that can be had without swapping."""
    return int(psutil.virtual_memory().available)


def choose_device(asked: str = "auto") -> Device:
    """`cuda` where there is a GPU, else `cpu`. Raises CogxError where `cuda` is asked for and there is none."""
    if asked == "cuda" and gpu() is None:
        raise CogxError("--device cuda: no NVIDIA GPU is visible here; `cogx-runs doctor` says more")
    if asked == "auto":
        return "cpu" if gpu() is None else "cuda"
    return "cuda" if asked == "cuda" else "cpu"


def device_name(device: Device) -> str:
    """The name under which timings of this device are kept."""
    found = gpu() if device == "cuda" else None
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
