"""A search for the smallest step count that is not inferior to a reference, from the reference downwards."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pandas as pd

from cogx_runs.analysis.frame import load_runs
from cogx_runs.analysis.looks import changed_since, keep_looks, looks_of, threshold_of
from cogx_runs.analysis.noninferiority import prompts_needed
from cogx_runs.analysis.pairs import pair_cells
from cogx_runs.analysis.promotion.previews import STEPS
from cogx_runs.analysis.sequential import ONE_LOOK, Looks
from cogx_runs.analysis.shares import MAY_CHANGE, upper_share
from cogx_runs.analysis.threshold import LADDER, Threshold, check_ladder, judge_threshold
from cogx_runs.definitions.parameters import MATCHED
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import Sweep, load_sweeps
from cogx_runs.errors import CogxError, InputError, Mistake, did_you_mean
from cogx_runs.execution.local import entered
from cogx_runs.formatting import count, signed, write_rough_duration
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import qualities
from cogx_runs.models.schedule import is_schedule_exact
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Conditions, Plan
from cogx_runs.planning.planner import Planner
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.tracking.columns import metric_column, tag_column
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import MAX_PROMPTS, OUTPUT_HASH

if TYPE_CHECKING:
    from cogx_runs.execution.executor import Executor


@dataclass(frozen=True)
class ThresholdSearch:
    """The state of a search for the smallest step count, when it ended."""

    experiment: str
    threshold: Threshold
    known: tuple[int, ...]
    """Counts of the ladder, the reference among them, that were finished before."""
    measured: tuple[int, ...]
    """Counts that were run, in order; the reference is first where it was run."""
    stopped: str | None
    """Why an unsettled search ended; None for a settled one."""
    notes: tuple[str, ...] = ()
    """What was changed since the first look at this threshold, and why the store does not keep this one."""


def find_threshold(
    file: str | Path,
    *,
    metric: str = "clip_score",
    margin: float | None = None,
    may_lose: float = MAY_CHANGE,
    ladder: Sequence[int] | None = None,
    reference: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    retry_failed: bool = False,
    max_vram: float | None = None,
    take_over: bool = False,
    executor: "Executor | None" = None,
    open_progress: Callable[[Plan], AbstractContextManager[Progress]] = lambda _: nullcontext(SilentProgress()),
    report: Callable[[str], None] = lambda _: None,
) -> ThresholdSearch:
    """Finds the smallest step count whose `metric` is not inferior to that at `reference` by `margin`, with all counts
    above it, over the prompts and seeds of a sweep file.

    `margin` is in the metric's unit, its card's by default; at most the share `may_lose` of all prompts may lose more,
    which takes fourteen prompts for a fifth; `reference` is the file's base value unless given, 50 by
    default; `ladder` holds the counts to choose from, and is the file's axis `num_inference_steps` unless given, else
    analysis.threshold.LADDER up to the reference. Counts whose cells are all finished, in any experiment, are used
    first and cost nothing; then each round runs the next smaller count, in the file's experiment, by
    an executor on this machine unless one is given; `open_progress` is entered for each round's plan. `report` receives
    a line before each round. A search that was ended anywhere continues when called again.

    The experiment keeps how many prompts a threshold was looked at with. With more of them a search is a further look,
    and held to its part of the 5% where the file has `max_prompts`, else to an e-value.

    Raises InputError or CogxError, before anything runs, for a file with other axes than seed and
    num_inference_steps, too few prompts to show anything, a ladder without the reference, counts that the scheduler
    gets wrong, and a metric that no sweep measures. Where cells fail or have no value of the metric the search ends
    unsettled.
    """
    if not 0 < may_lose < 1:
        raise CogxError(f"--may-lose {may_lose:g}: must be a share of prompts between 0 and 1, such as 0.2")
    sweep, counts = _searched(file, overrides, ladder, reference)
    card = _card(metric, sweep.extra_metrics)
    better, margin = card.direction, _margin(card, margin)
    assert better is not None, "a measure of quality has a direction"
    planner = Planner(Conditions(PromptLibrary.find(prompts), device, retry_failed, max_vram, take_over), tracking_uri)
    whole = planner.plan([sweep])
    _check(whole, sweep, counts, may_lose)
    if whole.placement is not None:
        # One for all rounds: the first one's model takes the memory that later ones would plan with.
        base = sweep.base.model_copy(update={"placement": whole.placement})
        sweep = sweep.model_copy(update={"base": base})
    cells = _Cells(whole, metric)
    known = cells.finished()
    looks = ONE_LOOK
    notes: tuple[str, ...] = ()
    report(_describe_search(counts, known, cells))
    differences: dict[int, npt.ArrayLike] = {}
    measured: list[int] = []
    wanted = [counts[-1], *(count for count in known if count != counts[-1])]
    with entered(executor, tracking_uri) as used:
        while True:
            planned = planner.plan([sweep.model_copy(update={"axes": {**sweep.axes, STEPS: tuple(wanted)}})])
            if planned.count(Action.DONE) < len(planned.runs):
                planned.check()
                with open_progress(planned) as progress:
                    used.run(planned, progress)
            measured += [count for count in wanted if count not in known]
            frame = load_runs(sweep.name, tracking_uri=tracking_uri)
            stopped = cells.lacking(frame, wanted)
            if stopped is None:
                differences |= {count: cells.differences(frame, count) for count in wanted if count != counts[-1]}
            if differences and not looks.prompts:
                looked_at = threshold_of(metric, counts[-1])
                looks, notes = _look(RunStore(tracking_uri), sweep, looked_at, cells.prompts)
            threshold = judge_threshold(
                differences,
                counts,
                margin=margin,
                better=better,
                metric=metric,
                seeds=cells.seeds,
                may_lose=may_lose,
                looks=looks,
            )
            if stopped is not None or threshold.next_count is None:
                return ThresholdSearch(sweep.name, threshold, known, tuple(measured), stopped, notes)
            report(_describe_round(threshold, wanted))
            wanted = [threshold.next_count]


def _look(store: RunStore, sweep: Sweep, threshold: str, prompts: int) -> tuple[Looks, tuple[str, ...]]:
    """Adds this look to those at a threshold before it, and keeps it. Returns what is to be said of them, too."""
    tags = store.experiment_tags(store.experiment_id(sweep.name))
    tags[MAX_PROMPTS] = str(sweep.max_prompts or "")
    looks = looks_of(tags, threshold).at(prompts)
    kept = keep_looks(store, sweep.name, threshold, looks)
    not_kept = [] if kept is None else [f"The store does not keep this look: {kept}"]
    return looks, (*changed_since(tags, threshold), *not_kept)


class _Cells:
    """The cells of a search and their runs; other runs of the experiment do not count."""

    def __init__(self, whole: Plan, metric: str) -> None:
        self._whole = whole
        self._metric = metric
        self._reference = max(planned.spec.num_inference_steps for planned in whole.runs)
        self.seeds = len({planned.spec.seed for planned in whole.runs})
        self.prompts = len({planned.spec.prompt_name for planned in whole.runs})

    @property
    def each(self) -> int:
        """Number of cells of one count."""
        return self.seeds * self.prompts

    @property
    def seconds(self) -> float:
        """Estimated time of all cells that are not finished."""
        return sum(planned.estimate.seconds or 0.0 for planned in self._whole.runs if planned.action.is_open)

    def finished(self) -> tuple[int, ...]:
        """Lists the counts, in order, that had nothing left to run or to decode when the search began."""
        counts = {planned.spec.num_inference_steps for planned in self._whole.runs}
        unfinished = {
            planned.spec.num_inference_steps
            for planned in self._whole.runs
            if planned.action not in {Action.DONE, Action.REUSE} or planned.decision.decodes
        }
        return tuple(sorted(counts - unfinished))

    def lacking(self, frame: pd.DataFrame, counts: Sequence[int]) -> str | None:
        """Describes why one of these counts cannot be compared; None where each cell is finished and has the metric."""
        column = metric_column(self._metric)
        for steps in counts:
            runs = self._runs(frame, [steps])
            scored = runs[runs[column].notna()] if column in runs.columns else runs[:0]
            finished, with_metric = (found[tag_column(OUTPUT_HASH)].nunique() for found in (runs, scored))
            if finished < self.each:
                return (
                    f"{self.each - finished} of {self.each} cells at {steps} steps are not finished; --retry-failed "
                    "runs the failed ones again"
                )
            if with_metric < self.each:
                return (
                    f"{self.each - with_metric} of {self.each} cells at {steps} steps have no {self._metric}; "
                    f"`cogx-runs rescore {self._whole.sweeps[0].name}` measures it where that can be done here"
                )
        return None

    def differences(self, frame: pd.DataFrame, count: int) -> npt.ArrayLike:
        """Computes the metric at a count less at the reference: one value a prompt, averaged over seeds.

        Raises CogxError where not every cell has its counterpart.
        """
        runs = self._runs(frame, [count, self._reference])
        found = pair_cells(runs, STEPS, [count], self._reference, self._metric)
        paired = found[0][1].pairs if found else 0
        if paired != self.each:
            raise CogxError(
                f"{self._whole.sweeps[0].name}: {paired} of {self.each} cells at {count} steps pair with one at "
                f"{self._reference}; the prompts were renamed in between, or the scores have two definitions"
            )
        return found[0][1].by_prompt

    def _runs(self, frame: pd.DataFrame, counts: Sequence[int]) -> pd.DataFrame:
        """Selects the finished runs of these counts' cells."""
        hashes = {run.spec.output_hash for run in self._whole.runs if run.spec.num_inference_steps in counts}
        return frame[(frame["status"] == RunState.FINISHED) & frame[tag_column(OUTPUT_HASH)].isin(hashes)]


