"""Runs the finals of a promotion and compares them with their candidates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cogx_runs.analysis.frame import load_runs
from cogx_runs.analysis.promotion.agreement import Agreement, agreement
from cogx_runs.analysis.promotion.finals import Comparison, Promoted, compare, promoted
from cogx_runs.analysis.promotion.gains import PreviewGains
from cogx_runs.analysis.promotion.previews import of_newest_texts
from cogx_runs.analysis.promotion.wording import (
    describe_agreement,
    describe_comparison,
    describe_no_agreement,
    gains_of,
)
from cogx_runs.execution.executor import Executor
from cogx_runs.execution.local import entered
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.metrics.registry import rescore_command
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.search.promotion.lineage import tag_finals
from cogx_runs.search.promotion.plan import PlannedPromotion, plan_promotion
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import PROMOTED_FROM


@dataclass(frozen=True)
class Promotion:
    """A promotion that was run: the outcome of each final, and the comparison with the candidates."""

    planned: PlannedPromotion
    outcomes: tuple[Outcome, ...]
    promoted: tuple[Promoted, ...]
    comparisons: tuple[Comparison, ...]
    agreement: Agreement | None
    """None where no prompt has all its candidates at both step counts."""
    gains: PreviewGains | None
    """What previews are worth; None where the candidates are of several models, sizes or precisions."""
    sentences: tuple[str, ...]
    """The figures in words, with their limits."""


def promote(
    sweep: str,
    *,
    by: str,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> Promotion:
    """Runs the best candidates of each prompt again at more steps, in their own experiment.

    Takes the options of `plan_promotion`, and raises the same errors.
    """
    planned = plan_promotion(sweep, by=by, tracking_uri=tracking_uri, **options)
    return carry_out(planned, tracking_uri=tracking_uri, progress=progress, executor=executor)


def carry_out(
    planned: PlannedPromotion,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Promotion:
    """Runs the plan of a promotion, tags its runs with their lineage, and compares previews with finals.

    Raises InputError where the plan's advice holds errors, CogxError where no cell can run.
    """
    planned.plan.check()
    with entered(executor, tracking_uri) as used:
        outcomes = used.run(planned.plan, progress or SilentProgress())
    _tag(RunStore(tracking_uri), planned, outcomes)
    choice, check = planned.choice, planned.check
    frame = load_runs(planned.experiment, tracking_uri=tracking_uri)
    found = promoted(frame, choice, check)
    comparisons = compare(frame, choice, choice.by)
    if check is not None:
        comparisons += compare(frame, choice, check)
    agreed = agreement(of_newest_texts(frame, choice.from_steps), choice.by, choice.from_steps, choice.steps)
    sentences = [describe_comparison(comparison, choice) for comparison in comparisons]
    sentences += [describe_no_agreement(choice)] if agreed is None else describe_agreement(agreed)
    gains, about_gains = gains_of(frame, choice.by, choice.from_steps, choice.steps)
    sentences += [*about_gains, *_caveats(planned, outcomes, found)]
    return Promotion(planned, tuple(outcomes), found, comparisons, agreed, gains, tuple(sentences))


def _tag(store: RunStore, planned: PlannedPromotion, outcomes: Sequence[Outcome]) -> None:
    candidates = {one.run_id: one for one in planned.choice.promoted}
    finals = {
        outcome.run_id: candidates[run.tags[PROMOTED_FROM]]
        for run, outcome in zip(planned.plan.runs, outcomes, strict=True)
        if outcome.status.is_success and outcome.run_id is not None
    }
    tag_finals(store, planned.experiment, finals, planned.choice.by)


def _caveats(planned: PlannedPromotion, outcomes: Sequence[Outcome], found: Sequence[Promoted]) -> list[str]:
    """Names degenerate finals and missing values, the latter with the command that adds them."""
    sweep, check, by = planned.experiment, planned.check, planned.choice.by
    sentences = []
    if degenerate := [one.run_name for one in found if one.final_is_degenerate]:
        named = ", ".join(degenerate)
        sentences.append(f"Degenerate at {planned.choice.steps} steps: {named}. They count in the comparisons above.")
    finished = sum(outcome.status.is_success for outcome in outcomes)
    if without := finished - sum(one.final is not None for one in found):
        sentences.append(
            f"{without} of the finals have no {by}, or one by another definition than the candidates', and are not "
            f"compared; where it is missing, `{rescore_command(by, sweep)}` adds it."
        )
    if check is None:
        sentences.append(
            f"No metric that did not choose is there for every candidate; `cogx-runs rescore {sweep} "
            "--clip-model ARCHITECTURE:TAG` adds another CLIP's score."
        )
    elif unchecked := sum(one.final is not None and one.check_final is None for one in found):
        sentences.append(
            f"{unchecked} of the finals have no {check} yet; `{rescore_command(check, sweep)}` adds it, and then the "
            "same command shows it."
        )
    return sentences
