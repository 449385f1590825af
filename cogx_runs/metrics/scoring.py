"""All metrics of a video at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from cogx_runs.errors import WeightsUnavailableError
from cogx_runs.metrics.failure import Attempt, Failure, attempt
from cogx_runs.metrics.metric import Measured, Metric
from cogx_runs.metrics.registry import metrics
from cogx_runs.metrics.subject import Subject


@dataclass(frozen=True)
class Scores:
    """What the metrics said of a video, by metric; one that can have no value of it is in neither."""

    measured: Mapping[str, Measured]
    failures: Mapping[str, Failure]

    @classmethod
    def of(cls, attempts: Mapping[str, Attempt]) -> "Scores":
        return cls(
            {name: found for name, found in attempts.items() if isinstance(found, Measured)},
            {name: found for name, found in attempts.items() if isinstance(found, Failure)},
        )

    @property
    def values(self) -> dict[str, float]:
        return {name: measured.value for name, measured in self.measured.items()}

    @property
    def reasons(self) -> dict[str, str]:
        """Why metrics have no value that should have one."""
        return {name: failure.reason for name, failure in self.failures.items()}


class Scorer:
    """Measures videos by all metrics that one CLIP and this machine allow, on the CPU."""

    def __init__(self, clip_model: str) -> None:
        """Load what the metrics need. Raises CogxError for a CLIP's name or file that cannot be right."""
        self._metrics: list[Metric] = []
        self.unavailable: dict[str, str] = {}
        """Why a metric cannot be measured on this machine."""
        for metric in metrics():
            try:
                metric.check(clip_model)
            except WeightsUnavailableError as error:
                self.unavailable[metric.card.name] = str(error)
            else:
                self._metrics.append(metric)

    def score(self, subject: Subject) -> Scores:
        """What each metric says of a video that is to be measured by this CLIP. Raises what `attempt` lets pass."""
        return Scores.of({metric.card.name: attempt(partial(metric.measure, subject)) for metric in self._metrics})

    @property
    def reasons(self) -> dict[str, list[str]]:
        """The metrics that cannot be measured on this machine, by the reason why."""
        return by_reason(self.unavailable)


def by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """The metrics that have no value, by the reason why."""
    found: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        found.setdefault(reason, []).append(name)
    return found
