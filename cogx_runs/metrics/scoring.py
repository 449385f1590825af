"""All metrics of a video at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from cogx_runs.errors import WeightsUnavailableError
from cogx_runs.metrics.metric import Measured, Metric, finite
from cogx_runs.metrics.registry import metrics
from cogx_runs.metrics.subject import Subject


@dataclass(frozen=True)
class Scores:
    """What the metrics said of a video."""

    measured: Mapping[str, Measured]
    """By metric."""
    missing: Mapping[str, str]
    """Why a metric has no value."""


class Scorer:
    """Measures videos by all metrics that one CLIP and this machine allow, on the CPU."""

    def __init__(self, clip_model: str) -> None:
        """Load what the metrics need. Raises CogxError for a CLIP's name or file that cannot be right."""
        self._metrics: list[Metric] = []
        self.missing: dict[str, str] = {}
        """Why a metric cannot be measured."""
        for metric in metrics():
            try:
                metric.check(clip_model)
            except WeightsUnavailableError as error:
                self.missing[metric.card.name] = str(error)
            else:
                self._metrics.append(metric)

    def score(self, subject: Subject) -> Scores:
        """The value of each metric for a video that is to be measured by this CLIP."""
        measured = {metric.card.name: finite(metric.measure(subject)) for metric in self._metrics}
        return Scores({name: value for name, value in measured.items() if value is not None}, self.missing)

    @property
    def reasons(self) -> dict[str, list[str]]:
        """The metrics that cannot be measured, by the reason why."""
        found: dict[str, list[str]] = {}
        for name, reason in self.missing.items():
            found.setdefault(reason, []).append(name)
        return found
