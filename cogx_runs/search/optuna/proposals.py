"""Proposals of Optuna for the next trial, which depend on the search and the trials before it alone."""

import hashlib
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cogx_runs.definitions.limits import MOST_CELLS
from cogx_runs.definitions.ranges import Direction, Range
from cogx_runs.definitions.sweep import Sweep

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ATTEMPTS = 100
"""Proposals that may repeat an earlier trial before one of the configurations left is drawn at random."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial as passed to Optuna."""

    parameters: Mapping[str, Any]
    """The value of each axis."""
    values: Sequence[float] | None
    """The value of each objective; None for a trial that failed or is pending."""
    degenerate: int = 0
    """Number of its degenerate videos: a trial with more of them is worse, whatever its values."""
    is_pending: bool = False
    """Whether it is being run: Optuna takes its place for a bad one until its values are there (`constant_liar`), so
    that trials that run at once differ."""


def propose(
    sweep: Sweep,
    directions: Sequence[Direction],
    earlier: Sequence[EarlierTrial],
    later: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any] | None:
    """Proposes the parameters of the trial after the `earlier` ones, which no trial had before, nor the `later` ones,
    which are there already; None where a finite space is used up.

    Each trial has a new sampler, seeded with the search's seed and the trial's number, and a new study of the trials
    before it. So a search that was stopped while no trial was pending continues with the same proposals.
    """
    assert sweep.optuna is not None, "only a search proposes"
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else Optuna reports each study on stderr
    axes = [_Axis.of(sweep, name) for name in sweep.axes]
    tried = [*(dict(trial.parameters) for trial in earlier), *map(dict, later)]
    if size(sweep) <= len({repr(parameters) for parameters in tried}):
        return None
    distributions = {axis.name: axis.distribution() for axis in axes}
    study = optuna.create_study(directions=list(directions))
    states = optuna.trial.TrialState
    for trial in earlier:
        ended = states.FAIL if trial.values is None else states.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=states.RUNNING if trial.is_pending else ended,
                params={axis.name: axis.inner(trial.parameters[axis.name]) for axis in axes},
                distributions=distributions,
                values=trial.values,
                constraints={"degenerate": float(trial.degenerate)},
            )
        )
    for attempt in range(ATTEMPTS):
        seed = _seed(sweep.optuna.seed, len(earlier), attempt)
        study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=sweep.optuna.startup_trials, constant_liar=True
        )
        asked = study.ask(distributions)
        parameters = {axis.name: axis.outer(asked.params[axis.name]) for axis in axes}
        if parameters not in tried:
            return parameters
    if size(sweep) == math.inf:
        return None  # every value that four digits distinguish was tried
    draw = random.Random(_seed(sweep.optuna.seed, len(earlier), ATTEMPTS))
    while size(sweep) > MOST_CELLS:  # too many to list, and far more than were tried
        parameters = {axis.name: draw.choice(axis.values or ()) for axis in axes}
        if parameters not in tried:
            return parameters
    combinations = itertools.product(*(axis.values or () for axis in axes))
    everything = (dict(zip(sweep.axes, combination, strict=True)) for combination in combinations)
    left = [parameters for parameters in everything if parameters not in tried]
    return draw.choice(left)


def size(sweep: Sweep) -> float:
    """Counts the configurations of a search's space; infinite with a range of any numbers."""
    counts = [_Axis.of(sweep, name).values for name in sweep.axes]
    return math.prod(math.inf if values is None else len(values) for values in counts)


def values_of(sweep: Sweep, axis: str) -> tuple[Any, ...]:
    """Lists the values that a search may choose for an axis; of a range of any numbers, its ends."""
    return _Axis.of(sweep, axis).values or sweep.axes[axis]


@dataclass(frozen=True)
class _Axis:
    """An axis as passed to Optuna: a list of numbers as their places in order, so that neighbours stay neighbours."""

    name: str
    values: tuple[Any, ...] | None
    """Its values; None for any number of a range."""
    range: Range | None

    @classmethod
    def of(cls, sweep: Sweep, name: str) -> "_Axis":
        if name in sweep.ranges:
            return cls(name, sweep.ranges[name].values(), sweep.ranges[name])
        values = sweep.axes[name]
        return cls(name, tuple(sorted(values)) if _are_numbers(values) else values, None)

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.range is None:
            assert self.values is not None, "a list has its values"
            last = len(self.values) - 1
            return IntDistribution(0, last) if _are_numbers(self.values) else CategoricalDistribution(range(last + 1))
        low, high, step, log = self.range.low, self.range.high, self.range.step, self.range.log
        if self.range.whole:
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        return FloatDistribution(low, high, log=log, step=step)

    def inner(self, value: Any) -> Any:
        """Converts a value to Optuna's."""
        return value if self.range is not None or self.values is None else self.values.index(value)

    def outer(self, proposed: Any) -> Any:
        """Converts Optuna's value back."""
        if self.range is None:
            assert self.values is not None, "a list has its values"
            return self.values[proposed]
        return proposed if self.range.whole else self.range.rounded(proposed)


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _seed(*numbers: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:4], "big")
