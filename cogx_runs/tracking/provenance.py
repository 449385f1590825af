"""Provenance of a run: code, packages, machine."""

import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from cogx_runs.credentials import without_credentials
from cogx_runs.system.hardware import Device, device_id, device_name, gpu
from cogx_runs.tracking.tags import ENV

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "open_clip_torch", "mlflow", "imageio-ffmpeg")


def provenance(device: Device) -> dict[str, str]:
    """Collects code, packages and machine of this process, as tags under `cogx.env.`."""
    tags = {
        "cogx_runs": _version("cogx-runs"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "device_name": device_name(device),
        "device_id": device_id(device),
        "command_line": without_credentials(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        **{package.replace("-", "_"): _version(package) for package in PACKAGES},
        **_git(Path(__file__).parent),
    }
    found = gpu()
    if found is not None:
        tags["gpu"] = found.name
        tags["gpu_driver"] = found.driver
    return {f"{ENV}{name}": value for name, value in tags.items()}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _git(folder: Path) -> dict[str, str]:
    """Reads commit and dirty flag of the checkout that the package runs from; nothing for an installed package."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout.strip()

    try:
        if git("ls-files", "--error-unmatch", __file__):
            return {
                "git_commit": git("rev-parse", "HEAD"),
                "git_dirty": str(bool(git("status", "--porcelain", "--untracked-files=no"))).lower(),
            }
    except (OSError, subprocess.SubprocessError):
        pass
    return {}
