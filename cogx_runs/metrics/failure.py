"""A metric that raises does not end the run whose video it measures."""

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import torch

from cogx_runs.errors import CogxError, first_line
from cogx_runs.metrics.metric import Measured, finite
from cogx_runs.system.disk import is_disk_full

REASON_LIMIT = 500
"""Characters of a reason, which is a tag of the run; the traceback has the rest."""


@dataclass(frozen=True)
class Failure:
    """What a metric raised in the place of a value."""

    reason: str
    """In one line: `ZeroDivisionError: division by zero`."""
    traceback: str


Attempt = Measured | Failure | None
"""None for a video that can have no value."""


def attempt(measure: Callable[[], Measured | None]) -> Attempt:
    """The value that `measure` returns, if it is a finite number, or the exception that it raises.

    What is no fault of the metric passes: interrupts, memory that runs out, a disk that is full.
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
        return Failure(_reason(error)[:REASON_LIMIT], traceback.format_exc())


def _reason(error: Exception) -> str:
    said, kind = first_line(error), type(error).__name__
    return said if isinstance(error, CogxError) or said == kind else f"{kind}: {said}"
