"""The command report, which writes sweeps as a page that can be mailed."""

from pathlib import Path

import click

from cogx_runs.cli.terminal import echo


@click.command()
@click.argument("sweeps", metavar="SWEEP...", nargs=-1, required=True)
@click.option(
    "-o", "--output", "directory", metavar="DIR", required=True, type=click.Path(path_type=Path), help="The folder."
)
@click.option(
    "--baseline", "baselines", metavar="KEY=VALUE", multiple=True, help="Compare an axis with this value; repeatable."
)
@click.option(
    "--margin",
    "margins",
    metavar="METRIC=SIZE",
    multiple=True,
    help="Changes of METRIC up to SIZE, in its unit or as in 5%, do not matter; repeatable.",
)
@click.option("--log/--no-log", default=True, help="Keep the page in MLflow too, with each experiment.")
def report(
    sweeps: tuple[str, ...], directory: Path, baselines: tuple[str, ...], margins: tuple[str, ...], log: bool
) -> None:
    """Write DIR/report.html on each SWEEP: videos side by side, numbers, effects with their intervals and
    verdicts, and a blind vote.

    The page loads nothing from anywhere. Votes saved in DIR are kept.
    """
    from cogx_runs.analysis.effects import Margin
    from cogx_runs.report.folder import write_report

    sizes = {metric: Margin.parse(text) for metric, text in _pairs("--margin", "METRIC=SIZE", margins).items()}
    values = _pairs("--baseline", "KEY=VALUE", baselines)
    written = write_report(sweeps, directory, baselines=values, margins=sizes, log=log)
    echo(written.page)
    if not written.embedded:
        echo(f"{written.videos} videos are in videos/, next to the page: mail the whole folder", err=True)
    if written.not_logged is not None:
        echo(f"not kept in MLflow: {written.not_logged}", err=True)
    if written.looks_not_kept is not None:
        echo(f"the store does not keep that the verdicts were looked at: {written.looks_not_kept}", err=True)
    for lacking in written.missing:
        echo(f"missing: {lacking}; `cogx-runs sweep` makes it again", err=True)
    if written.votes:
        echo(f"{written.votes} votes kept", err=True)


def _pairs(option: str, metavar: str, texts: tuple[str, ...]) -> dict[str, str]:
    from cogx_runs.errors import CogxError

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise CogxError(f"{option} {text}: write it as {metavar}")
        if name.strip() in found:
            raise CogxError(f"{option} {text}: {name.strip()} is given twice; give it once")
        found[name.strip()] = value.strip()
    return found
