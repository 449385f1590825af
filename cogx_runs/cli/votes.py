"""The commands on the votes that pages hold."""

from pathlib import Path

import click

from cogx_runs.cli.terminal import echo
from cogx_runs.formatting import count


@click.group()
def votes() -> None:
    """Work with the votes that voters saved in their pages."""


@votes.command()
@click.argument("pages", metavar="PAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The page to write.",
)
def merge(pages: tuple[Path, ...], output: Path) -> None:
    """Write a copy of the first PAGE with the votes of all.

    PAGE is a report that a voter saved, or a folder of them; all must be of the same experiments. Of one voter's votes
    on a pair the last counts. `report` into the page's folder then shows what the votes say.
    """
    from cogx_runs.report.votes import merge_votes

    merged = merge_votes(pages, output)
    echo(merged.page)
    voters, pairs, read = (
        count(number, what)
        for number, what in ((merged.voters, "voter"), (merged.pairs, "pair"), (merged.pages, "page"))
    )
    repeated = f"; {merged.repeated} left out, as a later one counts" if merged.repeated else ""
    echo(f"{count(merged.votes, 'vote')} of {voters} on {pairs}, from {read}{repeated}", err=True)
