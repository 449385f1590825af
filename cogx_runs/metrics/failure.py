"""A metric that raises does not end the run whose video it measures."""

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import torch

from cogx_runs.credentials import without_credentials
from cogx_runs.errors import CogxError, first_line
from cogx_runs.metrics.metric import Measured, finite
from cogx_runs.system.disk import is_disk_full

REASON_LIMIT = 500
"""Characters of a reason, which is a tag of the run; the traceback is complete."""


@dataclass(frozen=True)
class Failure:
    """The exception that a metric raised instead of returning a value."""

    reason: str
    """The exception in one line: `ZeroDivisionError: division by zero`."""
    traceback: str


Attempt = Measured | Failure | None
"""None for a video that can have no value."""


def attempt(measure: Callable[[], Measured | None]) -> Attempt:
    """Returns the value of `measure`, if it is a finite number, or the exception that it raises.

    Passes on what is not the metric's fault: interrupts, out of memory, a full disk.
    """
    try:
        measured = measure()
        if measured is not None and math.isnan(measured.value):
            raise ValueError("it returned NaN, which is no value")
        return finite(measured)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if is_disk_full(error):
            raise
        return Failure(_reason(error)[:REASON_LIMIT], without_credentials(traceback.format_exc()))


def _reason(error: Exception) -> str:
    line, name = first_line(error), type(error).__name__
    return line if isinstance(error, CogxError) or line == name else f"{name}: {line}"
