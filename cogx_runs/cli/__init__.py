"""Parses a command, calls one function of the library, prints.

Nothing is imported from here but `main`, by the installed command. Only this room imports click and rich.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable
from io import StringIO
from types import TracebackType
from typing import Any, cast

import click

from cogx_runs.cli.deliver import deliver
from cogx_runs.cli.gc import gc
from cogx_runs.cli.importing import import_videos
from cogx_runs.cli.json_output import print_mistakes
from cogx_runs.cli.options import refuse_repeats
from cogx_runs.cli.plans import generate, plan, promote, sweep
from cogx_runs.cli.report import report
from cogx_runs.cli.results import export, rescore, runs, ui
from cogx_runs.cli.setup import doctor, init, schema
from cogx_runs.cli.terminal import echo
from cogx_runs.cli.threshold import threshold
from cogx_runs.cli.verify import verify
from cogx_runs.cli.votes import votes
from cogx_runs.credentials import without_credentials
from cogx_runs.errors import CogxError, InputError, Mistake
from cogx_runs.formatting import cut
from cogx_runs.system.signals import install

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class _Group(click.Group):
    """Turns the project's errors into clear lines and an exit code; an unexpected error keeps its traceback."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            refuse_repeats(command, click.Context(command, parent=ctx, info_name=name), rest)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            if as_json:
                print_mistakes([Mistake("(command line)", cut(error.format_message()))])
            said = StringIO()
            error.show(said)
            for line in said.getvalue().splitlines():
                echo(cut(line), err=True)
            ctx.exit(error.exit_code)
        except InputError as error:
            for mistake in error.mistakes:
                echo(mistake, err=True)
            ctx.exit(EXIT_BAD_INPUT)
        except CogxError as error:
            echo(f"Error: {error}", err=True)
            ctx.exit(EXIT_BAD_INPUT)
        except KeyboardInterrupt:
            echo("interrupted; finished cells are kept, and the same command continues", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cogx-runs")
def cli() -> None:
    """Ablation sweeps over CogVideoX as tracked, resumable MLflow experiments."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # it logs what it then raises too
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}

_MAKING = (init, schema, plan, sweep, threshold, generate, promote, import_videos)
_MADE = (runs, rescore, report, votes, export, verify, deliver, gc)
for _command in (*_MAKING, *_MADE, ui, doctor):
    cli.add_command(_command)


_SILENCED = ("urllib3", "sqlalchemy", "torch.utils._pytree")
"""Loggers that say in many lines what is then raised too, or what only the authors of another library can mend."""


def _print_traceback(kind: type[BaseException], error: BaseException, found: TracebackType | None) -> None:
    """Prints the traceback of an unexpected error, without the credentials that a library's message may hold."""
    echo(without_credentials("".join(traceback.format_exception(kind, error, found))).rstrip(), err=True)


def main() -> None:
    """Runs the command line: the entry point `cogx-runs`."""
    sys.excepthook = _print_traceback
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    install()
    cast(Callable[[], None], cli)()
