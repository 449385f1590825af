"""Progress while cells run, as an executor and a search report it."""

from collections.abc import Sequence
from typing import Protocol, Self


class Progress(Protocol):
    """A receiver of notes, phases and steps, which the command line shows; a notebook or a test may do otherwise."""

    def note(self, message: str) -> None:
        """Reports one thing that the user should know."""

    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None:
        """Reports the address at which these sweeps can be watched; None where no server runs yet."""

    def trial_started(self, number: int, total: int, what: str) -> None:
        """Reports that a search begins its `number`-th trial of `total`; `what` are its values."""

    def cell_started(self, name: str, steps: int) -> None:
        """Reports that a cell begins; `steps` is its number of denoising steps."""

    def phase(self, name: str) -> None:
        """Reports the stage of the cell, or of the preparation before the first one."""

    def step(self, done: int, total: int) -> None:
        """Reports how many denoising steps of the cell are done."""

    def cell_ended(self, name: str, status: str, error: str | None = None) -> None:
        """Reports the end of a cell; `status` is its outcome's."""

    def of_worker(self, worker: str) -> "Progress":
        """Returns the receiver of the phases and steps of one of several workers, by its name."""


class SilentProgress:
    """A receiver that shows nothing."""

    def note(self, message: str) -> None: ...
    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None: ...
    def trial_started(self, number: int, total: int, what: str) -> None: ...
    def cell_started(self, name: str, steps: int) -> None: ...
    def phase(self, name: str) -> None: ...
    def step(self, done: int, total: int) -> None: ...
    def cell_ended(self, name: str, status: str, error: str | None = None) -> None: ...

    def of_worker(self, worker: str) -> Self:  # noqa: ARG002
        return self
