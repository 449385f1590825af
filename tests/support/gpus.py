"""A GPU as NVIDIA's management library tells of one, for machines that have none, and the host's memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

from cogx_runs.system.hardware import GIB


@dataclass
class FakeGpu:
    """What the library answers; it may change from one question to the next."""

    name: str = "NVIDIA H100"
    free_gib: float = 80
    total_gib: float = 80
    compute_capability: tuple[int, int] = (9, 0)
    uuid: str = "GPU-1"
    at_work: Mapping[int, int] = field(default_factory=dict)
    """Utilisation in percent of each process that computes."""
    answers: bool = True
    """Whether the driver says how much memory is free."""


PlugIn = Callable[[FakeGpu | None], None]
"""Puts a GPU into this machine, or takes the one out that it has."""
LeaveFree = Callable[[float], None]
"""Leaves so many GiB of the host's memory free."""


class FakeNvmlError(Exception):
    """The library's own error."""


class FakeNotFoundError(FakeNvmlError):
    """There is no record."""


class FakeNotSupportedError(FakeNvmlError):
    """The GPU keeps no record."""


def fake_nvml(gpu: FakeGpu | None) -> SimpleNamespace:
    """Stands in for the module `pynvml` with one GPU or none."""

    def init() -> None:
        if gpu is None:
            raise FakeNvmlError("Driver Not Loaded")

    def by_uuid(uuid: str) -> FakeGpu:
        if gpu is None or uuid != gpu.uuid:
            raise FakeNvmlError("Not Found")
        return gpu

    def memory(of: FakeGpu) -> SimpleNamespace:
        if not of.answers:
            raise FakeNvmlError("GPU is lost")
        return SimpleNamespace(total=int(of.total_gib * GIB), free=int(of.free_gib * GIB))

    return SimpleNamespace(
        NVMLError=FakeNvmlError,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda _: gpu,
        nvmlDeviceGetHandleByUUID=by_uuid,
        nvmlDeviceGetUUID=lambda of: of.uuid,
        nvmlDeviceGetName=lambda of: of.name,
        nvmlSystemGetDriverVersion=lambda: "580.65",
        nvmlDeviceGetMemoryInfo=memory,
        nvmlDeviceGetCudaComputeCapability=lambda of: of.compute_capability,
        NVMLError_NotFound=FakeNotFoundError,
        NVMLError_NotSupported=FakeNotSupportedError,
        nvmlDeviceGetComputeRunningProcesses=lambda of: [SimpleNamespace(pid=pid) for pid in of.at_work],
        nvmlDeviceGetProcessUtilization=lambda of, _: [
            SimpleNamespace(pid=pid, smUtil=percent) for pid, percent in of.at_work.items()
        ],
    )
