"""Commands that plan and run cells: plan, sweep, generate, promote."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cogx_runs.cli.deliver import deliver_first
from cogx_runs.cli.executors import executor_of, local_executor
from cogx_runs.cli.json_output import errors_as_json, print_json
from cogx_runs.cli.options import (
    cell_options,
    device_option,
    executor_options,
    files_argument,
    json_option,
    sweep_argument,
    take_over_option,
    take_overrides,
)
from cogx_runs.cli.terminal import echo

if TYPE_CHECKING:
    from cogx_runs.execution.executor import Executor
    from cogx_runs.execution.outcomes import Outcome
    from cogx_runs.planning.plan import Plan
    from cogx_runs.search.optuna.results import SearchResult


@click.command()
@files_argument
@cell_options
@click.option("--no-store", is_flag=True, help="Plan without the tracking store, as if nothing was finished.")
@click.option("--retry-failed", is_flag=True, help="Plan failed cells as runs.")
@click.option("--gpu", metavar="NAME", help="Plan for another machine's GPU: 'RTX 3060', or its memory: 12GB.")
@json_option
def plan(files: tuple[str, ...], no_store: bool, as_json: bool, **options: Any) -> None:
    """Show what each run of FILE... would do, what it costs, and advice by the model's rules. Loads no model.

    Times with a ~ are rough: computed from the GPU's figures, until runs of your own are there to learn from.
    """
    from cogx_runs.api import plan_sweeps
    from cogx_runs.cli.tables import print_plan

    with errors_as_json(as_json):
        planned = plan_sweeps(files, overrides=take_overrides(options), use_store=not no_store, **options)
    if as_json:
        print_json(planned.as_dict())
    else:
        print_plan(planned)
    sys.exit(2 if planned.errors else 0)


@click.command()
@files_argument
@cell_options
@click.option("--retry-failed", is_flag=True, help="Run cells again that failed before.")
@take_over_option
@click.option("--fail-fast", is_flag=True, help="Stop at the first cell that fails.")
@executor_options
@json_option
def sweep(files: tuple[str, ...], fail_fast: bool, as_json: bool, **options: Any) -> None:
    """Run every cell of FILE... that is not finished, and track it. The same command continues a stopped sweep."""
    from cogx_runs.api import plan_sweeps, search_results

    with errors_as_json(as_json), executor_of(options) as executor:
        deliver_first()
        planned = plan_sweeps(files, overrides=take_overrides(options), **options)
        outcomes = _run(planned, fail_fast=fail_fast, executor=executor)
        results = search_results(planned)
    _print_and_exit(planned, outcomes, as_json, results, files)


@click.command()
@click.argument("prompt")
@cell_options
@take_over_option
@click.option("--as-text", is_flag=True, help="PROMPT is a text, though a single word or a prompt's name.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Copy the video to this file.")
@json_option
def generate(prompt: str, output: Path | None, as_json: bool, **options: Any) -> None:
    """Generate one video of PROMPT, a prompt's name or a text, and track it in the experiment `generate`."""
    from cogx_runs.api import plan_one, video_of
    from cogx_runs.errors import CogxError
    from cogx_runs.formatting import cut
    from cogx_runs.system.files import is_folder

    with errors_as_json(as_json):
        if output is not None and not is_folder(output.parent):
            raise CogxError(f"--output {cut(str(output))}: there is no folder {cut(str(output.parent))}")
        deliver_first()
        planned = plan_one(prompt, overrides=take_overrides(options), **options)
        with local_executor() as executor:
            outcomes = _run(planned, executor=executor)
        if outcomes[0].status.is_success and output is not None:
            video_of(outcomes[0], output)
            echo(f"video: {output}", err=True)
    _print_and_exit(planned, outcomes, as_json)


