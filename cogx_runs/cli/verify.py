"""The command verify, which reads all that finished runs have."""

import sys

import click

from cogx_runs.cli.json_output import errors_as_json, print_json
from cogx_runs.cli.options import json_option
from cogx_runs.cli.terminal import echo


@click.command()
@click.argument("sweep", required=False)
@json_option
def verify(sweep: str | None, as_json: bool) -> None:
    """Read every artifact of the finished runs of SWEEP, or of all, and list what is gone or damaged.

    What is found is marked. The next sweep makes a video again; latents alone it leaves, since their video is whole.
    The exit code is 1 if anything is not right.
    """
    from dataclasses import asdict

    from cogx_runs.verify import verify_runs

    with errors_as_json(as_json):
        found = verify_runs(sweep, progress=_show, report=lambda message: echo(message, err=True))
    wrong = [run for run in found if run.problems]
    if as_json:
        print_json([asdict(run) for run in found])
    else:
        for run in wrong:
            problems = "; ".join(f"{name}: {problem}" for name, problem in run.problems.items())
            echo(f"{run.experiment}: {run.run_name}, run {run.run_id}: {problems}")
        echo(f"{len(found)} finished runs, {len(wrong)} not whole")
    sys.exit(1 if wrong else 0)


def _show(done: int, of: int) -> None:
    """Says how far it is, every 100 runs."""
    if done and done % 100 == 0:
        echo(f"{done} of {of} runs", err=True)
