"""Prints lines; what names and texts hold is shown, and no terminal obeys it.

The consoles of rich are in `consoles`: importing it here would load rich with every command.
"""

import shlex

import click

from cogx_runs.formatting import printable


def echo(line: object, *, err: bool = False) -> None:
    """Prints a line on stdout, or on stderr. Every line of the command line goes through here or through a console."""
    click.echo(printable(str(line)), err=err)


def command_line(*arguments: str) -> str:
    """Writes a command of this program as it can be pasted into a shell: `cogx-runs ui 'a sweep'`."""
    return shlex.join(["cogx-runs", *arguments])
