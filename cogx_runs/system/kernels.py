"""Which optional kernels and packages a machine has, asked without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from cogx_runs.system.hardware import Device, Gpu


@dataclass(frozen=True)
class Kernel:
    """What a kernel needs besides torch."""

    package: str
    """The distribution that has it."""
    install: str
    """What installs it, as pip takes it."""
    least: tuple[int, int] | None = None
    """The lowest compute capability that it runs on; None where it needs no GPU."""
    gpus: str = ""
    """The GPUs of that capability, in words."""

    def lack(self, device: Device, gpu: Gpu | None) -> str:
        """Describes what a machine with this GPU lacks for it, and what to do; empty where it lacks nothing."""
        if self.least is not None and device == "cpu":
            return "needs an NVIDIA GPU"
        if self.least is not None and gpu is not None and gpu.compute_capability < self.least:
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
    "fp8": Kernel("torchao", "cogx-runs[quantization]", (8, 9), "an Ada, Hopper or Blackwell GPU"),
    "int8": Kernel("torchao", "cogx-runs[quantization]"),
}
"""What each value of an approximate parameter needs that is not in torch; the values that need nothing are absent."""
