"""Searches over made-up scores, and a store that remembers them without generating a video."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Plan
from cogx_runs.planning.planner import Planner
from cogx_runs.progress import SilentProgress
from cogx_runs.search.optuna.search import Search
from cogx_runs.tracking.run import RunState, TrackedRun
from tests.support.executors import FakeExecutor
from tests.support.tracked_runs import tracked

AXES = {"guidance_scale": {"low": 1, "high": 12}, "num_inference_steps": [10, 20, 25, 40, 50]}
Numbers = Callable[[RunSpec], Mapping[str, float]]


def measured(spec: RunSpec) -> dict[str, float]:
    """Scores that are best at guidance 6 and many steps, and times that grow with the steps."""
    noise = int(spec.signature, 16) % 100 / 100
    score = 30 - (spec.guidance_scale - 6) ** 2 / 10 - 40 / spec.num_inference_steps + noise
    return {"clip_score": score, "denoise_s": spec.num_inference_steps / 10, "wall_time_s": 7.0}


class KilledError(Exception):
    """The process is gone."""


class FakeStore(FakeExecutor):
    """Remembers the cells that it is given to run."""

    def __init__(self, numbers: Numbers = measured, fails: Callable[[RunSpec], bool] = lambda _: False) -> None:
        self.runs: list[TrackedRun] = []
        self.numbers = numbers
        self.fails = fails
        self.killed_after = math.inf
        """Writes, of which each cell has two: begun, and ended."""

    def history(self) -> list[TrackedRun]:
        return list(self.runs)

    def finish(self, plan: Plan) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for planned in plan.runs:
            spec = planned.spec
            if planned.action is Action.DONE or any(outcome.status is OutcomeStatus.FAILED for outcome in outcomes):
                outcomes.append(
                    Outcome(spec, OutcomeStatus.DONE if planned.action is Action.DONE else OutcomeStatus.SKIPPED)
                )
                continue
            begun = tracked(
                spec, "RUNNING", run_id=str(len(self.runs)), start_time_ms=len(self.runs), tags=planned.tags
            )
            self._write()
            self.runs.append(begun)
            self._write()
            failed = self.fails(spec)
            state = RunState.FAILED if failed else RunState.FINISHED
            self.runs[-1] = replace(begun, state=state, metrics={} if failed else self.numbers(spec))
            outcomes.append(Outcome(spec, OutcomeStatus.FAILED if failed else OutcomeStatus.FINISHED))
        return outcomes

    def _write(self) -> None:
        self.killed_after -= 1
        if self.killed_after < 0:
            raise KilledError

    def ran(self) -> list[str]:
        return [run.state for run in self.runs]


@dataclass(frozen=True)
class RememberingPlanner(Planner):
    """Plans by what a fake store remembers."""

    store: FakeStore = field(default_factory=FakeStore)

    def history(self) -> list[TrackedRun]:
        return self.store.history()


Make = Callable[..., Search]


def run(search: Search, store: FakeStore, **options: Any) -> list[str]:
    remembering = Search(search.sweep, RememberingPlanner(search.planner.conditions, store=store))
    outcomes = remembering.run(store, SilentProgress(), **options)
    return [outcome.status for outcome in outcomes]


def trial_rows(search: Search, store: FakeStore) -> list[tuple[Any, ...]]:
    return [
        (trial.number, dict(trial.parameters), trial.state, trial.values) for trial in search.known(store.history())
    ]
