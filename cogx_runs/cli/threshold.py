"""The command threshold, which finds the smallest step count that is good enough."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cogx_runs.cli.executors import executor_of
from cogx_runs.cli.json_output import errors_as_json, print_json
from cogx_runs.cli.options import cell_options, executor_options, json_option, take_over_option, take_overrides
from cogx_runs.cli.terminal import echo

if TYPE_CHECKING:
    from cogx_runs.planning.plan import Plan
    from cogx_runs.progress import Progress
    from cogx_runs.search.threshold import ThresholdSearch


@click.command()
@click.argument("file")
@click.option("--metric", default="clip_score", show_default=True, help="The measure of quality.")
@click.option("--margin", type=float, help="Largest loss that does not matter, in the metric's unit; 1 for clip_score.")
@click.option(
    "--may-lose",
    type=float,
    default=0.2,
    show_default=True,
    metavar="SHARE",
    help="Largest share of all prompts that may lose more; 0.2 takes 14 prompts or more.",
)
@click.option("--reference", type=click.IntRange(min=2), help="The count to compare with; else the base's, 50.")
@click.option("--ladder", metavar="N,N,...", help="The counts to choose from; else the file's, else 5 to 50.")
@cell_options
@click.option("--retry-failed", is_flag=True, help="Run cells again that failed before.")
@take_over_option
@executor_options
@json_option
def threshold(file: str, ladder: str | None, as_json: bool, **options: Any) -> None:
    """Find the smallest step count that is not inferior to 50 by a margin, from the largest down, each with the
    prompts and seeds of FILE.

    The same command continues a stopped search. Exits with 1 where cells failed and nothing is settled.
    """
    from cogx_runs.search.threshold import find_threshold

    with errors_as_json(as_json), executor_of(options) as executor:
        search = find_threshold(
            file,
            ladder=None if ladder is None else _counts(ladder),
            overrides=take_overrides(options),
            executor=executor,
            open_progress=_Rounds(),
            report=lambda message: echo(message, err=True),
            **options,
        )
    if as_json:
        print_json(_as_dict(search))
    else:
        _print_curve(search)
    if search.stopped is not None:
        echo(search.stopped, err=True)
        sys.exit(1)


class _Rounds:
    """Shows each round's progress; advice that several rounds share is printed once."""

    def __init__(self) -> None:
        self._printed: set[str] = set()

    @contextmanager
    def __call__(self, planned: "Plan") -> "Iterator[Progress]":
        from cogx_runs.cli.progress import show_progress
        from cogx_runs.cli.tables import print_advice

        print_advice([advice for advice in planned.advice if advice.message not in self._printed])
        self._printed |= {advice.message for advice in planned.advice}
        with show_progress(planned) as progress:
            yield progress


def _counts(ladder: str) -> list[int]:
    from cogx_runs.errors import InputError
    from cogx_runs.formatting import cut

    try:
        return [int(count) for count in ladder.split(",")]
    except ValueError as error:
        raise InputError.single(f"--ladder {cut(ladder)}", "write it as 5,10,25,50") from error


def _as_dict(search: "ThresholdSearch") -> dict[str, Any]:
    from dataclasses import asdict

    from cogx_runs.analysis.threshold import threshold_sentence

    return {
        **asdict(search),
        "settled": search.threshold.settled,
        "sentence": threshold_sentence(search.threshold),
    }


def _print_curve(search: "ThresholdSearch") -> None:
    from math import isfinite

    from rich.table import Table

    from cogx_runs.analysis.threshold import answers_sentence, threshold_sentence
    from cogx_runs.cli.consoles import stdout
    from cogx_runs.formatting import signed

    found = search.threshold
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("steps", f"{found.metric} less {found.reference}'s", found.interval_name, "lose more", "passes at"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for point in found.curve:
        interval = f"{signed(point.low)} to {signed(point.high)}" if isfinite(point.low) else ""
        margin = "" if point.margin is None else f"{point.margin:.3g}"
        losing = f"{point.losing} of {point.prompts}"
        table.add_row(str(point.count), signed(point.mean), interval, losing, margin, point.verdict)
    table.add_row(str(found.reference), "0", "", "", "", "reference")
    stdout().print(table)
    for sentence in (threshold_sentence(found), answers_sentence(found), *search.notes):
        if sentence:
            echo(sentence)