def _card(metric: str, extra_metrics: Sequence[str]) -> MetricCard:
    """Returns the card of a metric. Raises CogxError for one that measures no quality, or that the sweep does not
    measure."""
    known = {card.name: card for card in qualities(extra_metrics)}
    if metric not in known:
        raise CogxError(
            f"--metric {metric}: is no measure of quality that a sweep takes; {did_you_mean(metric, known)}"
        )
    return known[metric]


def _margin(card: MetricCard, margin: float | None) -> float:
    if margin is None and card.margin is not None:
        return card.margin
    if margin is None:
        raise CogxError(f"--margin: give the largest loss of {card.name} that does not matter, in its own unit")
    if not 0 < margin < math.inf:
        raise CogxError(f"--margin {margin:g}: must be above 0, in the metric's unit")
    return margin


def _searched(
    file: str | Path, overrides: Mapping[str, Any] | None, ladder: Sequence[int] | None, reference: int | None
) -> tuple[Sweep, tuple[int, ...]]:
    """Builds the grid of counts and seeds to search from the file, and the counts in order, the reference last."""
    sweeps = load_sweeps([file], overrides)
    if len(sweeps) != 1:
        names = ", ".join(sweep.file for sweep in sweeps)
        raise InputError.single(f"{file}:include", f"a search takes one sweep; name one of {names}")
    (sweep,) = sweeps
    others = [axis for axis in sweep.axes if axis not in {STEPS, "seed"}]
    if others:
        raise InputError(
            Mistake(sweep.where(axis), f"a search varies {STEPS} and seed alone; put one value into base")
            for axis in others
        )
    if sweep.vary in {"zip", "random"}:
        raise InputError.single(sweep.at("vary"), f"a search runs every seed at a count; {sweep.vary} does not")
    reference = sweep.base.num_inference_steps if reference is None else reference
    if ladder is not None:
        counts = check_ladder(ladder, reference, "--ladder")
    elif STEPS in sweep.axes:
        counts = check_ladder(sweep.axes[STEPS], reference, sweep.where(STEPS))
    else:
        below = [count for count in LADDER if count < reference]
        counts = check_ladder([*below, reference], reference, "--reference")
    seeds = {"seed": sweep.axes["seed"]} if "seed" in sweep.axes else {}
    searched = sweep.model_copy(
        update={
            "base": sweep.base.model_copy(update={STEPS: reference}),
            "axes": {STEPS: counts, **seeds},
            "vary": "grid",
            "overridden": sweep.overridden - {STEPS},
        }
    )
    return searched, counts


