"""Where a run comes from: code, packages, machine."""

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import psutil

from cogx_runs.system.hardware import Device, device_name, gpu

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "open_clip_torch", "mlflow", "imageio-ffmpeg")


def provenance(device: Device) -> dict[str, str]:
    """Tags under `cogx.env.` that tell what a run was made with."""
    tags = {
        "cogx_runs": _version("cogx-runs"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "device_name": device_name(device),
        "command_line": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **{package.replace("-", "_"): _version(package) for package in PACKAGES},
        **_git(Path(__file__).parent),
    }
    found = gpu()
    if found is not None:
        tags["gpu"] = found.name
        tags["gpu_driver"] = found.driver
    return {f"cogx.env.{name}": value for name, value in tags.items()}


def process_tags() -> dict[str, str]:
    """Tags by which a run of this host can be told to be alive or dead."""
    return {
        "cogx.process.host": _host(),
        "cogx.process.id": str(os.getpid()),
        "cogx.process.started": _started(os.getpid()) or "",
    }


def is_own(tags: Mapping[str, str]) -> bool:
    """Whether this very process made a run."""
    return process_tags().items() <= tags.items()


def is_dead(tags: Mapping[str, str]) -> bool:
    """Whether the process that made a run has ended; of another host's process this is not known, and False."""
    if tags.get("cogx.process.host") != _host():
        return False
    pid = tags.get("cogx.process.id", "")
    return not pid.isdigit() or _started(int(pid)) != tags.get("cogx.process.started")


def _host() -> str:
    """This host, and the process namespace on it: process ids say nothing outside of theirs."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str | None:
    """When a process started, by a clock that nobody sets; None where there is none, or a dead one not yet waited for.

    On Linux the boot and the clock ticks since it: psutil's time of day would move when the clock is set.
    """
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return None
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists():
            return f"{psutil.Process(pid).create_time():.0f}"
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # Fields after the command's closing bracket begin with the third; the start is the 22nd (proc(5)).
        return f"{boot} {stat.read_text(encoding='utf-8', errors='replace').rpartition(')')[2].split()[19]}"
    except (psutil.NoSuchProcess, OSError):
        return None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _git(folder: Path) -> dict[str, str]:
    """Commit and dirty flag of the checkout that the package runs from; nothing for an installed package."""

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
