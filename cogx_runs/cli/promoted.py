"""A promotion on a terminal, and as the object that `--json` prints."""

from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from cogx_runs.analysis.promotion.gains import PreviewGains
from cogx_runs.cli.consoles import stdout
from cogx_runs.execution.outcomes import OutcomeStatus
from cogx_runs.formatting import signed
from cogx_runs.search.promotion.finals import Promotion
from cogx_runs.search.promotion.plan import PlannedPromotion


def print_choice(planned: PlannedPromotion) -> None:
    """Prints the candidates that are to be run again."""
    choice = planned.choice
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("prompt", "candidate"):
        table.add_column(header, overflow="fold")
    for header in ("rank", f"{choice.by} at {choice.from_steps}"):
        table.add_column(header, justify="right", no_wrap=True)
    for one in choice.promoted:
        table.add_row(escape(one.prompt), escape(one.run_name), f"{one.rank} of {one.of}", _figure(one.value))
    stdout().print(table)


def print_promotion(done: Promotion) -> None:
    """Prints each promoted candidate at both step counts, then the conclusions."""
    choice, check = done.planned.choice, done.planned.check
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("prompt", "candidate"):
        table.add_column(header, overflow="fold")
    for metric in (choice.by, check):
        if metric is not None:
            table.add_column(f"{metric} at {choice.from_steps}", justify="right", overflow="fold")
            table.add_column(f"at {choice.steps}", justify="right", no_wrap=True)
            table.add_column("change", justify="right", no_wrap=True)
    table.add_column(f"rank at {choice.from_steps}", justify="right", no_wrap=True)
    has_ranks = any(one.final_rank is not None for one in done.promoted)
    if has_ranks:
        table.add_column(f"rank at {choice.steps}", justify="right", no_wrap=True)
    table.add_column("final run", no_wrap=True)
    for one in done.promoted:
        figures = _row(one.preview, one.final)
        if check is not None:
            figures += _row(one.check_preview, one.check_final)
        table.add_row(
            escape(one.prompt),
            escape(one.run_name),
            *figures,
            f"{one.rank} of {one.of}",
            *([str(one.final_rank or "")] if has_ranks else []),
            (one.final_run_id or "")[:8],
        )
    console = stdout()
    console.print(table)
    for outcome in done.outcomes:
        if outcome.error and outcome.status is not OutcomeStatus.DONE:
            console.print(f"{outcome.status} {escape(outcome.spec.run_name)}: {escape(outcome.error)}", soft_wrap=True)
    if done.gains is not None and done.gains.rows:
        console.print(_gains_table(done.gains, choice.from_steps))
    for sentence in done.sentences:
        console.print(escape(sentence), soft_wrap=True)


def _gains_table(gains: PreviewGains, from_steps: int) -> Table:
    """Writes what each number of candidates is expected to gain, and what it costs; the best choice is marked."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    headers = ("steps", "candidates", "expected gain", "95% interval", "seen", "s a prompt", "gain a second", "")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for row in gains.shown(from_steps):
        table.add_row(
            f"{row.from_steps}{', finals' if row.from_steps == gains.steps else ''}",
            str(row.candidates),
            signed(row.gain),
            f"{signed(row.low)} to {signed(row.high)}",
            "" if row.seen is None else signed(row.seen),
            "" if row.seconds is None else f"{row.seconds:.3g}",
            "" if row.per_second is None else f"{row.per_second:.3g}",
            "most a second" if row == gains.best else "",
        )
    return table


def choice_dict(planned: PlannedPromotion) -> dict[str, Any]:
    """Returns the choice as `--json` prints it."""
    choice = planned.choice
    return {
        "experiment": planned.experiment,
        "by": choice.by,
        "direction": choice.direction,
        "check": planned.check,
        "from_steps": choice.from_steps,
        "steps": choice.steps,
        "candidates": [asdict(one) for one in choice.candidates],
    }


def promotion_dict(done: Promotion) -> dict[str, Any]:
    """Returns the promotion as `--json` prints it."""
    return {
        **choice_dict(done.planned),
        "promoted": [asdict(one) for one in done.promoted],
        "comparisons": [asdict(one) for one in done.comparisons],
        "agreement": None if done.agreement is None else asdict(done.agreement),
        "gains": None if done.gains is None else asdict(done.gains),
        "sentences": list(done.sentences),
    }


def _row(before: float | None, after: float | None) -> list[str]:
    change = "" if before is None or after is None else f"{after - before:+.4g}"
    return [_figure(before), _figure(after), change]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
