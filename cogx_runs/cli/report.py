"""report: a sweep as a page that can be mailed."""

from pathlib import Path

import click


@click.command()
@click.argument("sweeps", metavar="SWEEP...", nargs=-1, required=True)
@click.option(
    "-o", "--output", "directory", metavar="DIR", required=True, type=click.Path(path_type=Path), help="The folder."
)
@click.option(
    "--baseline", "baselines", metavar="KEY=VALUE", multiple=True, help="Compare an axis with this value; repeatable."
)
@click.option("--log/--no-log", default=True, help="Keep the page in MLflow too, with each experiment.")
def report(sweeps: tuple[str, ...], directory: Path, baselines: tuple[str, ...], log: bool) -> None:
    """Write DIR/report.html on each SWEEP: videos side by side, numbers, plots, differences, and a blind vote.

    The page loads nothing from anywhere. Votes saved in DIR are carried over.
    """
    from cogx_runs.errors import CogxError
    from cogx_runs.report.folder import write_report

    values = {}
    for text in baselines:
        axis, equals, value = text.partition("=")
        if not equals:
            raise CogxError(f"--baseline {text}: write it as KEY=VALUE")
        values[axis.strip()] = value.strip()
    written = write_report(sweeps, directory, baselines=values, log=log)
    click.echo(written.page)
    if not written.embedded:
        click.echo(f"the {written.videos} videos are beside it, in videos/: mail the folder", err=True)
    if written.votes:
        click.echo(f"{written.votes} votes carried over", err=True)
