"""Searches over made-up scores, and a store that remembers them without generating a video."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.execution.executor import More
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Plan, PlannedRun
from cogx_runs.planning.planner import Planner
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.search.optuna.feed import run_search
from cogx_runs.search.optuna.search import Search
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.tags import TRIAL
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
            self.begin(planned)
            outcomes.append(self.end(planned))
        return outcomes

    def begin(self, planned: PlannedRun) -> None:
        self._write()
        number = len(self.runs)
        self.runs.append(tracked(planned.spec, "RUNNING", run_id=str(number), start_time_ms=number, tags=planned.tags))

    def end(self, planned: PlannedRun) -> Outcome:
        self._write()
        spec, failed = planned.spec, self.fails(planned.spec)
        place = max(place for place, run in enumerate(self.runs) if run.output_hash == spec.output_hash)
        state = RunState.FAILED if failed else RunState.FINISHED
        self.runs[place] = replace(self.runs[place], state=state, metrics={} if failed else self.numbers(spec))
        return Outcome(spec, OutcomeStatus.FAILED if failed else OutcomeStatus.FINISHED)

    def _write(self) -> None:
        self.killed_after -= 1
        if self.killed_after < 0:
            raise KilledError

    def ran(self) -> list[str]:
        return [run.state for run in self.runs]


class Crew(FakeStore):
    """Runs cells by several workers, whose cells end in an order that is drawn."""

    def __init__(self, workers: int, order: int = 0) -> None:
        super().__init__()
        self._workers = workers
        self._order = random.Random(order)
        self.most_open = 0
        """The most trials that were open at once."""

    def run(
        self,
        plan: Plan,
        progress: Progress,  # noqa: ARG002
        *,
        fail_fast: bool = False,  # noqa: ARG002
        more: More | None = None,
    ) -> list[Outcome]:
        cells, outcomes, at_work = list(plan.runs), dict[int, Outcome](), list[int]()
        left = iter(range(len(cells)))
        while True:
            while len(at_work) < self._workers:
                place = next(left, None)
                if place is None:
                    following = None if more is None else more(outcomes, self._workers)
                    if following is None:
                        break
                    left = iter(range(len(cells), len(cells) + len(following.runs)))
                    cells += following.runs
                elif cells[place].action is Action.DONE:
                    outcomes[place] = Outcome(cells[place].spec, OutcomeStatus.DONE)
                else:
                    self.begin(cells[place])
                    at_work.append(place)
            if not at_work:
                return [outcomes[place] for place in range(len(cells))]
            self.most_open = max(self.most_open, len({cells[place].tags[TRIAL] for place in at_work}))
            place = at_work.pop(self._order.randrange(len(at_work)))
            outcomes[place] = self.end(cells[place])


@dataclass(frozen=True)
class RememberingPlanner(Planner):
    """Plans by what a fake store remembers."""

    store: FakeStore = field(default_factory=FakeStore)

    def history(self) -> list[TrackedRun]:
        return self.store.history()


Make = Callable[..., Search]


def run(search: Search, store: FakeStore, **options: Any) -> list[str]:
    remembering = Search(search.sweep, RememberingPlanner(search.planner.conditions, store=store))
    outcomes = run_search(remembering, store, SilentProgress(), **options)
    return [outcome.status for outcome in outcomes]


def trial_rows(search: Search, store: FakeStore) -> list[tuple[Any, ...]]:
    return [
        (trial.number, dict(trial.parameters), trial.state, trial.values) for trial in search.known(store.history())
    ]
