"""A metric by a network whose weights are optional: measured only where a sweep or `rescore` names it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

from cogx_runs.errors import WeightsUnavailableError, first_line
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.metric import Measured
from cogx_runs.metrics.subject import Subject
from cogx_runs.metrics.weights_file import Weights, WeightsFile

if TYPE_CHECKING:
    import torch

Network = TypeVar("Network")


@dataclass(frozen=True, kw_only=True)
class NetworkMetric(Generic[Network]):
    """A function of a video and of a network, which is loaded once, at its first use; on the CPU."""

    card: MetricCard
    file: WeightsFile
    """The network's weights."""
    build: "Callable[[dict[str, torch.Tensor]], Network]"
    """Builds the network of its tensors. Raises KeyError, RuntimeError or ValueError where they are of another one."""
    apply: Callable[[Network, Subject], Measured | None]
    """Measures a video; None where it can have no value."""
    others: tuple[Weights, ...] = ()
    """Weights that it needs besides."""
    check_others: Callable[[], object] = lambda: None
    """Loads these. Raises WeightsUnavailableError where they cannot be had."""

    @property
    def weights(self) -> tuple[Weights, ...]:
        """All weights that it needs."""
        return (self.file, *self.others)

    def lacks(self) -> list[str]:
        """Says for each of its weights why they cannot be had here; empty where it can be measured. Loads nothing."""
        return [lack for weights in self.weights if (lack := weights.lack()) is not None]

    def check(self, _clip_model: str) -> None:
        """Loads the network. Raises WeightsUnavailableError where its weights cannot be had or are of another one."""
        if lacks := self.lacks():
            raise WeightsUnavailableError(f"{self.card.title}: {'; '.join(lacks)}")
        self.check_others()
        _ = self._loaded

    def measure(self, subject: Subject) -> Measured | None:
        """Measures a video, with the SHA-256 of the weights among the conditions; None where it can have no value."""
        network, digest = self._loaded
        measured = self.apply(network, subject)
        if measured is None:
            return None
        return replace(measured, conditions={**measured.conditions, "weights_sha256": digest})

    @cached_property
    def _loaded(self) -> tuple[Network, str]:
        state, digest = self.file.load(self.card.title)
        try:
            return self.build(state), digest
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise WeightsUnavailableError(
                f"{self.card.title}: {self.file.path} has other weights ({first_line(error)}); remove it, and download "
                f"{self.file.url} there"
            ) from error
