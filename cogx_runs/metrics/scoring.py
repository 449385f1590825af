"""All metrics of a video at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from cogx_runs.errors import WeightsUnavailableError
from cogx_runs.metrics.failure import Attempt, Failure, attempt
from cogx_runs.metrics.metric import Measured, Metric
from cogx_runs.metrics.registry import EXTRAS, metrics
from cogx_runs.metrics.subject import Subject
from cogx_runs.video import read_mp4


@dataclass(frozen=True)
class Scores:
    """The values and failures of a video's metrics; a metric that can have no value is in neither."""

    measured: Mapping[str, Measured]
    failures: Mapping[str, Failure]

    @classmethod
    def of(cls, attempts: Mapping[str, Attempt]) -> "Scores":
        """Sorts attempts into values and failures."""
        return cls(
            {name: found for name, found in attempts.items() if isinstance(found, Measured)},
            {name: found for name, found in attempts.items() if isinstance(found, Failure)},
        )

    @property
    def values(self) -> dict[str, float]:
        """Values by metric."""
        return {name: measured.value for name, measured in self.measured.items()}

    @property
    def reasons(self) -> dict[str, str]:
        """Reason of each failed metric."""
        return {name: failure.reason for name, failure in self.failures.items()}


class Scorer:
    """Measures videos by all metrics that one CLIP and this machine allow, and by the named extras, on the CPU."""

    def __init__(self, clip_model: str, extra_metrics: Iterable[str] = ()) -> None:
        """Loads the weights of the metrics. Raises CogxError for an invalid name or file of a CLIP."""
        self._metrics: list[Metric] = []
        self.unavailable: dict[str, str] = {}
        """Reason of each metric that cannot be measured on this machine."""
        for metric in (*metrics(), *(EXTRAS[name] for name in extra_metrics)):
            try:
                metric.check(clip_model)
            except WeightsUnavailableError as error:
                self.unavailable[metric.card.name] = str(error)
            else:
                self._metrics.append(metric)

    def score(self, subject: Subject, file: Path | None = None) -> Scores:
        """Measures a video that names this CLIP by each metric, those of the mp4 over the frames read back from `file`;
        without one the subject's frames are the mp4's own. Raises what `attempt` passes on."""

        @cache
        def of_file() -> Subject:
            return subject if file is None else replace(subject, frames=read_mp4(file))

        def measure(metric: Metric) -> Measured | None:
            return metric.measure(of_file() if metric.card.of_file else subject)

        return Scores.of({metric.card.name: attempt(partial(measure, metric)) for metric in self._metrics})

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Metrics that cannot be measured on this machine, by reason."""
        return by_reason(self.unavailable)


def by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Groups metrics without a value by their reasons."""
    found: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        found.setdefault(reason, []).append(name)
    return found
