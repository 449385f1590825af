"""plan, sweep, generate: from definition files to videos."""

import sys
from typing import TYPE_CHECKING, Any

import click

from cogx_runs.cli.options import cell_options, files_argument, json_option, take_overrides

if TYPE_CHECKING:
    from cogx_runs.outcomes import Outcome
    from cogx_runs.plan import Plan


@click.command()
@files_argument
@cell_options
@click.option("--no-store", is_flag=True, help="Ask no tracking store what is finished already.")
@click.option("--retry-failed", is_flag=True, help="Plan failed cells as runs.")
@json_option
def plan(files: tuple[str, ...], no_store: bool, as_json: bool, **options: Any) -> None:
    """Show what each run of FILE... would do, what it costs, and what the model's rules say of it. Loads no model."""
    from dataclasses import asdict
    from json import dumps

    from cogx_runs.cli.tables import print_plan
    from cogx_runs.errors import InputError
    from cogx_runs.study import plan as make_plan

    try:
        planned = make_plan(files, overrides=take_overrides(options), use_store=not no_store, **options)
    except InputError as error:
        if not as_json:
            raise
        advice = [{"level": "error", **asdict(mistake)} for mistake in error.mistakes]
        click.echo(dumps({"runs": [], "advice": advice}, indent=2))
        sys.exit(2)
    if as_json:
        click.echo(dumps(planned.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_plan(planned)
    sys.exit(2 if planned.errors else 0)


@click.command()
@files_argument
@cell_options
@click.option("--retry-failed", is_flag=True, help="Take up the cells that failed before.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first cell that fails.")
@json_option
def sweep(files: tuple[str, ...], fail_fast: bool, as_json: bool, **options: Any) -> None:
    """Run every cell of FILE... that is not finished, and track it. The same command goes on where it was stopped."""
    from json import dumps

    from cogx_runs.cli.tables import print_advice, print_outcomes
    from cogx_runs.study import plan as make_plan

    planned = make_plan(files, overrides=take_overrides(options), **options)
    print_advice([advice for advice in planned.advice if advice.level != "error"])
    outcomes = _run(planned, fail_fast=fail_fast)
    if as_json:
        click.echo(dumps([_outcome_dict(outcome) for outcome in outcomes], indent=2, ensure_ascii=False))
    else:
        print_outcomes(outcomes)
    sys.exit(_exit_code(outcomes))


@click.command()
@click.argument("prompt")
@cell_options
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Copy the video to this file.")
@json_option
def generate(prompt: str, output: str | None, as_json: bool, **options: Any) -> None:
    """Make one video of PROMPT, a prompt's name or a text, and track it in the experiment `generate`."""
    from json import dumps

    from cogx_runs.cli.tables import print_advice, print_outcomes
    from cogx_runs.study import plan_one, video_of

    planned = plan_one(prompt, overrides=take_overrides(options), **options)
    print_advice([advice for advice in planned.advice if advice.level != "error"])
    outcomes = _run(planned)
    if outcomes[0].status != "failed" and output is not None:
        video_of(outcomes[0], output)
    if as_json:
        click.echo(dumps(_outcome_dict(outcomes[0]), indent=2, ensure_ascii=False))
    else:
        print_outcomes(outcomes)
    sys.exit(_exit_code(outcomes))


def _run(planned: "Plan", fail_fast: bool = False) -> "list[Outcome]":
    """Run a plan with progress shown; a terminated process is treated as an interrupted one."""
    import signal

    from cogx_runs.cli.progress import reporter
    from cogx_runs.study import execute

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with reporter(planned) as progress:
        return execute(planned, fail_fast=fail_fast, reporter=progress)


def _exit_code(outcomes: "list[Outcome]") -> int:
    return 1 if any(outcome.status in {"failed", "skipped"} for outcome in outcomes) else 0


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
