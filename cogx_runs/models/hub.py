"""Files of the Hugging Face hub on this machine, and whether the hub answers."""

import threading
import time
import urllib.request
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.error import HTTPError

from cogx_runs.errors import CogxError, WeightsUnavailableError, first_line

KEPT_S = 30.0
"""Seconds for which the last answer of the hub counts: asking costs up to TIMEOUT_S each time."""
TIMEOUT_S = 5.0


class Reachability:
    """Reachability of a server, checked again once the last answer is older than KEPT_S."""

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._fault: str | None = None

    def fault(self) -> str | None:
        """Returns the reason why the server cannot be reached; None where it answers in time."""
        with self._lock:
            if self._asked_at is None or self._clock() - self._asked_at > KEPT_S:
                self._fault = self._ask()
                self._asked_at = self._clock()
            return self._fault

    def _ask(self) -> str | None:
        try:
            with urllib.request.urlopen(self._address, timeout=TIMEOUT_S):
                return None
        except HTTPError:
            return None  # an error is an answer: its root may have no page
        except OSError as error:
            return f"{self._address} does not answer ({type(getattr(error, 'reason', error)).__name__})"


@cache
def _reachability(address: str) -> Reachability:
    return Reachability(address)


def is_repository(name: str) -> bool:
    """Checks whether a text can be a repository's `OWNER/NAME`."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # exported, but not by __all__

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name


def cached_file(repository: str, filename: str, revision: str | None = None) -> Path | None:
    """Finds a file of a repository in the local cache; None where it is not cached."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, filename, revision=revision)
    return Path(found) if isinstance(found, str) else None


def cache_folder() -> Path:
    """Returns the folder into which the hub's files are downloaded."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def unreachable() -> str | None:
    """Returns the reason why the hub cannot be reached; None where it answers."""
    from huggingface_hub import constants

    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _reachability(constants.ENDPOINT).fault()


def require(repository: str, filename: str, revision: str | None = None) -> None:
    """Raises WeightsUnavailableError where a file is neither cached nor can be downloaded."""
    if cached_file(repository, filename, revision) is None and (why := unreachable()):
        raise WeightsUnavailableError(
            f"the weights of {repository} are not on this machine and {why}; connect once, or name a local folder"
        )


def download(repository: str, filename: str) -> Path:
    """Finds a file of a repository in the local cache, else downloads it. Raises CogxError where there is none."""
    from huggingface_hub import hf_hub_download

    require(repository, filename)
    kept = cached_file(repository, filename)
    if kept is not None:
        return kept
    try:
        return Path(hf_hub_download(repository, filename))
    except (OSError, ValueError) as error:  # the hub's own errors are among them
        raise CogxError(f"{repository}/{filename}: cannot be downloaded: {first_line(error)}") from error
