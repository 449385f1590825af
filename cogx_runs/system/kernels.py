"""Which optional kernels a machine can run, asked without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from cogx_runs.system.hardware import Device, Gpu


@dataclass(frozen=True)
class Kernel:
    """What a kernel needs besides a GPU."""

    package: str
    """The distribution that has it."""
    install: str
    """What installs it, as pip takes it."""
    least: tuple[int, int]
    """The lowest compute capability that it runs on."""
    gpus: str
    """The GPUs of that capability, in words."""

    def lack(self, device: Device, gpu: Gpu | None) -> str:
        """Describes what a machine with this GPU lacks for it, and what to do; empty where it lacks nothing."""
        if device == "cpu":
            return "needs an NVIDIA GPU"
        if gpu is not None and gpu.compute_capability < self.least:
            return f"needs {self.gpus}, and this is {gpu.name}"
        try:
            metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return f"needs the package {self.package}: pip install '{self.install}'"
        return ""


KERNELS: Mapping[str, Kernel] = {
    "fa4": Kernel("flash-attn-4", "cogx-runs[fa4]", (9, 0), "a Hopper or Blackwell GPU"),
    "sage": Kernel("sageattention", "cogx-runs[sage]", (8, 0), "an Ampere GPU or a newer one"),
    "fused": Kernel("triton", "triton", (7, 0), "a Volta GPU or a newer one"),
}
"""What each value of `attention` and `decoder` needs that is not in torch; the values that need nothing are absent."""
