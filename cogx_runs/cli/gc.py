"""The command gc."""

import sys

import click

from cogx_runs.cli.json_output import print_json
from cogx_runs.cli.options import json_option
from cogx_runs.cli.terminal import echo


@click.command()
@click.option("--yes", is_flag=True, help="Remove it; else it is only shown.")
@json_option
def gc(yes: bool, as_json: bool) -> None:
    """Show, or with --yes remove, what nothing refers to: what is half written, has no run, or was deleted in MLflow.

    It looks at the tracking store and its artifacts, and at what processes that are gone left in the folder of
    temporary files, the cache and the spool. What a finished run refers to stays, and so does what a living process
    uses. The exit code is 1 where something could not be removed.
    """
    from cogx_runs.cleanup.collect import collect_garbage

    found = collect_garbage(remove=yes)
    if as_json:
        print_json([one.as_dict() for one in found])
    else:
        for one in found:
            echo(f"{one.kind:<9}  {one.size_gib:9.3f} GiB  {one.what}")
        total = sum(one.size_gib for one in found if not one.problem)
        done = "removed" if yes else "can be removed; --yes removes it"
        echo(f"{total:.3f} GiB {done}" if found else "nothing to remove")
    problems = [one for one in found if one.problem]
    for one in problems:
        echo(f"not removed: {one.what}: {one.problem}", err=True)
    sys.exit(1 if problems else 0)