@click.command()
@sweep_argument
@click.option("--by", required=True, metavar="METRIC", help="The metric that chooses, such as clip_score.")
@click.option("--steps", type=int, default=50, show_default=True, help="Denoising steps of the final videos.")
@click.option("--from-steps", type=int, help="Steps of the candidates; needed where SWEEP has several counts.")
@click.option("--top", metavar="K|all", default="1", show_default=True, help="How many of each prompt.")
@click.option("--check", metavar="METRIC", help="A metric that does not choose; else the first that is there.")
@click.option("--dry-run", is_flag=True, help="Show what would be chosen and run, and run nothing.")
@click.option("--retry-failed", is_flag=True, help="Run cells again that failed before.")
@take_over_option
@device_option
@click.option("--max-vram", type=float, metavar="GIB", help="Limit of GPU memory.")
@executor_options
@json_option
def promote(sweep: str, top: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Run the best candidates of each prompt of SWEEP again at more steps, and report whether the choice holds.

    Candidates are the finished cells at fewer steps, such as several seeds at 25. The final runs go into the same
    experiment, with their lineage in tags.
    """
    from cogx_runs.cli.progress import show_progress
    from cogx_runs.cli.promoted import choice_dict, print_choice, print_promotion, promotion_dict
    from cogx_runs.cli.tables import print_advice, print_plan
    from cogx_runs.errors import CogxError
    from cogx_runs.formatting import cut
    from cogx_runs.search.promotion.finals import carry_out
    from cogx_runs.search.promotion.plan import plan_promotion

    with errors_as_json(as_json):
        used = executor_of(options)
        if top != "all" and not re.fullmatch("[0-9]{1,9}", top):
            raise CogxError(f"--top {cut(top)}: must be 1 or more, or all")
        planned = plan_promotion(sweep, top=None if top == "all" else int(top), **options)
    if dry_run:
        if as_json:
            print_json({**choice_dict(planned), **planned.plan.as_dict()})
        else:
            print_choice(planned)
            print_plan(planned.plan)
        sys.exit(2 if planned.plan.errors else 0)
    with errors_as_json(as_json):
        print_advice([advice for advice in planned.plan.advice if advice.level != "error"])
        with used as executor, show_progress(planned.plan) as progress:
            done = carry_out(planned, progress=progress, executor=executor)
    if as_json:
        runs = [_outcome_dict(outcome) for outcome in done.outcomes]
        advice = planned.plan.as_dict()["advice"]
        print_json({**promotion_dict(done), "runs": runs, "advice": advice})
    else:
        print_promotion(done)
    sys.exit(1 if any(not outcome.status.is_success for outcome in done.outcomes) else 0)


def _print_and_exit(
    planned: "Plan",
    outcomes: "list[Outcome]",
    as_json: bool,
    searches: "Sequence[SearchResult]" = (),
    files: "Sequence[str]" = (),
) -> None:
    """Prints outcomes, results of searches, and what to do next with the sweep `files`; exits with 1 where a cell has
    no finished run."""
    from dataclasses import asdict

    from cogx_runs.cli.tables import print_file_scores, print_headlines, print_next, print_outcomes, print_search

    if as_json:
        runs = [_outcome_dict(outcome) for outcome in outcomes]
        content = {"runs": runs, "advice": [asdict(advice) for advice in planned.advice]}
        if searches:
            content["trials"] = [{"sweep": found.name, **row} for found in searches for row in found.rows(every=True)]
        print_json(content)
    else:
        print_outcomes(outcomes)
        for found in searches:
            print_search(found)
        if files:
            print_headlines(planned, outcomes)
        print_file_scores(outcomes)
        if files:
            print_next(files)
    sys.exit(1 if any(not outcome.status.is_success for outcome in outcomes) else 0)


def _run(planned: "Plan", fail_fast: bool = False, executor: "Executor | None" = None) -> "list[Outcome]":
    """Runs a plan and shows its advice and progress."""
    from cogx_runs.api import execute
    from cogx_runs.cli.progress import show_progress
    from cogx_runs.cli.tables import print_advice

    print_advice([advice for advice in planned.advice if advice.level != "error"])
    with show_progress(planned) as progress:
        return execute(planned, fail_fast=fail_fast, progress=progress, executor=executor)


def _outcome_dict(outcome: "Outcome") -> dict[str, Any]:
    return {
        "sweep": outcome.spec.sweep,
        "run_name": outcome.spec.run_name,
        "signature": outcome.spec.signature,
        "status": outcome.status,
        "run_id": outcome.run_id,
        "metrics": dict(outcome.metrics or {}),
        "error": outcome.error,
    }
