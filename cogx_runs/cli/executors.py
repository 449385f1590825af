"""The executor that a command's options name."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from cogx_runs.errors import CogxError

if TYPE_CHECKING:
    from cogx_runs.execution.executor import Executor


def executor_of(options: dict[str, Any]) -> "AbstractContextManager[Executor]":
    """Removes what `executor_options` adds from a command's options, and returns the executor that they name, to be
    entered.

    Raises CogxError for options of Ray without it, and where Ray is not installed.
    """
    name, workers, address = (options.pop(key) for key in ("executor", "workers", "ray_address"))
    if name == "local":
        for option, value in (("--workers", workers), ("--ray-address", address)):
            if value is not None:
                raise CogxError(f"{option}: is of --executor ray; give that too")
        return local_executor()
    from cogx_runs.execution.ray_executor import RayExecutor

    return RayExecutor(address=address, workers=workers)


def local_executor() -> "AbstractContextManager[Executor]":
    """Returns an executor in this process, which is the command's own."""
    from cogx_runs.execution.local import LocalExecutor
    from cogx_runs.system.imports import lean_imports

    return LocalExecutor(importing=lean_imports)
