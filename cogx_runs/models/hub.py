"""What of the Hugging Face hub is on this machine, and whether the hub answers."""

import urllib.request
from functools import cache
from pathlib import Path
from urllib.error import HTTPError

from cogx_runs.errors import WeightsUnavailableError


def cached_file(repository: str, filename: str, revision: str | None = None) -> Path | None:
    """A file of a repository in the local cache; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, filename, revision=revision)
    return Path(found) if isinstance(found, str) else None


@cache
def unreachable() -> str | None:
    """Why the hub cannot be asked; None where it answers within 5 s."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        with urllib.request.urlopen(constants.ENDPOINT, timeout=5):
            return None
    except HTTPError:
        return None  # it answers, if only that there is nothing at its root
    except OSError as error:
        return f"{constants.ENDPOINT} does not answer ({type(getattr(error, 'reason', error)).__name__})"


def require(repository: str, filename: str, revision: str | None = None) -> None:
    """Raise WeightsUnavailableError where a file is neither cached nor can be fetched."""
    if cached_file(repository, filename, revision) is None and (why := unreachable()):
        raise WeightsUnavailableError(
            f"the weights of {repository} are not on this machine and {why}; connect once, or name a local folder"
        )
