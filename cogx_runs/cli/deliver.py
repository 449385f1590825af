"""The command deliver, and what the commands that run cells deliver before they plan."""

import sys

import click

from cogx_runs.cli.json_output import errors_as_json, print_json
from cogx_runs.cli.options import json_option
from cogx_runs.cli.terminal import echo


@click.command()
@json_option
def deliver(as_json: bool) -> None:
    """Bring to the tracking store what is kept in the spool, since the store did not answer or a process was killed.

    `sweep` and `generate` do the same when they start. Exits with 1 where the store refuses something; that is kept.
    """
    from dataclasses import asdict

    from cogx_runs.api import deliver as deliver_runs
    from cogx_runs.tracking.delivery import waiting_for_others

    with errors_as_json(as_json):
        delivered = deliver_runs()
    refused = [run for run in delivered if run.refused is not None]
    if as_json:
        print_json([asdict(run) for run in delivered])
        sys.exit(1 if refused else 0)
    for run in delivered:
        if run.refused is None:
            echo(f"{run.name}: {run.state}, run {run.run_id}")
    for run in refused:
        echo(run.told, err=True)
    if not delivered:
        echo("nothing waits for this tracking store")
    for address, count in waiting_for_others().items():
        echo(f"{count} more for {address}: set MLFLOW_TRACKING_URI to it", err=True)
    sys.exit(1 if refused else 0)


def deliver_first() -> None:
    """Delivers what is kept in the spool before cells are planned that it holds, and says so."""
    from cogx_runs.api import deliver as deliver_runs

    for run in deliver_runs():
        echo(f"note: {run.told}", err=True)
