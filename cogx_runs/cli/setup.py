"""Commands before the first sweep: init, schema, doctor."""

import sys
from pathlib import Path

import click

from cogx_runs.cli.json_output import print_json
from cogx_runs.cli.options import json_option
from cogx_runs.cli.terminal import echo


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write the shipped sweeps and prompts into DIR."""
    from cogx_runs.definitions.shipped import init as write_shipped

    written = write_shipped(directory)
    for path in written:
        echo(path)
    echo(f"{len(written)} files written; next: cd {directory} && cogx-runs plan sweeps/study.yaml", err=True)


@click.command()
def schema() -> None:
    """Print the JSON Schema of sweep files, for editors.

    Name the file that it is written to in a comment at a sweep file's top: `# yaml-language-server: $schema=PATH`.
    """
    from cogx_runs.definitions.schema import sweep_schema

    print_json(sweep_schema())


@click.command()
@click.option("--model", help="Check this model only: 2b, 5b, 1.5-5b, toy, or a folder.")
@click.option("--clip-model", help="Check this CLIP.")
@json_option
def doctor(model: str | None, clip_model: str | None, as_json: bool) -> None:
    """Check what is installed, the machine and the weights, with advice on each lack.

    The last line says whether each model can run here. With --model the exit code is 1 where that one cannot.
    """
    from dataclasses import asdict

    from cogx_runs.doctor import Readiness, examine

    checks = examine(model, clip_model)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        from cogx_runs.cli.tables import print_checks

        print_checks(checks)
    if model and any(isinstance(check, Readiness) and not check.is_ready for check in checks):
        sys.exit(1)
