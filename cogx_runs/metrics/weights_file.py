"""Weights of the optional metrics: where they come from, and whether they are on this machine."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cogx_runs.errors import WeightsUnavailableError, first_line
from cogx_runs.models import hub

if TYPE_CHECKING:
    import torch


class Weights(Protocol):
    """Published weights that a metric needs."""

    @property
    def described(self) -> str:
        """Origin, size and licence, for readers."""

    def found(self) -> Path | None:
        """Finds the weights on this machine; None where they are not there."""

    def lack(self) -> str | None:
        """Says why they cannot be had; None where they are here, or can be downloaded. Loads nothing."""


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """A published file, kept in torch hub's cache under the name that its address ends in."""

    title: str
    """As a message names it: `AlexNet's weights`."""
    url: str
    size: str
    """For readers: `244 MB`."""
    licence: str
    sha256: str = ""
    """Published SHA-256, or its first digits; empty where none is published, so that any file is taken."""

    @property
    def path(self) -> Path:
        """Place of the file, whether or not it exists: `checkpoints` in torch hub's folder, which TORCH_HOME moves."""
        cache = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
        return Path(cache).expanduser() / "hub" / "checkpoints" / self.url.rpartition("/")[2]

    @property
    def described(self) -> str:
        """Origin, size and licence, for readers."""
        return f"{self.url} ({self.size}, {self.licence})"

    def found(self) -> Path | None:
        """Finds the file; None where it is not there."""
        return self.path if self.path.is_file() else None

    def lack(self) -> str | None:
        """Says why the file cannot be had; None where it is here, or can be downloaded."""
        if self.found() is None and (why := hub.unreachable()):
            return self._missing(why)
        return None

    def require(self, metric: str) -> Path:
        """Returns the file's path, downloads the file where it is missing. Raises WeightsUnavailableError naming the
        metric where it cannot be had."""
        if lack := self.lack():
            raise WeightsUnavailableError(f"{metric}: {lack}")
        if self.found() is None:
            from torch.hub import download_url_to_file

            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                download_url_to_file(self.url, str(self.path), hash_prefix=self.sha256 or None, progress=False)
            except (OSError, RuntimeError) as error:  # RuntimeError: it is another file than the published one
                raise WeightsUnavailableError(f"{metric}: {self._missing(first_line(error))}") from error
        return self.path

    def load(self, metric: str) -> tuple["dict[str, torch.Tensor]", str]:
        """Loads the tensors by name, and computes the file's SHA-256. Raises WeightsUnavailableError naming the metric
        where the file cannot be had or read, or is not the published one."""
        import torch

        path = self.require(metric)
        instead = f"remove it, and download {self.url} there"
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WeightsUnavailableError(f"{metric}: {path} cannot be read: {error.strerror}; {instead}") from error
        if not digest.startswith(self.sha256):
            raise WeightsUnavailableError(
                f"{metric}: {path} has SHA-256 {digest[:16]}, and {self.title} have {self.sha256[:16]}; {instead}"
            )
        try:
            state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file can be so in more ways than torch has errors for
            message = f"{metric}: {path} cannot be read: {first_line(error)}; {instead}"
            raise WeightsUnavailableError(message) from error
        return state, digest

    def _missing(self, why: str) -> str:
        return f"{self.title} are not at {self.path}; download {self.url} there ({why})"


@dataclass(frozen=True, kw_only=True)
class HubWeights:
    """A repository of the Hugging Face hub of which one of several files is enough."""

    title: str
    repository: str
    filenames: tuple[str, ...]
    size: str
    licence: str

    @property
    def described(self) -> str:
        """Origin, size and licence, for readers."""
        return f"{self.repository} on the hub ({self.size}, {self.licence})"

    def found(self) -> Path | None:
        """Finds the file in the hub's cache; None where it is not there."""
        paths = (hub.cached_file(self.repository, name) for name in self.filenames)
        return next((path for path in paths if path is not None), None)

    def lack(self) -> str | None:
        """Says why no file can be had; None where one is here, or can be downloaded."""
        if self.found() is None and (why := hub.unreachable()):
            return f"{self.title} ({self.repository}) are not on this machine ({why}); connect once"
        return None