def _check(whole: Plan, sweep: Sweep, counts: Sequence[int], may_lose: float) -> None:
    """Raises InputError where a search would be worthless, before anything runs."""
    spec = whole.runs[0].spec
    card = whole.cards[spec.model_key]
    wrong = [count for count in counts if not is_schedule_exact(count, spec.scheduler, card)]
    if wrong:
        right = [str(count) for count in counts if count not in wrong]
        instead = f", or --ladder {','.join(right)}" if len(right) > 1 else ""
        raise InputError.single(
            sweep.where("scheduler"),
            f"{spec.scheduler} goes wrong at {', '.join(map(str, wrong))} steps, and a search would measure that; give "
            f"--set scheduler={MATCHED[spec.scheduler]}, which is right at any count{instead}",
        )
    whole.check()
    prompts, needed = len({planned.spec.prompt_name for planned in whole.runs}), prompts_needed(may_lose)
    if prompts < needed:
        possible = float(upper_share(0, prompts)) + 0.005
        instead = f", or accept more with --may-lose {possible:.2f}" if prompts_needed(possible) <= prompts else ""
        raise InputError.single(
            sweep.at("prompts"),
            f"{count(prompts, 'prompt')} cannot show that at most {may_lose:.0%} of all prompts lose more than the "
            f"margin, whatever comes out; name {needed} or more{instead}",
        )


def _describe_search(counts: Sequence[int], known: Sequence[int], cells: _Cells) -> str:
    videos = count(cells.each * sum(number not in known for number in counts), "video")
    time = f", about {write_rough_duration(cells.seconds)}" if cells.seconds >= 1 else ""
    text = f"At most {videos}{time}: {', '.join(map(str, counts[::-1]))} steps in turn, until a count is not shown."
    return text + (f" Finished already: {', '.join(map(str, known))}." if known else "")


def _describe_round(threshold: Threshold, counts: Sequence[int]) -> str:
    points = [point for count in sorted(counts) if (point := threshold.point(count)) is not None]
    parts = [f"{point.count} steps: {signed(point.mean)}, {point.verdict}" for point in points]
    parts = parts or [f"{threshold.reference} steps, the reference, is there"]
    following = "settled" if threshold.settled else f"next is {threshold.next_count}"
    return "; ".join([*parts, following])
