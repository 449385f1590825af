"""Who is told of what goes on while cells run."""

from collections.abc import Sequence
from typing import Protocol


class Progress(Protocol):
    """Told of notes, phases and steps; the command line shows them, a notebook or a test may do else."""

    def note(self, message: str) -> None:
        """Something the user should know, once."""

    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None:
        """Where these sweeps can be watched; None where no server runs yet."""

    def trial_started(self, number: int, total: int, what: str) -> None:
        """A search has come to its `number`-th trial of `total`; `what` are its values."""

    def cell_started(self, name: str, steps: int) -> None:
        """A cell is begun; `steps` is its number of denoising steps."""

    def phase(self, name: str) -> None:
        """What is being done for the cell, or before the first one."""

    def step(self, done: int, total: int) -> None:
        """Denoising steps of the cell."""

    def cell_ended(self, name: str, status: str, error: str | None = None) -> None:
        """A cell has come to its end; `status` is its outcome's."""


class SilentProgress:
    """Tells nobody."""

    def note(self, message: str) -> None: ...
    def shown_at(self, sweeps: Sequence[str], address: str | None) -> None: ...
    def trial_started(self, number: int, total: int, what: str) -> None: ...
    def cell_started(self, name: str, steps: int) -> None: ...
    def phase(self, name: str) -> None: ...
    def step(self, done: int, total: int) -> None: ...
    def cell_ended(self, name: str, status: str, error: str | None = None) -> None: ...
